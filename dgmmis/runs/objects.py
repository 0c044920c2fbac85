"""Immutable files: written whole or not at all, never over another."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dgmmis.plain_files import write_plain

__all__ = ["put_if_absent"]


def put_if_absent(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that after any crash it is there whole, or not there.

    Temporary file, fsync, link to the final name (which fails if that exists), fsync of the folder.

    Raises
    ------
    FileExistsError
        If `path` is there already.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with write_plain(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
