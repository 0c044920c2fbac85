"""Errors of data: sources, catalogues, selections."""

from __future__ import annotations

from dgmmis.errors.base import DgmmisError

__all__ = [
    "CatalogLocked",
    "CorruptCatalog",
    "EmptySource",
    "FeatureMismatch",
    "InvalidData",
    "NotACatalog",
    "SelectionError",
    "TooManyQuarantined",
    "UnitMismatch",
    "UnknownColumn",
]


class InvalidData(DgmmisError, ValueError):
    """Input that cannot be used, and where it lies.

    Parameters
    ----------
    message : str
        What is wrong, the value, and the way out.
    array : str, optional
        Name of the array or file.
    row : int, optional
        Row in that array, counted from 0.
    column : str or int, optional
        Feature or column.
    value : object, optional
        The offending value.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        array: str | None = None,
        row: int | None = None,
        column: str | int | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.array, self.row, self.column, self.value = array, row, column, value

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_invalid, (type(self), self.message, dict(self.__dict__))


def _rebuild_invalid(kind: type[InvalidData], message: str, state: dict[str, object]) -> InvalidData:
    """Rebuild an error that travelled from a worker."""
    error = kind(message)
    error.__dict__.update(state)
    return error


class UnknownColumn(InvalidData):
    """A column that the source does not have."""


class FeatureMismatch(InvalidData):
    """Data whose features are not the model's."""


class UnitMismatch(InvalidData):
    """A unit that cannot be converted to the one it must have."""


class EmptySource(InvalidData):
    """A source without a single usable row."""


class TooManyQuarantined(InvalidData):
    """More unusable rows than the caller allowed."""


class NotACatalog(DgmmisError):
    """The folder is no catalogue, or one of a format this version cannot read."""

    exit_code = 3


class CatalogLocked(DgmmisError):
    """Another process appends to this catalogue."""

    exit_code = 75


class CorruptCatalog(DgmmisError):
    """A stored chunk is not what was written.

    Attributes
    ----------
    array : str
        Name of the stored array.
    chunk : int
        Chunk along the rows.
    rows : tuple of int
        First row and one past the last row of that chunk.
    """

    exit_code = 5

    def __init__(self, array: str, chunk: int, rows: tuple[int, int], what: str) -> None:
        super().__init__(
            f"array '{array}', chunk {chunk} (rows {rows[0]}..{rows[1] - 1}): {what}. The catalogue was "
            "altered after it was written: restore that file from a copy or ingest the source again."
        )
        self.array, self.chunk, self.rows, self.what = array, chunk, rows, what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.array, self.chunk, self.rows, self.what)


class SelectionError(InvalidData):
    """A selection function that cannot be used: what it was asked, what it answered, and what to do."""
