"""Bits that flip, files that are cut, lost, emptied, swapped or stale: none is read as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dgmmis
from dgmmis.cli.application import application
from dgmmis.driver import history_of
from dgmmis.errors import CorruptCatalog, CorruptCheckpoint, DgmmisError, NotACatalog, NotARun
from dgmmis.runs import verify_run
from dgmmis.selection import CompletenessMap
from dgmmis.store import Catalog, open_catalog
from simulated import bits_of
from stored_sources import make_source, write

FLIPS, CUTS = 1000, 200
SAMPLED = 20
"""Of so many flips and cuts, the default suite does one."""


def random_damages(files: list[Path], flips: int, cuts: int, seed: int) -> Iterator[tuple[Path, str, bytes]]:
    """Give a file, what was done to it, and its damaged content; any byte of any file, files evenly."""
    rng = np.random.default_rng(seed)
    for number in range(flips + cuts):
        path = files[int(rng.integers(len(files)))]
        content = bytearray(path.read_bytes())
        if not content:
            continue
        if number < flips:
            bit = int(rng.integers(8 * len(content)))
            content[bit // 8] ^= 1 << bit % 8
            yield path, f"bit {bit} flipped", bytes(content)
        else:
            length = int(rng.integers(len(content)))
            yield path, f"cut to {length}", bytes(content[:length])


@contextmanager
def holding(path: Path, content: bytes | None) -> Iterator[None]:
    """Let a file hold something else for a while; None: let it be gone."""
    before = path.read_bytes()
    try:
        path.unlink() if content is None else path.write_bytes(content)
        yield
    finally:
        path.write_bytes(before)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- catalogues

CHUNK_ROWS = 7


pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with every array there is, gaps, and rows that were set aside."""
    schema, rows = make_source(20, 40, 3)
    rows.values[[3, 9], 0] = np.inf
    path = tmp_path_factory.mktemp("stored") / "c"
    write(path, schema, rows, chunk_rows=CHUNK_ROWS, pilot_rows=20)
    return path


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with other numbers: what an earlier ingest may have left."""
    schema, rows = make_source(20, 40, 3)
    rows.values[[3, 9], 0] = np.inf
    noise = {name: column * 0.5 for name, column in rows.noise.items()}
    path = tmp_path_factory.mktemp("stale") / "c"
    changed = replace(rows, values=rows.values + 1, noise=noise, weights=rows.weights + 1, ids=rows.ids + 7)
    write(
        path, schema, replace(changed, source_rows=rows.source_rows + 1), chunk_rows=CHUNK_ROWS, pilot_rows=20
    )
    return path


def read_all(catalog: Catalog) -> str:
    """Hash all that a catalogue gives."""
    digest = hashlib.sha256()
    for chunk in range(catalog.n_chunks):
        rows = catalog.read_rows(chunk)
        for array in (rows.values, rows.noise.array, rows.weights, *catalog.read_ids(chunk)):
            digest.update(np.ascontiguousarray(array).tobytes())
    pilot = catalog.read_stored_pilot()
    for array in (pilot.values, pilot.ids, pilot.source_rows, pilot.weights, *pilot.noise.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    for zone in ("low", "high", "missing", "noise_low", "noise_high"):
        digest.update(np.ascontiguousarray(catalog.read_zones(zone)).tobytes())
    digest.update(repr((catalog.quarantined(), catalog.describe())).encode())
    return digest.hexdigest()


def require_named(folder: Path, path: Path, what: str, expected: str) -> None:
    """Require that the damage is named by `verify`, and that reading names it or gives what was written."""
    name = path.relative_to(folder)
    with pytest.raises((NotACatalog, CorruptCatalog)) as caught:
        open_catalog(folder).verify()
    error = caught.value
    if isinstance(error, NotACatalog):
        assert name.name == "manifest.json", what
        assert str(path) in str(error), what
    elif "c" in name.parts:
        at = name.parts.index("c")
        array, chunk = "/".join(name.parts[:at]), int(name.parts[at + 1])
        assert (error.array, error.chunk) == (array, chunk), what
        assert f"(rows {error.rows[0]}..{error.rows[1] - 1})" in str(error), what
    else:
        assert error.array == str(name), what
    try:
        assert read_all(open_catalog(folder)) == expected, f"{name}: {what}"
    except (NotACatalog, CorruptCatalog):
        return
    assert name.name == "zarr.json", f"{name} was read, and {what} not seen"  # of a group: nothing reads it


def rot_catalog(stored: Path, share: int) -> int:
    expected, done = read_all(open_catalog(stored)), 0
    for path, what, content in random_damages(files_of(stored), FLIPS // share, CUTS // share, 1):
        with holding(path, content):
            require_named(stored, path, what, expected)
        done += 1
    assert read_all(open_catalog(stored)) == expected
    return done


def test_a_flip_or_cut_anywhere_in_a_catalogue_is_seen_and_named(stored: Path) -> None:
    assert rot_catalog(stored, SAMPLED) > 50


@pytest.mark.chaos
def test_a_thousand_flips_and_two_hundred_cuts_of_a_catalogue_are_seen_and_named(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = rot_catalog(stored, 1)
    with capsys.disabled():
        sys.stdout.write(f"\ncatalogue: {done} flips and cuts, 0 silent, each named\n")


@pytest.mark.chaos
def test_every_chunk_that_is_lost_emptied_swapped_or_stale_is_seen_and_named(
    stored: Path, stale: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, done = read_all(open_catalog(stored)), 0
    for path in files_of(stored):
        if "c" not in path.relative_to(stored).parts:
            continue
        older = (stale / path.relative_to(stored)).read_bytes()
        others = [other for other in files_of(path.parents[1]) if other != path]
        contents = {"lost": None, "emptied": b"", "stale": older}
        contents |= {f"that of {other.parent.name}": other.read_bytes() for other in others}
        for what, content in contents.items():
            if content == path.read_bytes():
                continue  # masks of nothing missing are alike
            with holding(path, content):
                require_named(stored, path, what, expected)
            done += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\ncatalogue: {done} chunks lost, emptied, swapped or stale, 0 silent, each named\n"
        )


# --- runs


def make_run(folder: Path, seed: int) -> Path:
    """A run with every object there is: a map, several attempts, an end, a model."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(150, 2)) + np.where(rng.random((150, 1)) < 0.5, 0.0, 5.0)
    edges = np.linspace(-8, 13, 43)
    grid = np.round(np.linspace(0.6, 0.95, 42 * 42).reshape(42, 42), 3)
    catalog = dgmmis.ingest(values, folder / "stars.zarr", features=("a", "b"), chunk_rows=60)
    vague = dgmmis.Mixture(
        np.full(2, 0.5), np.array([[-1.0, 0.0], [4.0, 3.0]]), np.tile(9 * np.eye(2), (2, 1, 1))
    )
    selection = CompletenessMap((edges, edges), grid)
    settings = {"n_components": 2, "selection": selection, "floor": 0.1, "initial": vague, "method": "em"}
    dgmmis.fit(catalog, run=folder / "run", tolerance=0.5, max_passes=1, **settings)
    dgmmis.resume(folder / "run", max_passes=200).model.save(folder / "run" / "model.npz")
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("rotting"), 0)


