"""Whether runs can live in a folder: what a checkpoint needs of a file system is tried out there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dgmmis.doctor.finding import Finding
from dgmmis.errors import DgmmisError, StorageFailed
from dgmmis.places import local_path
from dgmmis.runs.objects import put_if_absent

__all__ = ["examine_root"]

LEAST_FREE = 1 << 30
ELSEWHERE = "Keep runs on a local disk: name another folder."
TAKES_LOCK = """
import fcntl, sys
with open(sys.argv[1]) as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(7)
"""
"""What another process does that wants a run which is being driven."""
REFUSED = 7


def examine_root(root: Path) -> Iterator[Finding]:
    """Look at a folder of runs; nothing of the trial stays there."""
    try:
        folder = local_path(root)
        free = shutil.disk_usage(folder).free
        place = Path(tempfile.mkdtemp(prefix=".dgmmis-doctor-", dir=folder))
    except (OSError, DgmmisError) as error:
        yield Finding("run root", "wrong", str(error), "Make the folder, or name one that you may write to.")
        return
    try:
        yield _free(folder, free)
        yield _objects(place)
        yield _lock(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _free(folder: Path, free: int) -> Finding:
    found = f"{folder.resolve()}, {free / 2**30:.1f} GiB free"
    if free < LEAST_FREE:
        return Finding("run root", "wrong", found, "Make room, or name a folder on another disk.")
    return Finding("run root", "good", found)


def _objects(place: Path) -> Finding:
    """Try what checkpoints are written with: hard links that fail if the name is taken, and fsync."""
    subject, path = "checkpoints", place / "object"
    try:
        put_if_absent(path, b"whole")
        put_if_absent(path, b"another")
    except FileExistsError:
        if path.read_bytes() == b"whole":
            return Finding(subject, "good", "hard links and fsync work, nothing is overwritten")
        return Finding(subject, "wrong", "a file that was there was overwritten", ELSEWHERE)
    except StorageFailed as error:
        code = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        what = "no hard links: " if code in (errno.EPERM, errno.ENOTSUP, errno.EMLINK) else ""
        return Finding(subject, "wrong", f"{what}{error.reason}", ELSEWHERE)
    return Finding(subject, "wrong", "a name could be taken twice", ELSEWHERE)


def _lock(place: Path) -> Finding:
    """Try whether a lock of this process keeps another one out."""
    subject, path = "lock", place / "lock"
    try:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            command = [sys.executable, "-I", "-S", "-c", TAKES_LOCK, os.fspath(path)]
            code = subprocess.run(command, check=False, timeout=60, capture_output=True).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(subject, "wrong", f"flock does not work ({error})", ELSEWHERE)
    if code != REFUSED:
        return Finding(subject, "wrong", "two processes could hold it at once", ELSEWHERE)
    return Finding(subject, "good", "flock keeps a second driver out")
