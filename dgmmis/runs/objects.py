"""Immutable files: written whole or not at all, never over another."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dgmmis.disk_faults import naming_faults, sync_folder
from dgmmis.plain_files import read_plain, write_plain

__all__ = ["make_folders", "put_if_absent", "read_object"]


def put_if_absent(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that after any crash it is there whole, or not there.

    Temporary file, fsync, link to the final name (which fails if that exists), fsync of the folder.

    Raises
    ------
    FileExistsError
        If `path` is there already.
    DiskFull, StorageFailed
        If the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with naming_faults(path, len(content)):
        file = write_plain(temporary)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def read_object(path: Path, most: int | None = None) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises
    ------
    FileNotFoundError
        If there is none.
    UnsafeFile
        If it is no regular file, or larger.
    StorageFailed
        If the disk does not give it.
    """
    with naming_faults(path):
        return read_plain(path, most)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, so that a crash after this loses none of them.

    Raises
    ------
    DiskFull, StorageFailed
        If the disk does not take it.
    """
    with naming_faults(folder):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in reversed(missing):
            sync_folder(made.parent)
