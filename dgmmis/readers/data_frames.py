"""Data frames of pandas and Dask, and LSDB catalogues: one partition at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from dgmmis.errors import InvalidData
from dgmmis.optional_libraries import load_library
from dgmmis.readers.arrow_columns import arrow_batch, arrow_id_kind, arrow_number_type, split_batch
from dgmmis.readers.lazy_arrays import computed, is_a
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["FrameSource", "open_frame"]


def open_frame(source: object) -> FrameSource | None:
    """Open a data frame, or return None if the source is none."""
    if is_a(source, "pandas", "DataFrame"):
        return FrameSource("data frame", source, 1, lambda frame, _: frame)
    if is_a(source, "lsdb.catalog.dataset.healpix_dataset", "HealpixDataset"):
        source = source.to_dask_dataframe()  # type: ignore[attr-defined]
    if is_a(source, "dask.dataframe", "DataFrame"):
        frame: Any = source
        return FrameSource("Dask data frame", frame, frame.npartitions, _partition)
    return None


def _partition(frame: Any, number: int) -> Any:
    return frame.partitions[number].compute()


class FrameSource:
    """Rows of a data frame; a named index is a column too.

    Units are taken from `attrs["units"]`, a mapping of column to unit, where a frame has that.

    Parameters
    ----------
    name : str
    frame : pandas or Dask data frame
    n_partitions : int
    partition : callable
        From a frame and a number to that partition as a pandas data frame.
    """

    def __init__(
        self, name: str, frame: Any, n_partitions: int, partition: Callable[[Any, int], Any]
    ) -> None:
        self.name = name
        self._arrow = load_library("pyarrow", "reading data frames", "readers")
        self._frame, self._n_partitions, self._partition = frame, n_partitions, partition
        self._meta = getattr(frame, "_meta", frame)
        self._in_index = tuple(label for label in self._meta.index.names if isinstance(label, str))
        own = [label for label in self._meta.columns if isinstance(label, str)]
        self.columns: tuple[str, ...] = (*own, *(label for label in self._in_index if label not in own))
        units = getattr(self._meta, "attrs", {}).get("units", {})
        self.units: Mapping[str, str] = (
            {name: str(unit) for name, unit in units.items() if unit} if isinstance(units, Mapping) else {}
        )
        self.n_rows: int | None = len(frame) if frame is self._meta else None

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool, int64, float32 or float64."""
        may_be_missing = not isinstance(self._labels(column).dtype, np.dtype)
        kind = self._kind(column)
        if self._arrow.types.is_null(kind) and self.n_rows is None:
            self._refuse(column, "type object")
        return arrow_number_type(self.name, column, kind, may_be_missing=may_be_missing)

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        kind = self._kind(column)
        return "text" if self._arrow.types.is_null(kind) else arrow_id_kind(self.name, column, kind)

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows partition by partition."""
        types = {name: np.dtype(bool) if name == id else self.number_type(name) for name in columns}
        held = [name for name in columns if name in self._meta.columns]
        frame = self._frame[held]
        first_row = 0
        for number in range(self._n_partitions):
            name = self.name if self._n_partitions == 1 else f"{self.name}, partition {number}"
            part = computed(partial(self._partition, frame, number), name, first_row)
            for batch in self._record_batches(part, columns, name, first_row, batch_rows):
                self._require_same_kinds(name, batch, types, id)
                yield arrow_batch(name, batch, types, id, first_row)
                first_row += batch.num_rows

    def _record_batches(
        self, part: Any, columns: Sequence[str], name: str, first_row: int, batch_rows: int
    ) -> Iterator[Any]:
        if any(column not in part.columns for column in columns):
            part = part.reset_index()
        for first in range(0, len(part), batch_rows):
            rows = part.iloc[first : first + batch_rows]
            arrays = [self._as_arrow(name, column, rows[column], first_row + first) for column in columns]
            yield from split_batch(self._arrow.record_batch(arrays, names=list(columns)), batch_rows)

    def _as_arrow(self, name: str, column: str, values: Any, first_row: int) -> Any:
        try:
            array = self._arrow.array(values, from_pandas=True)
        except (self._arrow.ArrowException, TypeError, ValueError) as error:
            raise InvalidData(
                f"{name}, from row {first_row}: column '{column}' mixes kinds of values: {error}. Give it one type.",
                array=self.name,
                row=first_row,
                column=column,
            ) from error
        return array.combine_chunks() if isinstance(array, self._arrow.ChunkedArray) else array

    def _require_same_kinds(
        self, name: str, batch: Any, types: Mapping[str, np.dtype[Any]], id: str | None
    ) -> None:
        """Partitions may hold other types than the frame says; numbers have to be numbers."""
        for column in types:
            if column != id:
                arrow_number_type(name, column, batch.column(column).type, may_be_missing=True)

    def _labels(self, column: str) -> Any:
        return (
            self._meta[column] if column in self._meta.columns else self._meta.index.get_level_values(column)
        )

    def _kind(self, column: str) -> Any:
        return self._as_arrow(self.name, column, self._labels(column), 0).type

    def _refuse(self, column: str, what: str) -> None:
        raise InvalidData(
            f"{self.name}: column '{column}' has {what}, not one number per row. Give a column of numbers.",
            array=self.name,
            column=column,
        )
