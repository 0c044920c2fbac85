"""One driver per run: the operating system's file lock, freed by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import RunLocked
from dgmmis.plain_files import append_plain, open_plain, read_plain

__all__ = ["hold", "is_held", "read_holder"]

PATIENCE = 1.0
"""Seconds to try: somebody asking for the run's state holds the lock for an instant."""

MOST_HOLDER = 1000
"""Bytes of a holder's name."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` exclusively.

    Raises
    ------
    RunLocked
        If another process holds it, with what that process wrote into it.
    DiskFull, StorageFailed
        If it cannot be written.
    """
    with naming_faults(path):
        file = append_plain(path)
    with file:  # written past its buffer: closing it writes nothing
        descriptor = file.fileno()
        with naming_faults(path):
            _acquire(descriptor, path)
        holder = f"process {os.getpid()} on {socket.gethostname()}".encode()
        with naming_faults(path, len(holder)):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, holder)
        yield


def _acquire(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > give_up:
                raise RunLocked(
                    f"{path.parent} is driven by {read_holder(path) or 'another process'}. Wait for it, or stop it."
                ) from error
            time.sleep(0.05)


def is_held(path: Path) -> bool:
    """Tell whether a living process holds the lock at `path`."""
    if not path.exists():
        return False
    with naming_faults(path), open_plain(path) as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_holder(path: Path) -> str:
    """Who wrote into the lock at `path` last: its holder, if it is held."""
    if not path.exists():
        return ""
    with naming_faults(path):
        return read_plain(path, MOST_HOLDER).decode(errors="replace")