def objects_of(run: Path) -> list[Path]:
    return [path for path in files_of(run) if path.name != "lock" and path.suffix != ".jsonl"]


def history(run: Path) -> str:
    opened = dgmmis.open_run(run)
    return repr([scan.log_likelihood for scan in history_of(opened, opened.latest())])


def start_told(run: Path) -> str | None:
    start = dgmmis.open_run(run).read_start()
    return None if start is None else repr(start)


def model_told(model: dgmmis.Model) -> str:
    mixture = model.mixture
    arrays = (mixture.amplitudes, mixture.means, mixture.covariances)
    selection = None if model.selection is None else model.selection.digest()
    return repr(([array.tobytes() for array in arrays], model.features, model.units, selection))


TOLD: dict[str, Callable[[Path], str | None]] = {
    "description": lambda run: repr(dgmmis.open_run(run).description),
    "state": lambda run: dgmmis.open_run(run).state(),
    "end": lambda run: repr(dgmmis.open_run(run).final()),
    "budget": lambda run: repr(dgmmis.open_run(run).last_budget()),
    "first budget": lambda run: repr(dgmmis.open_run(run).budget(1)),
    "start": start_told,
    "history": history,
    "selection": lambda run: dgmmis.open_run(run).selection.digest(),
    "model": lambda run: model_told(dgmmis.open_run(run).model()),
    "model file": lambda run: model_told(dgmmis.Model.load(run / "model.npz")),
}


def tell(run: Path) -> dict[str, str | None]:
    """All that a run tells; None where it refuses to, or has nothing to tell."""
    told: dict[str, str | None] = {}
    for name, ask in TOLD.items():
        try:
            told[name] = ask(run)
        except DgmmisError:
            told[name] = None
    return told


def require_noticed(
    run: Path, path: Path, what: str, expected: dict[str, str | None], *, named: bool
) -> None:
    """Require that nothing wrong is told, and that `verify` names the object."""
    name = str(path.relative_to(run))
    told = tell(run)
    wrong = {
        key: (value, expected[key])
        for key, value in told.items()
        if value is not None and value != expected[key]
    }
    wrong.pop("history", None) if path.suffix == ".ckpt" else None  # one pass fewer is told after a lost one
    assert not wrong, f"{name}, {what}: {wrong}"
    try:
        failed = {check.name: check.fault for check in verify_run(run) if not check.passed}
    except NotARun:
        failed = {"run.json": ""}
    assert not named or name in failed or any(name in fault for fault in failed.values()), (
        name,
        what,
        failed,
    )


