"""The notebooks about runs, models in numbers, and catalogues of any size."""

from __future__ import annotations

from pathlib import Path

import pytest

from notebook_runs import run_from_top_to_bottom

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["04_watch_kill_resume", "05_comparing_models"])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_top_to_bottom(name, tmp_path, monkeypatch)
