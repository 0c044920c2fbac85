"""What takes batches of rows until it is finished, and leaves nothing behind if it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from dgmmis.disk_faults import naming_faults
from dgmmis.errors import InvalidSetting
from dgmmis.store.part_writer import PartWriter
from dgmmis.store.schema import StoredRows

__all__ = ["RowWriter"]


class Discardable(Protocol):
    """A folder that is given its place, or else removed."""

    @property
    def path(self) -> Path:
        """Where it is written."""

    def discard(self) -> None:
        """Remove it."""


Folder = TypeVar("Folder", bound=Discardable)


class RowWriter(Generic[Folder]):
    """Takes batches of rows into one part of a catalogue; anything that fails discards the whole part.

    Parameters
    ----------
    folder : Discardable
    make_part : callable
        Makes the part's writer in the folder's path.
    """

    def __init__(self, folder: Folder, make_part: Callable[[Path], PartWriter]) -> None:
        try:
            with naming_faults(folder.path):
                self._part = make_part(folder.path)
        except BaseException:
            folder.discard()
            raise
        self._folder: Folder | None = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    @property
    def n_rows(self) -> int:
        """Usable rows so far."""
        return self._part.n_rows

    @property
    def n_quarantined(self) -> int:
        """Rows set aside so far."""
        return self._part.quarantine.n_rows

    def append(self, batch: StoredRows) -> None:
        """Check a batch of rows, set the unusable ones aside and write what fills a chunk.

        Raises
        ------
        InvalidData
            If the batch has not the columns of the schema.
        TooManyQuarantined
            If more rows than allowed cannot be used.
        """
        with self._all_or_nothing():
            self._part.append(batch)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[Folder]:
        if self._folder is None:
            raise InvalidSetting("this writer was finished or has failed; make another one.")
        try:
            with naming_faults(self._folder.path):
                yield self._folder
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        if self._folder is not None:
            folder, self._folder = self._folder, None
            self._part.stop()
            folder.discard()