def rot_run(run: Path, share: int) -> int:
    expected, done = tell(run), 0
    assert None not in expected.values()
    for path, what, content in random_damages(objects_of(run), FLIPS // share, CUTS // share, 2):
        with holding(path, content):
            # npz files carry a checksum of each member: a flip beside these may change nothing
            require_noticed(run, path, what, expected, named=path.suffix != ".npz")
        done += 1
    assert tell(run) == expected
    return done


def test_a_flip_or_cut_anywhere_in_a_run_is_noticed_and_nothing_wrong_is_told(run: Path) -> None:
    assert rot_run(run, SAMPLED) > 50


@pytest.mark.chaos
def test_a_thousand_flips_and_two_hundred_cuts_of_a_run_are_noticed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = rot_run(run, 1)
    with capsys.disabled():
        sys.stdout.write(f"\nrun: {done} flips and cuts, 0 wrong told, each named\n")


@pytest.mark.chaos
def test_any_bit_of_a_model_file_counts_or_changes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, done = model_told(dgmmis.Model.load(run / "model.npz")), 0
    path = run / "model.npz"
    whole = path.read_bytes()
    bits = range(0, 8 * len(whole), 37)
    for bit in bits:
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        with holding(path, bytes(content)):
            try:
                assert model_told(dgmmis.Model.load(path)) == expected, bit
            except DgmmisError:
                done += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\nmodel file: of {len(bits)} single flips {done} refused, the others give the same model\n"
        )


def test_objects_that_are_lost_emptied_swapped_or_of_another_run_are_noticed(
    run: Path, tmp_path: Path
) -> None:
    other, expected = make_run(tmp_path, 1), tell(run)
    checkpoints = sorted((run / "ckpt").iterdir())
    some = (checkpoints[0], checkpoints[4], checkpoints[-1])
    for path in [path for path in objects_of(run) if path.parent.name != "ckpt" or path in some]:
        there = other / path.relative_to(run)
        contents: dict[str, bytes | None] = {"lost": None, "emptied": b""}
        if there.exists() and path.name not in (
            "arrays.npz",
            "model.npz",
        ):  # the same map; nothing names the model
            contents["of another run"] = there.read_bytes()
        for what, content in contents.items():
            if what == "lost" and path.name in ("final.json", "model.npz", "0002.json"):
                continue  # nothing else speaks of these: the run is as it was before they were written
            with holding(path, content):
                require_noticed(run, path, what, expected, named=True)
    for one, two in [*pairwise(some), (checkpoints[-2], checkpoints[-1])]:
        first, second = one.read_bytes(), two.read_bytes()
        with holding(one, second), holding(two, first):
            for path in (one, two):
                require_noticed(run, path, "swapped", expected, named=True)
    assert tell(run) == expected


def test_the_command_line_tells_of_each_object_and_fails_if_one_does(run: Path) -> None:
    def verify(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(application, ["verify", str(run), *options])
        return done.exit_code, done.stdout

    n_objects = len(objects_of(run))
    assert verify() == (
        0,
        "".join(f"pass  {check.name}\n" for check in verify_run(run))
        + f"{n_objects} of {n_objects} objects are what was written\n",
    )
    path = run / "ckpt" / "000002.ckpt"
    with holding(path, path.read_bytes()[:-1]):
        code, text = verify()
        assert code == CorruptCheckpoint.exit_code
        assert "FAIL  ckpt/000002.ckpt: it does not match its own hash" in text
        code, text = verify("--json")
        assert code == CorruptCheckpoint.exit_code
        said = json.loads(text)
        assert not said["verified"]
        assert [one["object"] for one in said["objects"] if not one["passed"]] == ["ckpt/000002.ckpt"]


def test_a_damaged_end_is_refused_and_written_again_by_resume(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    end = (copy / "final.json").read_bytes()
    (copy / "final.json").write_bytes(end.replace(b"SUCCEEDED", b"SUCCEEDEE"))
    with pytest.raises(CorruptCheckpoint, match=r"final\.json.*dgmmis resume"):
        dgmmis.open_run(copy).state()
    dgmmis.resume(copy)
    assert (copy / "final.json").read_bytes() == end


def test_damaged_budgets_are_refused_and_can_be_named_instead(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    last = sorted((copy / "attempts").glob("*.json"))[-1]
    last.write_bytes(last.read_bytes().replace(b'"tolerance": 0.5', b'"tolerance": 0.7'))
    with pytest.raises(CorruptCheckpoint, match=r"0002\.json.*--tolerance"):
        dgmmis.resume(copy)
    named = dgmmis.resume(copy, tolerance=0.5, max_passes=200)
    assert bits_of(named) == bits_of(dgmmis.resume(run))


def test_a_lost_last_checkpoint_of_a_finished_run_gives_no_older_model_and_is_made_again(
    run: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    last = sorted((copy / "ckpt").iterdir())[-1]
    whole = last.read_bytes()
    last.unlink()
    with pytest.raises(CorruptCheckpoint, match="dgmmis resume"):
        dgmmis.open_run(copy).model()
    dgmmis.resume(copy)
    assert last.read_bytes() == whole
    assert all(check.passed for check in verify_run(copy))
