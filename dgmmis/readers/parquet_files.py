"""Parquet: one file, or a folder of files read in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import EmptySource, InvalidData, UnitMismatch
from dgmmis.optional_libraries import load_library
from dgmmis.readers.arrow_columns import arrow_batch, arrow_id_kind, arrow_number_type, split_batch
from dgmmis.readers.source import ColumnBatch, IdKind, require_columns

__all__ = ["PARQUET_SUFFIXES", "ParquetSource"]

PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")

BUFFER_BYTES = 1 << 20
"""Read ahead per column; without a bound a whole row group's columns would be held at once."""


class ParquetSource:
    """Rows of a Parquet file or of all Parquet files below a folder.

    Units are taken from each field's metadata key "unit".

    Parameters
    ----------
    path : Path
    files : sequence of Path, optional
        Those of the folder, if they are known and not all that lie below it.

    Raises
    ------
    InvalidData
        If a file is not readable as Parquet.
    EmptySource
        If the folder holds no Parquet file.
    """

    def __init__(self, path: Path, files: Sequence[Path] = ()) -> None:
        self.name = path.name
        self._parquet = load_library("pyarrow.parquet", "reading Parquet files", "readers")
        self._arrow = load_library("pyarrow", "reading Parquet files", "readers")
        self._paths = list(files) or (_parquet_files(path) if path.is_dir() else [path])
        with self._open(self._paths[0]) as file:
            self._schema = file.schema_arrow

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the first file."""
        return tuple(self._schema.names)

    @property
    def units(self) -> Mapping[str, str]:
        """Units from the fields' metadata."""
        return _units_in(self._schema)

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return sum(n_rows for n_rows, _ in self._footers)

    @cached_property
    def _footers(self) -> list[tuple[int, dict[str, tuple[Any, bool]]]]:
        """Of each file: its rows; and for each of its columns the type, and whether values may be missing."""
        footers = []
        for path in self._paths:
            with self._open(path) as file:
                gaps = _columns_with_gaps(file.metadata)
                kinds = {field.name: (field.type, field.name in gaps) for field in file.schema_arrow}
                footers.append((file.metadata.num_rows, kinds))
        return footers

    def number_type(self, column: str) -> np.dtype[Any]:
        """Widest type of a column over all files."""
        types = [
            self._type_in(path, kinds, column)
            for path, (_, kinds) in zip(self._paths, self._footers, strict=True)
        ]
        return np.result_type(*types)

    def _type_in(self, path: Path, kinds: dict[str, tuple[Any, bool]], column: str) -> np.dtype[Any]:
        require_columns(path.name, list(kinds), [column], " All files of a folder need the same columns.")
        kind, has_gaps = kinds[column]
        return arrow_number_type(path.name, column, kind, may_be_missing=has_gaps)

    def id_kind(self, column: str) -> IdKind:
        """How a column serves as id, by its type in the first file."""
        return arrow_id_kind(self.name, column, self._schema.field(column).type)

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows file by file; row numbers run on from one file to the next."""
        types = {name: np.dtype(bool) if name == id else self.number_type(name) for name in columns}
        first_row = 0
        for path in self._paths:
            for batch in self._record_batches(path, columns, batch_rows):
                yield arrow_batch(path.name, batch, types, id, first_row)
                first_row += batch.num_rows

    def _require_same_units(self, path: Path, schema: Any, columns: Sequence[str]) -> None:
        there = _units_in(schema)
        for name in columns:
            here, first = there.get(name, ""), self.units.get(name, "")
            if here != first:
                raise UnitMismatch(
                    f"column '{name}' is in '{here}' in {path.name} and in '{first}' in the first file of the folder. "
                    "Bring the files to one unit.",
                    array=path.name,
                    column=name,
                    value=here,
                )

    def _record_batches(self, path: Path, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        with self._open(path) as file:
            self._require_same_units(path, file.schema_arrow, columns)
            try:
                for batch in file.iter_batches(batch_rows, columns=list(columns)):
                    yield from split_batch(batch, batch_rows)
            except (self._arrow.ArrowInvalid, OSError) as error:
                raise _unreadable(path, error) from error

    def _open(self, path: Path) -> Any:
        try:
            return self._parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
        except (self._arrow.ArrowInvalid, OSError) as error:
            raise _unreadable(path, error) from error


def _parquet_files(folder: Path) -> list[Path]:
    """Return all Parquet files below a folder, but for those whose names begin with '_' or '.'."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in PARQUET_SUFFIXES and path.is_file() and path.name[0] not in "_."
    )
    if not found:
        raise EmptySource(
            f"folder {folder.name} holds no file that ends in {', '.join(PARQUET_SUFFIXES)}; a folder is "
            "read as Parquet files.",
            array=folder.name,
        )
    return found


def _columns_with_gaps(metadata: Any) -> set[str]:
    """Columns that lack values somewhere, or do not say."""
    gaps = set()
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                gaps.add(column.path_in_schema)
    return gaps


def _unreadable(path: Path, error: Exception) -> InvalidData:
    return InvalidData(f"{path.name} cannot be read as Parquet: {error}", array=path.name)


def _units_in(schema: Any) -> dict[str, str]:
    """Units that the fields of an Arrow schema state."""
    found = {field.name: (field.metadata or {}).get(b"unit", b"") for field in schema}
    return {name: unit.decode("utf-8", "replace") for name, unit in found.items() if unit}
