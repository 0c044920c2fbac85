"""Binary tables of FITS files, plain or compressed with gzip.

astropy reads the headers; the rows are read from their place in the file in slabs of bounded size, so that
neither a compressed nor a huge file is ever held in memory.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.optional_libraries import load_library
from dgmmis.readers.identifiers import checked_ids, kind_of_ids, refuse_missing_id
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["FITS_SUFFIXES", "FitsSource"]

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")

SLAB_BYTES = 16 << 20
"""Rows of all columns held at once: FITS stores row by row, so all are read."""


@dataclass(frozen=True)
class _Column:
    """How the raw numbers of a column are to be read."""

    raw: np.dtype[Any]
    logical: bool
    null: int | None
    scale: float
    zero: float

    @property
    def is_scaled(self) -> bool:
        return (self.scale, self.zero) != (1.0, 0.0)

    @property
    def is_unsigned(self) -> bool:
        """FITS has no unsigned integers; they are stored shifted by half their range."""
        return self.raw.kind == "i" and self.scale == 1 and self.zero == 2.0 ** (8 * self.raw.itemsize - 1)

    @property
    def holds_whole_numbers(self) -> bool:
        plain = not self.is_scaled or self.is_unsigned
        return self.raw.kind in "iu" and self.raw.shape == () and plain and not self.logical


class FitsSource:
    """Rows of the first binary table of a FITS file that has the wanted columns.

    Parameters
    ----------
    path : Path
    wanted : sequence of str
        Columns by which the table is chosen; if no table has them all, it is the first table.

    Raises
    ------
    InvalidData
        If the file is not readable as FITS or has no binary table.
    """

    def __init__(self, path: Path, wanted: Sequence[str] = ()) -> None:
        self.name = path.name
        self._path = path
        fits = load_library("astropy.io.fits", "reading FITS files", "readers")
        try:
            # Odd headers are read as well as can be; whether the rows are whole is checked on reading.
            with warnings.catch_warnings(action="ignore"), fits.open(path, memmap=False) as file:
                self._take_table(self._choose(fits, file, wanted))
        except (OSError, TypeError, fits.VerifyError) as error:
            raise InvalidData(f"{self.name} cannot be read as FITS: {error}", array=self.name) from error

    def _choose(self, fits: Any, file: Any, wanted: Sequence[str]) -> Any:
        tables = [unit for unit in file if isinstance(unit, fits.BinTableHDU)]
        if not tables:
            raise InvalidData(f"{self.name} has no binary table.", array=self.name)
        return next((unit for unit in tables if set(wanted) <= set(unit.columns.names)), tables[0])

    def _take_table(self, table: Any) -> None:
        definitions = table.columns
        self._dtype: np.dtype[Any] = definitions.dtype.newbyteorder(">")
        self._start = int(table.fileinfo()["datLoc"])
        self.columns: tuple[str, ...] = tuple(definitions.names)
        self.units: Mapping[str, str] = {c.name: c.unit for c in definitions if c.unit}
        self.n_rows: int = int(table.header["NAXIS2"])
        self._columns = {
            c.name: _Column(
                self._dtype[c.name],
                str(c.format).strip("0123456789") == "L",
                c.null if isinstance(c.null, int) else None,
                1.0 if c.bscale in (None, "") else float(c.bscale),
                0.0 if c.bzero in (None, "") else float(c.bzero),
            )
            for c in definitions
        }

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool, int64 (where no value can be missing), float32 or float64."""
        found = self._columns[column]
        if found.raw.shape != () or (found.raw.kind not in "iuf" and not found.logical):
            what = f"{found.raw.shape[0]} numbers per row" if found.raw.shape else f"type {found.raw}"
            raise InvalidData(
                f"{self.name}: column '{column}' has {what}, not one number per row. Give a column of numbers.",
                array=self.name,
                column=column,
            )
        if found.logical:
            return np.dtype(bool)
        if found.holds_whole_numbers:
            huge = found.is_unsigned and found.raw.itemsize == 8
            return np.dtype(np.float64 if found.null is not None or huge else np.int64)
        is_single = found.raw.kind == "f" and found.raw.itemsize == 4 and not found.is_scaled
        return np.dtype(np.float32 if is_single else np.float64)

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        found = self._columns[column]
        if found.holds_whole_numbers:
            return "integer"
        odd = found.logical or found.raw.kind in "iu"
        return kind_of_ids(self.name, column, np.dtype(bool) if odd else found.raw)

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows slab by slab."""
        types = {name: self.number_type(name) for name in columns if name != id}
        for first_row, slab in self._slabs(batch_rows):
            read = {name: self._numbers(slab, name, types[name]) for name in types}
            if id is not None:
                read[id] = self._ids(slab, id, first_row)
            yield ColumnBatch(first_row, read)

    def _slabs(self, batch_rows: int) -> Iterator[tuple[int, NDArray[Any]]]:
        step = max(1, min(batch_rows, SLAB_BYTES // self._dtype.itemsize))
        open_file: Callable[[Path], Any] = (
            gzip.open if self._path.suffix == ".gz" else partial(open, mode="rb")
        )
        with open_file(self._path) as file:
            file.seek(self._start)
            for first_row in range(0, self.n_rows, step):
                n_rows = min(step, self.n_rows - first_row)
                yield first_row, np.frombuffer(self._read(file, n_rows, first_row), self._dtype)

    def _read(self, file: IO[bytes], n_rows: int, first_row: int) -> bytes:
        wanted = n_rows * self._dtype.itemsize
        try:
            data = file.read(wanted)
        except (OSError, EOFError) as error:
            raise InvalidData(
                f"{self.name} cannot be read: {error}", array=self.name, row=first_row
            ) from error
        if len(data) < wanted:
            row = first_row + len(data) // self._dtype.itemsize
            raise InvalidData(
                f"{self.name} ends after row {row} of {self.n_rows}: the file is truncated.",
                array=self.name,
                row=row,
            )
        return data

    def _numbers(self, slab: NDArray[Any], name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        column, raw = self._columns[name], slab[name]
        if column.logical:
            return np.asarray(raw.view(np.int8) == ord("T"))
        if column.is_unsigned and column.raw.itemsize == 8:
            numbers = _unsigned(raw, column).astype(dtype)
        elif column.is_scaled:
            numbers = (raw * column.scale + column.zero).astype(dtype)
        else:
            numbers = raw.astype(dtype)
        if column.null is not None and column.raw.kind in "iu":
            numbers[raw == column.null] = np.nan
        return np.asarray(numbers)

    def _ids(self, slab: NDArray[Any], name: str, first_row: int) -> NDArray[Any]:
        column, raw = self._columns[name], slab[name]
        if column.null is not None and (raw == column.null).any():
            refuse_missing_id(self.name, name, first_row + int(np.flatnonzero(raw == column.null)[0]))
        native = _unsigned(raw, column) if column.is_unsigned else raw.astype(raw.dtype.newbyteorder("="))
        if native.dtype.kind == "S":
            native = np.char.rstrip(native)  # FITS pads text with blanks
        return checked_ids(self.name, name, native, first_row)


def _unsigned(raw: NDArray[Any], column: _Column) -> NDArray[Any]:
    """Undo the shift of unsigned integers exactly: it flips the highest bit."""
    size = column.raw.itemsize
    shifted = raw.astype(f"i{size}").view(f"u{size}")
    return np.asarray(shifted ^ np.array(1 << (8 * size - 1), f"u{size}"))
