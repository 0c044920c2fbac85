"""HDF5 files: the table in them that has the wanted columns, read slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import EmptySource, InvalidData
from dgmmis.optional_libraries import load_library
from dgmmis.readers.array_sources import number_type_of
from dgmmis.readers.hdf5_tables import HIDDEN, Hdf5Column, Hdf5Table, tables_in
from dgmmis.readers.identifiers import checked_ids, kind_of_ids, refuse_missing_id
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["HDF5_SUFFIXES", "Hdf5Source", "split_node"]

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
CHUNK_CACHE_BYTES = 16 << 20
"""Of each dataset: a batch that ends inside a compressed chunk need not decode it again."""

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises for files that were cut off, altered or never were HDF5."""


def split_node(text: str) -> tuple[str, str]:
    """Split FILE.h5::GROUP/TABLE into the file and the place in it; anything else is left whole."""
    file, _, node = text.partition("::")
    return (file, node.strip("/")) if file.lower().endswith(HDF5_SUFFIXES) else (text, "")


class Hdf5Source:
    """Rows of a table of an HDF5 file.

    A table is a dataset of compound type; or the datasets of one group that are one-dimensional and of one length;
    or a data frame as pandas stores it.  Units are those of attributes `unit` or `units`, or what astropy writes.

    Parameters
    ----------
    path : Path
    wanted : sequence of str
        Columns by which one of several tables is chosen.
    node : str
        Place of the table or of a group above it; "" if there is one only.

    Raises
    ------
    InvalidData
        If it is not readable as HDF5, or several tables have the wanted columns.
    EmptySource
        If there is no table.
    """

    def __init__(self, path: Path, wanted: Sequence[str], node: str = "") -> None:
        self.name = path.name
        self._path = path
        self._h5py = load_library("h5py", "reading HDF5 files", "readers")
        with self._open() as file:
            self._table = self._choose(self._tables(file), wanted, node)
        self.columns: tuple[str, ...] = tuple(self._table.columns)
        self.units: Mapping[str, str] = self._table.units
        self.n_rows: int = self._table.n_rows

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool, int64 (where no value can be missing), float32 or float64."""
        found = self._table.columns[column]
        self._require_plain(found, column)
        dtype = number_type_of(self.name, column, found.dtype)
        return np.dtype(np.float64) if found.may_be_missing and dtype.kind == "i" else dtype

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        found = self._table.columns[column]
        self._require_plain(found, column)
        return "text" if found.is_text else kind_of_ids(self.name, column, found.dtype)

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows slice by slice."""
        types = {name: self.number_type(name) for name in columns if name != id}
        with self._open() as file:
            for first in range(0, self.n_rows, batch_rows):
                end = min(first + batch_rows, self.n_rows)
                raw, gaps = self._read(file, columns, first, end)
                read = {name: _numbers(raw[name], gaps.get(name), types[name]) for name in types}
                if id is not None:
                    read[id] = self._ids(id, raw[id], gaps.get(id), first)
                yield ColumnBatch(first, read)

    def _read(
        self, file: Any, columns: Sequence[str], first: int, end: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
        try:
            return self._table.read(file, columns, first, end)
        except UNREADABLE as error:
            raise InvalidData(
                f"{self.name}, from row {first}: it cannot be read: {error}. Fetch the file again.",
                array=self.name,
                row=first,
            ) from error

    def _open(self) -> Any:
        try:
            return self._h5py.File(self._path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES, locking="best-effort")
        except UNREADABLE as error:
            raise InvalidData(f"{self.name} cannot be read as HDF5: {error}", array=self.name) from error

    def _tables(self, file: Any) -> list[Hdf5Table]:
        try:
            return tables_in(file)
        except UNREADABLE as error:
            raise InvalidData(f"{self.name} cannot be read as HDF5: {error}", array=self.name) from error

    def _choose(self, tables: list[Hdf5Table], wanted: Sequence[str], node: str) -> Hdf5Table:
        below = [table for table in tables if (table.node + "/").startswith(f"{node}/") or not node]
        if not below:
            places = ", ".join(f"/{table.node}" for table in tables) or "none"
            raise EmptySource(
                f"{self.name} holds no table{f' at /{node}' if node else ''}; tables are: {places}. A table is a "
                "dataset of compound type, or datasets of one length in a group.",
                array=self.name,
            )
        having = [table for table in below if set(wanted) <= set(table.columns)]
        if len(having) > 1:
            places = ", ".join(f"/{table.node}" for table in having)
            raise InvalidData(
                f"{self.name} has {len(having)} tables with these columns: {places}. Name one: "
                f"{self.name}::/{having[0].node}.",
                array=self.name,
            )
        if having:
            return having[0]
        nearest = max(below, key=lambda table: len(set(wanted) & set(table.columns)))
        for name, column in nearest.columns.items():
            if column.fault == HIDDEN:
                self._require_plain(column, name)
        return nearest

    def _require_plain(self, column: Hdf5Column, name: str) -> None:
        if column.fault:
            raise InvalidData(f"{self.name}: column '{name}' {column.fault}", array=self.name, column=name)

    def _ids(self, name: str, raw: NDArray[Any], gaps: NDArray[np.bool_] | None, first: int) -> NDArray[Any]:
        if gaps is not None and gaps.any():
            refuse_missing_id(self.name, name, first + int(np.flatnonzero(gaps)[0]))
        if raw.dtype == object:  # text of any length
            texts = [text.encode() if isinstance(text, str) else bytes(text) for text in raw]
            raw = np.array(texts, dtype="S") if any(texts) else np.zeros(len(raw), "S1")
        return checked_ids(self.name, name, raw.astype(raw.dtype.newbyteorder("="), copy=False), first)


def _numbers(raw: NDArray[Any], gaps: NDArray[np.bool_] | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    numbers = raw.astype(dtype)
    if gaps is not None:
        numbers[gaps] = False if dtype.kind == "b" else np.nan
    return numbers
