"""What the operating system says of a file it cannot write or read, as an error that names file, bytes and way out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dgmmis.errors import DiskFull, StorageFailed, UnsafeFile

__all__ = ["naming_faults", "sync_folder"]

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = {
    errno.EROFS: "mount it for writing, or copy the folder to where you may write",
    errno.EACCES: "give yourself the permission to write there, or copy the folder to where you have it",
    errno.EPERM: "give yourself the permission to write there, or copy the folder to where you have it",
}
BROKEN = "look at the disk and the system's log, and copy the folder to another disk if it is failing"
OURS = (FileExistsError, FileNotFoundError, BlockingIOError, InterruptedError, UnsafeFile)
"""Answers that mean something to the caller, and no fault."""


@contextmanager
def naming_faults(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn a fault of the disk, while `path` is written or read, into `StorageFailed` or `DiskFull`.

    Parameters
    ----------
    path : Path
    needed : int
        Bytes about to be written.
    """
    try:
        yield
    except OURS:
        raise
    except OSError as error:
        raise _named(path, needed, error) from error


def _named(path: Path, needed: int, error: OSError) -> StorageFailed:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in FULL:
        return DiskFull(str(path), reason, needed, _free_at(path))
    return StorageFailed(str(path), reason, REFUSED.get(error.errno or 0, BROKEN))


def _free_at(path: Path) -> int:
    """Bytes free to this user on the disk of `path`, or of the nearest folder above it that exists."""
    for folder in path.parents:
        with suppress(OSError):
            said = os.statvfs(folder)
            return said.f_bavail * said.f_frsize
    return 0


def sync_folder(folder: Path) -> None:
    """Bring the entries of a folder to disk: until then a crash may lose the names in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
