"""A comparison is never lost: whatever dies, it goes on to the same bits, and nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dgmmis
from commands import run_process
from dgmmis.cli.application import application
from dgmmis.comparison import Comparison
from dgmmis.contest import SilentWatcher
from dgmmis.errors import AlreadyExists, InvalidSetting, RunConflict, RunLocked
from dgmmis.local_pass import LocalPasses
from dgmmis.runs.lock import hold
from simulated import write_catalog

SETTINGS: dict[str, object] = {"n_components": (2, 4), "folds": 2, "restarts": 2, "max_passes": 12}
COMPARE = """
import sys, dgmmis
dgmmis.compare(sys.argv[1], n_components=(2, 4), folds=2, restarts=2, max_passes=12, output=sys.argv[2])
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("models") / "stars.zarr", n_rows=1_500, chunk_rows=400)


@pytest.fixture(scope="module")
def expected(catalog: dgmmis.Catalog) -> str:
    return all_bits(dgmmis.compare(catalog, **SETTINGS))


def all_bits(comparison: Comparison) -> str:
    digest = hashlib.sha256(json.dumps(comparison.describe(), sort_keys=True).encode())
    for one in comparison.models:
        for array in vars(one.model.mixture).values():
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class DiesAfter(SilentWatcher):
    """Dies once so many rounds of fits are kept, counted over all stages."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds

    def on_round(self, number: int, going: int, of: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def refuse(*_: object) -> object:
    raise AssertionError("the rows were read again")


@pytest.mark.parametrize("deaths", [(0, 1), (5, 14, 15), (26,)])
def test_a_comparison_that_died_goes_on_to_the_bits_of_one_that_did_not(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path, deaths: tuple[int, ...]
) -> None:
    for rounds in deaths:
        with pytest.raises(KeyboardInterrupt):
            dgmmis.compare(catalog, output=tmp_path / "out", observer=DiesAfter(rounds), **SETTINGS)
    assert all_bits(dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)) == expected


def test_a_comparison_killed_at_any_moment_goes_on_to_the_same_bits(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    rng, passes = np.random.default_rng(1), tmp_path / "out" / "passes"
    for wanted in (3, 25):
        process = subprocess.Popen([sys.executable, "-c", COMPARE, str(catalog.path), str(tmp_path / "out")])
        end = time.monotonic() + 60
        while (
            len(list(passes.rglob("*.ckpt"))) < wanted and process.poll() is None and time.monotonic() < end
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert all_bits(dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)) == expected


def test_what_is_kept_is_not_computed_again(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)
    monkeypatch.setattr(LocalPasses, "gather", refuse)
    monkeypatch.setattr("dgmmis.comparison_driver.beginnings", refuse)
    assert all_bits(dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)) == expected


def test_more_models_join_and_those_that_are_there_stay(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    for numbers in ((2,), (3, 4), (2, 4)):
        found = dgmmis.compare(catalog, output=tmp_path / "out", **(SETTINGS | {"n_components": numbers}))
    assert all_bits(found) == expected


@pytest.mark.parametrize("budget", [{"max_passes": 3}, {"tolerance": 50.0}])
def test_a_comparison_with_a_larger_budget_equals_one_that_had_it_at_once(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path, budget: dict[str, object]
) -> None:
    short = dgmmis.compare(catalog, output=tmp_path / "out", **(SETTINGS | budget))
    assert all_bits(short) != expected
    assert all_bits(dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)) == expected


def damage(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


def test_a_damaged_object_is_set_aside_and_made_again(
    catalog: dgmmis.Catalog, expected: str, tmp_path: Path
) -> None:
    dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)
    damaged = [
        *(tmp_path / "out" / "passes" / "K4-full").glob("without-1-*/000002.ckpt"),
        tmp_path / "out" / "starts" / "K2-full.ckpt",
        *(tmp_path / "out" / "scores").iterdir(),
    ]
    for path in damaged:
        path.write_bytes(damage(path.read_bytes()))
    assert all_bits(dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)) == expected
    assert len(damaged) >= 3
    assert all(path.with_suffix(".damaged-0").exists() and path.exists() for path in damaged)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"folds": 4}, "folds: there 2, asked 4"),
        ({"restarts": 3}, "restarts"),
        ({"floor": 0.1}, "floor"),
        ({"seed": 1}, "seed"),
        ({"prior": None}, "prior"),
    ],
)
def test_another_comparison_needs_another_folder(
    catalog: dgmmis.Catalog, tmp_path: Path, settings: dict[str, object], named: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        dgmmis.compare(catalog, output=tmp_path / "out", observer=DiesAfter(0), **SETTINGS)
    with pytest.raises(RunConflict, match=named):
        dgmmis.compare(catalog, output=tmp_path / "out", **(SETTINGS | settings))


def test_a_folder_that_holds_something_else_or_is_driven_is_refused(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(AlreadyExists, match="no comparison"):
        dgmmis.compare(catalog, output=tmp_path / "mine", **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        dgmmis.compare(catalog, output=tmp_path / "out", observer=DiesAfter(0), **SETTINGS)
    with hold(tmp_path / "out" / "lock"), pytest.raises(RunLocked):
        dgmmis.compare(catalog, output=tmp_path / "out", **SETTINGS)


def test_the_command_line_compares_and_writes_table_figure_and_models(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    options = ("-K", "2,3", "--folds", 3, "--restarts", 2, "--max-passes", 8, "--workers", 0)
    out = tmp_path / "out"
    done = run_process("compare", catalog.path, *options, "--output", out)
    assert "best: K=3 full by cross-validation" in done.stdout
    assert "CV - best" in done.stdout
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    model = dgmmis.Model.load(out / "models" / "K3-full.npz")
    assert (model.mixture.n_components, model.features) == (3, ("a", "b", "c"))
    arguments = ["compare", catalog.path, *options, "--output", out, "--json"]
    said = json.loads(CliRunner().invoke(application, list(map(str, arguments))).stdout)
    assert said["best"] == "K=3 full"
    assert [one["n_components"] for one in said["models"]] == [2, 3]
    assert json.loads((out / "comparison.json").read_text())["models"] == said["models"]
    assert dgmmis.Model.load(said["stack"]).mixture.n_components in (3, 5)
    refused = CliRunner().invoke(application, ["compare", str(catalog.path), "-K", "two"])
    assert isinstance(refused.exception, InvalidSetting)
    assert "expected numbers of components" in str(refused.exception)
