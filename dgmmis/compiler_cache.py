"""A place where compiled kernels are kept, also if the package is installed where nobody may write.

numba keeps machine code beside the source or in the user's cache folder, and refuses to work if it can write to
neither, as in a container with a read-only image and no home.  Then a private temporary folder has to do.
Imported before any kernel: numba looks for the place when it meets one.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import numba

__all__ = ["private_folder"]


def private_folder(parent: Path) -> Path:
    """Make a folder that only this user can write to: what lies there will be executed.

    It has the same name in every process of the user, who compiles once; if somebody else was there first,
    a new one.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = parent / f"dgmmis-compiled-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
    return (
        folder if mine or os.name == "nt" else Path(tempfile.mkdtemp(prefix="dgmmis-compiled-", dir=parent))
    )


def _kernel() -> None:
    """Stand for the kernels when numba is asked for a place."""


def _numba_finds_a_place() -> bool:
    try:
        numba.njit(_kernel, cache=True)
    except RuntimeError:  # "cannot cache function: no locator available"
        return False
    return True


if not _numba_finds_a_place():
    numba.config.CACHE_DIR = str(private_folder(Path(tempfile.gettempdir())))  # type: ignore[attr-defined]
