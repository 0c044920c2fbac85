"""What every source of rows offers: its columns, their kinds, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData, UnknownColumn

__all__ = ["ColumnBatch", "IdKind", "Source", "require_columns"]

IdKind = Literal["integer", "text"]


@dataclass(frozen=True)
class ColumnBatch:
    """Consecutive rows of some columns.

    Attributes
    ----------
    first_row : int
        Row number of the first of them in the source, counted from 0.
    columns : dict of str to (n,) arrays
        Numbers are bool, int64, float32 or float64 in native byte order; what is missing is NaN.  The
        column asked for as id is int64, or UTF-8 bytes ("S").
    noise : dict of str to arrays
        Noise that came as arrays beside the columns, in stored form: `variances` (n, D) or
        `covariances` (n, P); empty for tables.
    """

    first_row: int
    columns: dict[str, NDArray[Any]]
    noise: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Source(Protocol):
    """Rows to be read in order, a batch at a time."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all its columns."""

    @property
    def units(self) -> Mapping[str, str]:
        """Units as the source writes them, of the columns that have one."""

    @property
    def n_rows(self) -> int | None:
        """Rows, or None when only reading to the end would tell."""

    def number_type(self, column: str) -> np.dtype[Any]:
        """Type in which a column arrives: bool, int64, float32 or float64.

        Raises
        ------
        InvalidData
            If the column holds no numbers.
        """

    def id_kind(self, column: str) -> IdKind:
        """How a column arrives as id.

        Raises
        ------
        InvalidData
            If it holds neither integers nor text.
        """

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield all rows in order, at most `batch_rows` at a time.

        Raises
        ------
        InvalidData
            If a value cannot be read, or an id is missing; the row is named.
        """


def require_columns(
    source_name: str, available: Sequence[str], wanted: Sequence[str], advice: str = ""
) -> None:
    """Raise `UnknownColumn`, with similar names, for the first wanted column that is not available."""
    for name in wanted:
        if available.count(name) > 1:
            raise InvalidData(
                f"{source_name} has {available.count(name)} columns named '{name}': rename all but one.",
                array=source_name,
                column=name,
            )
        if name not in available:
            raise UnknownColumn(
                f"{source_name} has no column '{name}'. {_similar(name, available)}{advice}",
                array=source_name,
                column=name,
            )


def _similar(name: str, available: Sequence[str]) -> str:
    lowered = {column.lower(): column for column in available}
    close = [lowered[match] for match in get_close_matches(name.lower(), lowered, n=5, cutoff=0.6)]
    if close:
        return f"Similar: {', '.join(close)}."
    shown = ", ".join(list(available)[:20])
    return f"It has {len(available)} columns: {shown}{', ...' if len(available) > 20 else ''}."
