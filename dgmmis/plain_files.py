"""Files that may come from strangers: read only if they are regular and not too large, never written through a link."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, BinaryIO

from dgmmis.errors import UnsafeFile

__all__ = [
    "MOST_JSON",
    "append_plain",
    "as_json",
    "open_plain",
    "read_plain",
    "require_own_folders",
    "write_plain",
]

LINK = (
    "is a symbolic link, and nothing is written through one. Put in its place what it leads to, or remove it."
)
MOST_JSON = 16 << 20
"""Bytes of a JSON object: decoded, it takes up to thirty times as much memory."""


def open_plain(path: Path) -> BufferedReader:
    """Open a regular file to read; links are followed, as annexes of data are full of them.

    Raises
    ------
    UnsafeFile
        If it is a pipe, a device or a folder, which may never end or block.
    OSError
        If it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(_regular(descriptor, path), "rb")


def read_plain(path: Path, most: int | None = None) -> bytes:
    """Read a regular file of at most `most` bytes; raises as `open_plain`."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise UnsafeFile(str(path), f"has {size} bytes, and at most {most} are read")
        return file.read(size)


def as_json(content: bytes | str) -> Any:
    """Decode JSON; raises ValueError for what is none, or nested beyond reason."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_plain(path: Path) -> BinaryIO:
    """Open a regular file to write anew, not through a symbolic link.

    Raises
    ------
    UnsafeFile
        If a link, a pipe, a device or a folder lies there.
    """
    return os.fdopen(_created(path, os.O_WRONLY | os.O_TRUNC), "wb")


def append_plain(path: Path) -> IO[str]:
    """Open a text file to append to and to read, not through a symbolic link; raises as `write_plain`."""
    return os.fdopen(_created(path, os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8")


def require_own_folders(path: Path, names: Iterable[str]) -> None:
    """Refuse folders within `path` that are symbolic links: what is written there would lie elsewhere.

    Raises
    ------
    UnsafeFile
    """
    for name in names:
        if (path / name).is_symlink():
            raise UnsafeFile(str(path / name), LINK)


def _created(path: Path, flags: int) -> int:
    if path.is_symlink():  # the flag below decides; this only says it in words
        raise UnsafeFile(str(path), LINK)
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return _regular(os.open(path, flags, 0o666), path)


def _regular(descriptor: int, path: Path) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise UnsafeFile(str(path), "is no regular file")
