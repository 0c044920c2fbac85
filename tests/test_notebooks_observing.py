"""The notebooks about what was not seen, and about programs that were used before."""

from __future__ import annotations

from pathlib import Path

import pytest

from notebook_runs import run_from_top_to_bottom

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["03_truncation_and_holes", "07_coming_from_other_programs"])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_top_to_bottom(name, tmp_path, monkeypatch)
