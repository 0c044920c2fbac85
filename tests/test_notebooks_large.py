"""The notebook about catalogues that do not fit in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from notebook_runs import run_from_top_to_bottom

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["06_larger_than_memory"])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_top_to_bottom(name, tmp_path, monkeypatch)
