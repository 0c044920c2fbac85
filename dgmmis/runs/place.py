"""What a run or a comparison needs of the place it lies in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dgmmis.location import Location, S3Url
from dgmmis.runs.bucket_place import BucketPlace
from dgmmis.runs.local_place import LocalPlace

__all__ = ["Place", "place_at"]


class Place(Protocol):
    """Immutable objects by name ("ckpt/000012.ckpt"), logs that grow by lines, and one lock.

    What is put is there whole after any crash, or not there.  What is put while the lock is held belongs to its
    holder: where a holder can lose the lock without knowing, its later puts are refused and never seen.  A disk that
    does not take what is written raises `DiskFull` or `StorageFailed`.

    Attributes
    ----------
    location : Path or S3Url
    """

    @property
    def location(self) -> Location:
        """Where it is."""

    def read(self, name: str, most: int | None = None) -> bytes:
        """Content of an object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        CorruptCheckpoint
            If it was altered.
        UnsafeFile
            If it has more than `most` bytes, or is a pipe or a device.
        StorageFailed
            If the disk does not give it.
        """

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of that name."""

    def names(self, folder: str) -> list[str]:
        """Names of the objects in a folder, without the folder, sorted; none if there is no such folder."""

    def folders(self) -> list[str]:
        """Names of the folders in this place, sorted."""

    def make(self, folders: Sequence[str]) -> None:
        """Make this place and folders in it, if they are not there."""

    def is_blank(self, first: str, folders: Collection[str]) -> bool:
        """Tell whether nothing is here but what a death leaves behind that came before object `first` was put."""

    def put_if_absent(self, name: str, content: bytes) -> None:
        """Put an object; raises FileExistsError if that name is taken, RunLocked if the lock was lost."""

    def replace(self, name: str, content: bytes) -> None:
        """Put an object that is no part of the history, such as an exported model, over an earlier one."""

    def set_aside(self, name: str, aside: str) -> None:
        """Give an object another name."""

    def append_line(self, name: str, line: str) -> None:
        """Add a line to a log."""

    def lines(self, name: str, most: int | None = None) -> list[str]:
        """Lines of a log of at most `most` bytes; none if there is no log.  The last one may be cut off by a crash."""

    def hold(self, folders: Collection[str]) -> AbstractContextManager[None]:
        """Be the only one that drives what lies here, in these folders.

        Raises
        ------
        RunLocked
            If another does.
        UnsafeFile
            If what is written would lie elsewhere, by a symbolic link.
        """

    def is_held(self) -> bool:
        """Tell whether a living process drives what lies here."""

    def holder(self) -> str:
        """Who drives what lies here, or did last; empty if nobody did."""


def place_at(location: Location) -> Place:
    """Give the place at a location."""
    return BucketPlace(location) if isinstance(location, S3Url) else LocalPlace(location)
