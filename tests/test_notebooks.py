"""Notebooks are valid, without outputs, listed for readers, and run from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from notebook_runs import FOLDER, NOTEBOOKS, nbformat, run_from_top_to_bottom

ROOT = FOLDER.parent


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_has_cell_ids_and_no_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    for cell in notebook.cells:
        assert cell.id
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.notebook
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_top_to_bottom(name, tmp_path, monkeypatch)


def test_each_notebook_is_listed_for_readers() -> None:
    listed = re.findall(r"\(\.\./notebooks/(\w+)\.ipynb\)", (ROOT / "docs" / "notebooks.md").read_text())
    assert listed == [path.stem for path in NOTEBOOKS]


def test_the_stored_scene_is_of_the_version_and_size_that_the_notebook_names() -> None:
    with np.load(FOLDER / "pygmmis_scene.npz") as stored:
        assert "pygmmis 1.2.3" in stored["versions"]
        assert list(stored["seeds"]) == [8365, *range(1, 21)]
        assert stored["amp"].shape == (21, 4, 3)
        assert np.allclose(stored["amp"].sum(axis=2), 1)
        for seed in stored["seeds"]:
            assert stored[f"exact_{seed}"].shape == (400, 2)
            assert ((stored[f"rows_{seed}"] > 0) & (stored[f"rows_{seed}"] < 10)).all()
