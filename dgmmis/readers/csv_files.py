"""CSV files, plain or compressed with gzip, read as a stream."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import EmptySource, InvalidData
from dgmmis.optional_libraries import load_library
from dgmmis.readers.arrow_columns import arrow_batch, split_batch
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["CsvSource"]

BLOCK_BYTES = 4 << 20
"""Text parsed at a time: small enough to be no burden, large enough for the types to be guessed well."""

MISSING = ["", "NaN", "nan", "NAN", "-NaN", "-nan", "null", "NULL", "NA", "N/A", "n/a", "#N/A", "None", "--"]


class CsvSource:
    """Rows of a CSV file whose first line names the columns.

    Numbers are read as float64; columns of true and false as such; empty fields, NaN and null are missing.

    Parameters
    ----------
    path : Path
        Ends in .csv or .csv.gz.

    Raises
    ------
    InvalidData
        If it is not readable as CSV.
    EmptySource
        If it has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._csv = load_library("pyarrow.csv", "reading CSV files", "readers")
        self._arrow = load_library("pyarrow", "reading CSV files", "readers")
        with self._open(None) as stream:
            self._schema = stream.schema
        try:
            self._schema.names  # noqa: B018  decoded on access
        except UnicodeDecodeError as error:
            raise InvalidData(
                f"{self.name}: the names of the columns are not UTF-8. Save the file as UTF-8.",
                array=self.name,
            ) from error
        if self._schema.names and not self.columns:
            raise InvalidData(f"{self.name}: the first line names no columns.", array=self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the first line."""
        return tuple(self._schema.names)

    @property
    def units(self) -> Mapping[str, str]:
        """Nothing: CSV files state no units."""
        return {}

    @property
    def n_rows(self) -> None:
        """Unknown before the end."""
        return

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool for columns of true and false, else float64."""
        guessed = str(self._schema.field(column).type)
        if guessed not in ("bool", "double", "int64", "null"):
            self._complain_of(column)
        return np.dtype(bool if guessed == "bool" else np.float64)

    def id_kind(self, column: str) -> IdKind:
        """Integer if all ids of the first megabytes are, else text."""
        return "integer" if self._schema.field(column).type == "int64" else "text"

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows as the stream is parsed."""
        types = {name: np.dtype(bool) if name == id else self.number_type(name) for name in columns}
        first_row = 0
        with self._open({name: self._arrow_type(name, id) for name in columns}) as stream:
            for whole in self._parsed(stream):
                for batch in split_batch(whole, batch_rows):
                    yield arrow_batch(self.name, batch, types, id, first_row)
                    first_row += batch.num_rows

    def _complain_of(self, column: str) -> None:
        """Raise `InvalidData` for the first value that is no number."""
        with self._open({column: self._arrow.float64()}) as stream:
            deque(self._parsed(stream), maxlen=0)

    def _arrow_type(self, column: str, id: str | None) -> Any:
        if column == id:
            return self._arrow.int64() if self.id_kind(column) == "integer" else self._arrow.string()
        return self._arrow.bool_() if self.number_type(column).kind == "b" else self._arrow.float64()

    def _open(self, types: dict[str, Any] | None) -> Any:
        convert = self._csv.ConvertOptions(
            column_types=types,
            include_columns=list(types or []),
            null_values=MISSING,
            strings_can_be_null=True,
        )
        # One thread: only then does a complaint name its row.
        read = self._csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
        try:
            return self._csv.open_csv(str(self._path), read_options=read, convert_options=convert)
        except self._arrow.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise EmptySource(
                    f"{self.name} is empty. Give a file whose first line names the columns.", array=self.name
                ) from error
            raise self._unreadable(error) from error
        except OSError as error:
            raise self._unreadable(error) from error

    def _parsed(self, stream: Any) -> Iterator[Any]:
        try:
            yield from stream
        except (self._arrow.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InvalidData:
        """Name the row and column that the parser complains of, where it does."""
        text = str(error)
        line = re.search(r"Row #(\d+)", text)
        column = re.search(r"column #(\d+)", text)
        value = re.search(r"invalid value '(.*)'", text)
        name = self.columns[int(column[1])] if column and hasattr(self, "_schema") else None
        place = f", column '{name}'" if name else ""
        return InvalidData(
            f"{self.name}{place} cannot be read: {text}. Missing values are empty, NaN or null. "
            "(The header counts as row 1 here.)",
            array=self.name,
            row=int(line[1]) - 2 if line else None,
            column=name,
            value=value[1] if value else None,
        )
