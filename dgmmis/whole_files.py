"""Files that replace older ones: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from dgmmis.disk_faults import naming_faults, sync_folder
from dgmmis.plain_files import write_plain

__all__ = ["replacing", "write_whole"]


def replacing(path: Path, size: int, write: Callable[[IO[bytes]], object]) -> None:
    """Have `write` fill a file of about `size` bytes, which replaces an older one when it is whole.

    Raises
    ------
    DiskFull, StorageFailed
        If the disk does not take it; an older file stays.
    """
    writing = path.with_name(f".{path.name}.writing")
    with naming_faults(path, size):
        file = write_plain(writing)
        try:
            with file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            writing.replace(path)
        finally:
            writing.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file by this content; raises as `replacing`."""
    replacing(path, len(content), lambda file: file.write(content))
