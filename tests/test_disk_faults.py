"""A disk that is full, fails, forgets or is closed to us: the state before or the state after loads, always."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from crash_states import CrashState, crash_states, read_calls
from dgmmis.errors import DiskFull, NotARun, StorageFailed
from dgmmis.runs import verify_run
from failing_disk import NoCompiler, compiled, fit, on_failing_disk
from simulated import bits_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    """A catalogue so small that a fit of it takes milliseconds."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 1)) + np.where(rng.random((80, 1)) < 0.5, 0.0, 5.0)
    return dgmmis.ingest(values, tmp_path_factory.mktemp("disk") / "stars.zarr", features=("a",))


@pytest.fixture(scope="module")
def whole(catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two updates, never disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    fit(catalog.path, run)
    return run


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compiled(tmp_path_factory.mktemp("library"))
    except NoCompiler as reason:
        pytest.skip(f"a disk that fails is made in C: {reason}")


@contextmanager
def mounted(where: Path, *arguments: str) -> Iterator[Path]:
    """Mount something at a folder, or skip where that is not allowed."""
    where.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(where)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for `leave` bytes; return the file to delete."""
    ballast = disk / "ballast"
    free = int(subprocess.check_output(["stat", "-f", "-c", "%a", disk])) * 4096
    ballast.write_bytes(bytes(free - leave))
    return ballast


def twelve(catalog: dgmmis.Catalog, run: Path) -> dgmmis.FitResult:
    return dgmmis.fit(catalog, n_components=2, run=run, tolerance=0, max_passes=12)


# --- full


def test_a_full_disk_stops_a_run_with_its_last_checkpoint_whole_and_freed_it_goes_on_to_the_same_bits(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    expected = twelve(catalog, tmp_path / "undisturbed")
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        twelve_at = disk / "run"
        ballast = fill(disk, leave=80_000)
        with pytest.raises(
            DiskFull, match=r"No space left.*bytes were to be written.*dgmmis resume"
        ) as caught:
            twelve(catalog, twelve_at)
        assert caught.value.path.startswith(str(twelve_at))
        assert caught.value.needed > 0
        assert caught.value.free < 80_000
        assert caught.value.exit_code == 74
        run = dgmmis.open_run(twelve_at)
        stopped_at = run.latest().scan.number
        assert 0 < stopped_at < 12
        assert run.state() == "INTERRUPTED"
        with pytest.raises(DiskFull):
            dgmmis.resume(twelve_at)  # nothing was freed yet
        assert run.state() == "INTERRUPTED"
        assert all(check.passed for check in verify_run(twelve_at))
        ballast.unlink()
        resumed = dgmmis.resume(twelve_at)
        assert bits_of(resumed) == bits_of(expected)
        assert resumed.history == expected.history
        assert all(check.passed for check in verify_run(twelve_at))


def test_a_model_on_a_full_disk_stays_the_old_one(whole: Path, tmp_path: Path) -> None:
    model = dgmmis.open_run(whole).model()
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        model.save(disk / "model.npz")
        fill(disk, leave=0)
        with pytest.raises(DiskFull, match=r"model\.npz"):
            model.affine([[2.0]]).save(disk / "model.npz")
        np.testing.assert_array_equal(
            dgmmis.Model.load(disk / "model.npz").mixture.means, model.mixture.means
        )


@pytest.mark.parametrize("leave", [0, 40_000])
def test_a_catalog_that_finds_no_room_is_not_there_and_one_that_is_there_stays(
    catalog: dgmmis.Catalog, tmp_path: Path, leave: int
) -> None:
    rng = np.random.default_rng(1)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as disk:
        grown = disk / "grown.zarr"
        dgmmis.ingest(rng.normal(size=(50, 1)), grown, features=("a",))
        before = dgmmis.open_catalog(grown).fingerprint
        ballast = fill(disk, leave)
        more = rng.normal(size=(20_000, 1))
        with pytest.raises(DiskFull, match=r"No space left.*free some space there"):
            dgmmis.ingest(more, disk / "new.zarr", features=("a",))
        with pytest.raises(DiskFull, match=r"No space left.*free some space there"):
            dgmmis.append(grown, more)
        assert {path.name for path in disk.iterdir()} == {"grown.zarr", "ballast"}
        assert dgmmis.open_catalog(grown).fingerprint == before
        ballast.unlink()
        assert dgmmis.append(grown, more).n_rows == 20_050


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_products_that_find_no_room_are_not_there(whole: Path, tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(2)
    rows = dgmmis.ingest(rng.normal(size=(20_000, 1)), tmp_path / "c.zarr", features=("a",))
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        fill(disk, leave=100_000)
        with pytest.raises(DiskFull, match=r"No space left.*free some space there"):
            dgmmis.apply(dgmmis.open_run(whole).model(), rows, disk / f"posterior.{form}")
        assert {path.name for path in disk.iterdir()} == {"ballast"}


@pytest.mark.chaos
def test_a_server_waits_for_a_full_disk_and_its_run_ends_with_the_same_bits(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    expected = twelve(catalog, tmp_path / "undisturbed")
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=2m", "tmpfs") as disk:
        run = dgmmis.submit(catalog, runs=disk, n_components=2, tolerance=0, max_passes=12)
        ballast = fill(disk, leave=80_000)
        told: list[str] = []

        def tell(event: str, fields: dict[str, object]) -> None:
            told.append(event)
            if event == "storage failed":
                assert "No space left" in str(fields["reason"])
                assert run.state == "INTERRUPTED"
                if told.count(event) == 2:
                    ballast.unlink()

        dgmmis.serve(disk, drain=True, tell=tell)
        assert told.count("storage failed") == 2
        assert run.state == "STOPPED"
        assert bits_of(dgmmis.resume(run.path)) == bits_of(expected)


# --- closed to us


def test_a_run_on_a_read_only_disk_can_be_read_and_is_not_driven(
    catalog: dgmmis.Catalog, whole: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "mirror", "--bind", str(whole.parent)) as disk:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
        run = dgmmis.open_run(disk / "run")
        assert (run.state(), run.latest().scan.number) == ("STOPPED", 2)
        assert all(check.passed for check in verify_run(run.path))
        with pytest.raises(
            StorageFailed, match=r"lock: Read-only file system.*mount it for writing.*dgmmis resume"
        ):
            dgmmis.resume(run.path, max_passes=3)
        with pytest.raises(StorageFailed, match="Read-only file system"):
            twelve(catalog, disk / "new")
        with pytest.raises(StorageFailed, match="Read-only file system"):
            run.model().save(disk / "model.npz")


# --- fails


def test_whichever_call_of_a_checkpoint_write_fails_the_checkpoint_is_there_whole_or_not_there(
    library: Path, whole: Path, tmp_path: Path
) -> None:
    tmp_path = tmp_path / "disk"
    tmp_path.mkdir()
    found = on_failing_disk(library, "checkpoint", tmp_path, whole)
    assert {said["call"] for said in found} >= {1, found[0]["of"], -1, -found[0]["of"]}
    for said in found:
        assert said["exception"] == "", said
        assert "ckpt/000002.ckpt: " in said["error"], said
        assert said["state"] in ("previous", "new"), said
        assert said["verified"], said
        assert said["again"], said
    assert {said["state"] for said in found} == {"previous", "new"}


def check_failing_fits(found: list[dict[str, object]]) -> None:
    for said in found:
        assert said["exception"] == "", said
        assert said["error"], said
        assert said["state"] in ("none", "QUEUED", "INTERRUPTED", "STOPPED"), said
        assert said["verified"], said
        assert said["again"], said


@pytest.mark.thorough
def test_a_fit_whose_disk_fails_goes_on_to_the_same_bits(
    library: Path, catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    check_failing_fits(on_failing_disk(library, "fit", tmp_path, catalog.path, 23))


@pytest.mark.chaos
def test_a_fit_goes_on_to_the_same_bits_whichever_call_fails(
    library: Path, catalog: dgmmis.Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = on_failing_disk(library, "fit", tmp_path, catalog.path, 1, timeout=3000)
    check_failing_fits(found)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(found)}/{len(found)} fits with a failing call (each of {found[0]['of']}: once, or all from it on; "
            "EIO and EACCES) ended in a typed error and went on to the same bits\n"
        )


# --- forgets


class Crashes:
    """The states that a crash may leave of a fit that makes its run, and what must load in each."""

    def __init__(self, library: Path, catalog: dgmmis.Catalog, tmp_path: Path) -> None:
        root, record = tmp_path / "disk", tmp_path / "calls"
        root.mkdir()
        self.catalog, self.folder = catalog, tmp_path / "crashed"
        self.expected = str(on_failing_disk(library, "record", root, catalog.path, record))
        self.calls = read_calls(record)
        self.states = list(crash_states(self.calls, root))
        self._root = root
        run = dgmmis.open_run(root / "run")
        self.digests = [run.read_checkpoint(number).digest for number in run.checkpoint_numbers()]
        self._kept = [self._certain_after(f"/ckpt/{number:06d}.ckpt") for number in run.checkpoint_numbers()]
        self._made = self._certain_after("/run.json")

    def _certain_after(self, name: str) -> int:
        """How many calls it takes until a crash may not take this object away."""
        linked = next(
            i for i, call in enumerate(self.calls) if call.what == "link" and call.other.endswith(name)
        )
        folder = str(Path(self.calls[linked].other).parent)
        syncs = [i for i, call in enumerate(self.calls) if call.what == "fsync" and call.path == folder]
        assert syncs, f"{name} is never certain"
        assert syncs[-1] > linked, f"{name} is never certain"
        return next(i for i in syncs if i > linked) + 1

    def check(self, number: int) -> Path:
        """Put a state on disk, and require that the state before or after the cut loads; return the run's path."""
        state: CrashState = self.states[number]
        where = self.folder / str(number)
        state.put(where, self._root)
        try:
            run = dgmmis.open_run(where / "run")
        except NotARun:
            assert state.n_calls < self._made, "a run that was made is gone"
            return where / "run"
        kept = sum(state.n_calls >= calls for calls in self._kept)
        latest = run.latest()
        found = 0 if latest is None else 1 + self.digests.index(latest.digest)
        assert found >= kept, f"{kept} checkpoints were written, {found} are left after {state.n_calls} calls"
        assert found <= kept + 1
        assert all(check.passed for check in verify_run(run.path)), verify_run(run.path)
        assert run.state() in ("QUEUED", "INTERRUPTED", "STOPPED")
        return run.path


@pytest.fixture(scope="module")
def crashes(library: Path, catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory) -> Crashes:
    return Crashes(library, catalog, tmp_path_factory.mktemp("crashes"))


def test_after_any_crash_the_state_before_or_after_loads_and_what_was_written_is_there(
    crashes: Crashes,
) -> None:
    assert len(crashes.states) > 50
    for number in range(len(crashes.states)):
        crashes.check(number)


@pytest.mark.chaos
def test_after_any_crash_the_fit_goes_on_to_the_same_bits(
    crashes: Crashes, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(len(crashes.states)):
        assert fit(crashes.catalog.path, crashes.check(number)) == crashes.expected
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(crashes.states)}/{len(crashes.states)} states that a crash may leave of the {len(crashes.calls)} "
            "calls of a fit that makes its run load, and lead to the same bits\n"
        )
