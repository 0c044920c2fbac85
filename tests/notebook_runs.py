"""Run a notebook as a user does, in a kernel of its own, and look at what it showed."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra 'notebook'")
NotebookClient = pytest.importorskip("nbclient").NotebookClient
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib", reason="notebooks draw")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def run_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that a notebook runs in this environment at its small size, without a word on stderr, and draws."""
    monkeypatch.delenv("DGMMIS_NOTEBOOK_SIZE", raising=False)
    make_this_the_kernel(tmp_path, monkeypatch)
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    before = set(FOLDER.iterdir())
    with warnings.catch_warnings():
        # Of the messaging library, on an event loop that is not ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        client = NotebookClient(
            notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
        )
        executed = client.execute()
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs[-1].text.strip() == sys.executable
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [
        output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"
    ]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert set(FOLDER.iterdir()) == before


def make_this_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make 'python3' the interpreter that runs the tests, whatever kernels the user has installed."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
