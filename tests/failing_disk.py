"""A disk that fails when it is told to, and the calls that it has seen.  Also the script that runs on such a disk."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).with_name("failing_disk.c")
LIBRARY = "FAILING_DISK"


class NoCompiler(Exception):
    """There is nothing to compile the disk with."""


def compiled(folder: Path) -> Path:
    """Compile the library that comes between a process and the C library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise NoCompiler("no C compiler, or no Linux")
    library = folder / "failing_disk.so"
    command = [compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NoCompiler(done.stderr)
    return library


def on_failing_disk(library: Path, job: str, *arguments: object, timeout: float = 600) -> object:
    """Run a job of this script on a disk that it may make fail; return what it says."""
    environment = {**os.environ, "LD_PRELOAD": str(library), LIBRARY: str(library)}
    done = subprocess.run(
        [sys.executable, __file__, job, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class Disk:
    """The library in this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[LIBRARY])
        self._library.disk_calls.restype = ctypes.c_long

    def watch(self, folder: Path) -> None:
        self._library.disk_watch(os.fsencode(folder))

    def fail_at(self, call: int, error: int = errno.EIO) -> None:
        self._library.disk_fail_at(ctypes.c_long(call), error)

    def record(self, path: Path | str) -> None:
        self._library.disk_record(os.fsencode(path))

    def calls(self) -> int:
        return int(self._library.disk_calls())


def with_each_call_failing(
    disk: Disk, prepare: Callable[[], Path], work: Callable[[Path], object], wanted: list[int] | None = None
) -> Iterator[tuple[dict[str, object], Path]]:
    """Do `work` again and again, each time with another call failing: that one only, or all from it on.

    Yields what happened, and the folder, when the disk is well again.
    """
    from dgmmis.errors import StorageFailed

    undisturbed = prepare()
    disk.fail_at(0)
    work(undisturbed)
    n_calls = disk.calls()
    for call in wanted or range(1, n_calls + 1):
        for first, error in ((call, errno.EIO), (-call, errno.EIO), (call, errno.EACCES)):
            if abs(first) > n_calls:
                continue
            folder = prepare()
            said = {"call": first, "of": n_calls, "error": "", "exception": ""}
            disk.fail_at(first, error)
            try:
                work(folder)
            except StorageFailed as failure:
                said["error"] = str(failure)
            except Exception as failure:
                said["exception"] = repr(failure)
            finally:
                disk.fail_at(0)
            yield said, folder


def write_each_checkpoint(disk: Disk, folder: Path, whole: Path) -> list[dict[str, object]]:
    """Write the last checkpoint of the run at `whole` once more, with each call failing."""
    from dgmmis.runs import open_run, verify_run

    run = open_run(whole)
    last = run.latest()
    assert last is not None
    number, copy = last.scan.number, folder / "run"
    parent = run.read_checkpoint(number - 1).digest

    def prepare() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        (copy / "ckpt" / f"{number:06d}.ckpt").unlink()
        return copy

    disk.watch(folder)
    found = []
    for said, _ in with_each_call_failing(
        disk, prepare, lambda path: open_run(path).write_checkpoint(last.scan, parent)
    ):
        latest = open_run(copy).latest()
        said["state"] = {parent: "previous", last.digest: "new"}.get(latest.digest if latest else "", "wrong")
        said["verified"] = all(check.passed for check in verify_run(copy))
        if said["state"] == "previous":
            open_run(copy).write_checkpoint(last.scan, parent)
        said["again"] = open_run(copy).latest().digest == last.digest
        found.append(said)
    return found


def fit(catalog: Path, run: Path) -> str:
    """Fit two passes into a run and return the last digest."""
    import dgmmis

    dgmmis.fit(catalog, n_components=2, run=run, tolerance=0, max_passes=2)
    return dgmmis.open_run(run).latest().digest


def fit_with_each_call_failing(
    disk: Disk, folder: Path, catalog: Path, every: int
) -> list[dict[str, object]]:
    """Make a run and fit into it, with each call (or every so manieth) failing, and go on when the disk is well."""
    import dgmmis

    run = folder / "run"

    def prepare() -> Path:
        shutil.rmtree(run, ignore_errors=True)
        return run

    disk.watch(folder)
    prepare()
    expected = fit(catalog, run)
    n_calls = disk.calls()
    wanted = list(range(1, n_calls + 1, every))
    found = []
    for said, _ in with_each_call_failing(disk, prepare, lambda path: fit(catalog, path), wanted):
        said["state"] = "none"
        with suppress(dgmmis.errors.NotARun):
            said["state"] = dgmmis.open_run(run).state()
        said["again"] = fit(catalog, run) == expected
        said["verified"] = all(check.passed for check in dgmmis.runs.verify_run(run))
        found.append(said)
    return found


def record_fit(disk: Disk, folder: Path, catalog: Path, into: Path) -> str:
    """Record all calls of a fit that makes its run; return its digest."""
    disk.watch(folder)
    disk.record(into)
    digest = fit(catalog, folder / "run")
    disk.record("")
    return digest


JOBS: dict[str, Callable[..., object]] = {
    "checkpoint": write_each_checkpoint,
    "fit": lambda disk, folder, catalog, every: fit_with_each_call_failing(
        disk, folder, catalog, int(str(every))
    ),
    "record": record_fit,
}

if __name__ == "__main__":
    job, *paths = sys.argv[1:]
    sys.stdout.write(json.dumps(JOBS[job](Disk(), *map(Path, paths))) + "\n")
