"""Whatever a stranger sends: nothing of it runs, the network is not asked, memory is bounded, errors are typed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.density_background import DensityBackground
from dgmmis.errors import UnsafeFile, UntrustedFunction
from hostile_files import (
    EVIL,
    expression,
    forged,
    hostile_catalogs,
    hostile_models,
    hostile_runs,
    run_with_functions,
)
from simulated import bits_of

TESTS = Path(__file__).parent
MOST_GROWN = 700
"""MiB: three decoded chunks at their limit of 32 MiB, the largest JSON (16 MiB, times thirty), and figures."""


def small_catalog(path: Path) -> Path:
    rng = np.random.default_rng(2)
    table = {name: rng.normal(size=300) for name in "ab"} | {
        f"{name}_error": np.full(300, 0.1) for name in "ab"
    }
    dgmmis.ingest(table, path, features=["a", "b"], error=["{}_error"], chunk_rows=100)
    return path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_catalog(tmp_path_factory.mktemp("own") / "stars.zarr")


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module that leaves a mark when it is imported."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "evil_cuts.py").write_text(EVIL)
    return folder


def visit(folder: Path, evil: Path, state: Path) -> dict[str, dict[str, object]]:
    """Look at all cases in another account's process, with the module in reach and little memory."""
    paths = [str(Path(dgmmis.__file__).parents[1]), str(TESTS), str(evil)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "XDG_STATE_HOME": str(state),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(TESTS / "hostile_visit.py"), str(folder)]
    done = subprocess.run(
        command, env=environment, cwd=evil, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["grown_mib"] < MOST_GROWN
    return told["cases"]


@pytest.mark.thorough
def test_hostile_catalogues_runs_and_models_are_told_in_words_and_nothing_of_them_happens(
    catalog: Path, evil: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    dgmmis.fit(catalog, n_components=1, run=tmp_path / "run", max_passes=1, tolerance=0)
    cases = (
        hostile_catalogs(folder, catalog) + hostile_models(folder) + hostile_runs(folder, tmp_path / "run")
    )
    for i, program in enumerate(
        ("__import__('evil_cuts')", "a.__class__.__bases__", "9**9**9 > a", "(lambda: a)() > 0")
    ):
        forged(catalog, folder / f"where_{i}", expression(program))
        cases.append((f"a condition that is a program, {i}", "append", f"where_{i}"))
    (folder / "cases.json").write_text(json.dumps(cases))
    found = visit(folder, evil, tmp_path / "state")
    assert len(found) == len(cases)
    assert {name: case["heard"] for name, case in found.items() if case["heard"]} == {}
    assert {
        name: case["outcome"] for name, case in found.items() if str(case["outcome"]).startswith("RAW")
    } == {}
    assert not (evil / "executed").exists()
    assert not (folder / "unpickled").exists()
    assert not list(folder.glob("../evil*"))
    assert {name for name, verb, _ in cases if verb in ("catalog", "append")} <= {
        name.rpartition(" (")[0] for name, case in found.items() if case["outcome"] != "looked at"
    }
    unharmed = {name for name, case in found.items() if case["outcome"] == "looked at"}
    refused = len(found) - len(unharmed)
    sys.stdout.write(
        f"{len(found)} hostile files: {refused} refused by a typed error, {len(unharmed)} looked at, "
        "0 executions, 0 sockets\n"
    )


@pytest.fixture
def functions(evil: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The module, as its author has it."""
    monkeypatch.syspath_prepend(evil)
    module = __import__("evil_cuts")
    yield module
    (evil / "executed").unlink()
    del sys.modules["evil_cuts"]


def settings_of(module: object) -> dict[str, dict[str, object]]:
    box = ([-9, -9], [9, 9])
    return {
        "selection": {"selection": "evil_cuts:keep"},
        "density": {"background": DensityBackground(module.density, 0.1, footprint=box)},  # type: ignore[attr-defined]
    }


@pytest.mark.thorough
def test_a_strangers_run_with_functions_is_looked_at_without_them_and_resumed_only_if_they_are_named(
    catalog: Path, evil: Path, tmp_path: Path, functions: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    cases = []
    for name, settings in settings_of(functions).items():
        run_with_functions(folder / name, catalog, **settings)
        verbs = ("look", "report", "resume") if name == "selection" else ("look", "resume")
        cases += [[name, verb, name] for verb in verbs]
    (folder / "cases.json").write_text(json.dumps(cases))
    (evil / "executed").unlink()
    found = visit(folder, evil, tmp_path / "another account")
    assert {tuple(case["heard"]) for case in found.values()} == {()}
    assert not (evil / "executed").exists()
    for name in ("selection", "density"):
        assert "UntrustedFunction: " in str(found[f"{name} (resume)"]["outcome"])
        assert "--trust evil_cuts:" in str(found[f"{name} (resume)"]["outcome"])
    (evil / "executed").touch()  # as the fixture expects it

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))
    for name, reference in (("selection", "evil_cuts:keep"), ("density", "evil_cuts:density")):
        shutil.copytree(folder / name, tmp_path / f"copy of {name}")
        with pytest.raises(UntrustedFunction):
            dgmmis.resume(folder / name, max_passes=3)
        with pytest.raises(UntrustedFunction):
            dgmmis.resume(folder / name, max_passes=3, trust=["evil_cuts:other"])
        named = dgmmis.resume(folder / name, max_passes=3, trust=[reference])
        monkeypatch.undo()
        sys.path.insert(0, str(evil))
        own = dgmmis.resume(tmp_path / f"copy of {name}", max_passes=3)
        assert bits_of(own) == bits_of(named)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))


def test_a_model_that_was_saved_from_this_account_has_its_functions_and_another_one_says_why_not(
    tmp_path: Path, functions: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = dgmmis.Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    background = DensityBackground(functions.density, 0.1, n_features=2)  # type: ignore[attr-defined]
    selection = dgmmis.selection.as_selection("evil_cuts:keep")
    dgmmis.Model(mixture, ("a", "b"), ("", ""), (background,), selection).save(tmp_path / "model.npz")
    own = dgmmis.Model.load(tmp_path / "model.npz")
    assert own.selection is not None
    assert own.backgrounds[0].density is functions.density  # type: ignore[attr-defined]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))
    other = dgmmis.Model.load(tmp_path / "model.npz")
    assert other.selection is None
    assert "--trust evil_cuts:keep" in other.selection_note
    with pytest.raises(UntrustedFunction):
        other.save(tmp_path / "laundered.npz")
    named = dgmmis.Model.load(tmp_path / "model.npz", trust=["evil_cuts:keep", "evil_cuts:density"])
    assert named.selection is not None


def test_backgrounds_without_functions_need_no_trust(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Background(([-9, -9], [9, 9]), 0.1)
    dgmmis.fit(catalog, n_components=1, background=box, run=tmp_path / "run", max_passes=1, tolerance=0)
    assert not list(Path(os.environ["XDG_STATE_HOME"]).glob("dgmmis/written/none"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another account"))
    assert dgmmis.resume(tmp_path / "run", max_passes=2).n_passes == 3


@pytest.mark.parametrize("name", ["lock", "log/0002.jsonl", "model.npz", "ckpt"])
def test_a_strangers_link_does_not_lead_what_is_written_out_of_the_run(
    name: str, catalog: Path, tmp_path: Path
) -> None:
    dgmmis.fit(catalog, n_components=1, run=tmp_path / "run", max_passes=1, tolerance=0)
    victim, link = tmp_path / "victim", tmp_path / "run" / name
    victim.write_text("precious")
    if name == "ckpt":
        link.rename(tmp_path / "elsewhere")
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "elsewhere" if name == "ckpt" else victim)
    if name == "model.npz":
        dgmmis.open_run(tmp_path / "run").model().save(link)
        assert not link.is_symlink()
    else:
        with pytest.raises(UnsafeFile, match="symbolic link"):
            dgmmis.resume(tmp_path / "run", max_passes=3)
    assert victim.read_text() == "precious"
