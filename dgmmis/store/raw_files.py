"""Where the files of a catalogue lie, before anything of them is checked."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

from dgmmis.location import Location, S3Url
from dgmmis.object_store import bucket_at
from dgmmis.plain_files import read_plain
from dgmmis.store.file_record import FileRecord

__all__ = ["RawFiles", "raw_files"]


class RawFiles(Protocol):
    """Files by name.

    Attributes
    ----------
    attempts : int
        How often a file is read before it counts as altered: what came over a network may be damaged on the way.
    """

    attempts: int

    def read(self, key: str, most: int | None = None) -> bytes:
        """Content of a file; raises OSError if it is missing, has more than `most` bytes, or the disk fails."""

    def record(self, key: str) -> FileRecord:
        """Length and sha256 of a file; raises as `read` does."""

    def size(self, key: str) -> int:
        """Length of a file; raises as `read` does."""


class LocalFiles:
    """Files of a folder; see `RawFiles`."""

    attempts = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str, most: int | None = None) -> bytes:
        """Content of a regular file."""
        return read_plain(self._folder / key, most)

    def record(self, key: str) -> FileRecord:
        """Length and sha256 of a file, read piece by piece."""
        return FileRecord.of_file(self._folder / key)

    def size(self, key: str) -> int:
        """Length of a file."""
        return (self._folder / key).stat().st_size


class BucketFiles:
    """Objects of a prefix in a bucket; see `RawFiles`.

    A store that says that an object is missing raises FileNotFoundError, and one that fails to answer
    `ObjectStoreError`: neither is ever taken for rows that are not there.
    """

    attempts = 6

    def __init__(self, url: S3Url) -> None:
        self._bucket = bucket_at(url)

    def read(self, key: str, most: int | None = None) -> bytes:
        """Content of an object."""
        return self._bucket.get(key, most, checked=False).content

    def record(self, key: str) -> FileRecord:
        """Length and sha256 of an object."""
        return FileRecord.of(self.read(key))

    def size(self, key: str) -> int:
        """Length of an object."""
        size = self._bucket.size(key)
        if size is None:
            raise FileNotFoundError(f"{key} is missing")
        return size


def raw_files(location: Location) -> RawFiles:
    """Give the files at a location."""
    return _bucket_files(location) if isinstance(location, S3Url) else LocalFiles(location)


@lru_cache(maxsize=16)
def _bucket_files(url: S3Url) -> BucketFiles:
    """One client for a catalogue that is opened again and again."""
    return BucketFiles(url)
