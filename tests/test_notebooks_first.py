"""The notebooks for beginners: a first fit, and a catalogue with errors and correlations."""

from __future__ import annotations

from pathlib import Path

import pytest

from notebook_runs import run_from_top_to_bottom

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["01_first_fit", "02_gaia_parallaxes"])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_top_to_bottom(name, tmp_path, monkeypatch)
