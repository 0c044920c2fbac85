"""Rows in plain files: scratch space of an ingest, in the layout of one record a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.store.chunk_arrays import columns_of
from dgmmis.store.layout import Layout
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["RowFile", "record_type"]


def record_type(schema: Schema) -> np.dtype[Any]:
    """All columns of one row."""
    arrays = Layout(schema, 1, 1, 1).rows
    return np.dtype(
        [(name, array.dtype, () if array.width is None else array.width) for name, array in arrays.items()]
    )


class RowFile:
    """A file that rows are appended to, and read from in blocks; open only while it is read or written.

    Parameters
    ----------
    path : Path
    schema : Schema
        Of the rows, to which they conform.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path, self._schema = path, schema
        self._type = record_type(schema)
        self.n_rows = 0

    def append(self, rows: StoredRows) -> None:
        """Write rows behind those that are there."""
        columns = columns_of(rows)
        records = np.empty(len(rows), self._type)
        for name in self._type.names or ():
            records[name] = columns[name]
        with self._path.open("ab") as file:
            file.write(records.data)
        self.n_rows += len(rows)

    def blocks(self, n_rows: int) -> Iterator[StoredRows]:
        """Read the rows in the order they were appended, at most `n_rows` at once."""
        with self._path.open("rb") as file:
            for first in range(0, self.n_rows, n_rows):
                count = min(n_rows, self.n_rows - first)
                content = file.read(count * self._type.itemsize)
                yield self._rows(np.frombuffer(content, self._type, count))

    def remove(self) -> None:
        """Delete the file, if anything was ever written."""
        self._path.unlink(missing_ok=True)

    def _rows(self, records: np.ndarray[Any, Any]) -> StoredRows:
        columns = {name: np.ascontiguousarray(records[name]) for name in self._type.names or ()}
        return StoredRows(
            columns["source_row"],
            columns.get("row_id", columns["source_row"]),
            columns["values"],
            {name: columns[name] for name in self._schema.noise_widths},
            columns.get("weights"),
        )
