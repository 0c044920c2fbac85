"""Arrays with names and units: Datasets and DataArrays of xarray, tables of astropy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.readers.array_sources import ArrayTable, MatrixSource
from dgmmis.readers.identifiers import kind_of_ids, refuse_missing_id
from dgmmis.readers.lazy_arrays import DaskArray, SlicedArray, is_a
from dgmmis.readers.row_arrays import MemoryArray, RowArray
from dgmmis.readers.source import IdKind, Source

__all__ = ["open_labelled"]


def open_labelled(source: object, features: Sequence[str]) -> Source | None:
    """Open a Dataset, a DataArray or a Table, or return None if the source is none of these."""
    if is_a(source, "astropy.table", "Table"):
        return AstropySource(source)
    if is_a(source, "xarray", "DataArray"):
        return _open_data_array(source, features)
    if is_a(source, "xarray", "Dataset"):
        return _open_dataset(source, features)
    return None


def _open_dataset(dataset: Any, features: Sequence[str], unit: str = "") -> ArrayTable:
    """Take all variables that run along the dimension of the features, coordinates included."""
    dimension = _dimension(dataset, features)
    along = {
        name: variable
        for name, variable in dataset.variables.items()
        if isinstance(name, str) and variable.dims == (dimension,)
    }
    units = {name: str(variable.attrs.get("units", unit)) for name, variable in along.items()}
    arrays = {name: _rows_of(dataset, name, dimension) for name in along}
    return ArrayTable("Dataset", arrays, units={name: text for name, text in units.items() if text})


def _dimension(dataset: Any, features: Sequence[str]) -> Any:
    found = [dataset.variables[name] for name in features if name in dataset.variables]
    flat = [variable.dims[0] for variable in found or dataset.variables.values() if len(variable.dims) == 1]
    if not flat:
        shapes = ", ".join(f"{name} {variable.dims}" for name, variable in dataset.variables.items())
        raise InvalidData(
            f"Dataset: no variable runs along one dimension of rows, which a column has to: {shapes}.",
            array="Dataset",
        )
    return flat[0]


def _rows_of(dataset: Any, name: str, dimension: Any) -> RowArray:
    variable = dataset.variables[name]
    if is_a(variable.data if variable.chunks else None, "dask.array", "Array"):
        return DaskArray(f"Dataset, variable '{name}'", variable.data)
    return SlicedArray(
        f"Dataset, variable '{name}'",
        variable.shape,
        variable.dtype,
        lambda first, end: variable.isel({dimension: slice(first, end)}).values,
    )


def _open_data_array(array: Any, features: Sequence[str]) -> Source:
    """Take rows along the first dimension; the second one's coordinate names the columns."""
    if array.ndim != 2:
        raise InvalidData(
            f"DataArray: it has dimensions {array.dims}; expected rows and features.", array="DataArray"
        )
    labels = array.dims[1]
    if labels in array.coords and array.coords[labels].dtype.kind in "UO":
        names = [str(label) for label in array.coords[labels].values]
        dataset = array.reset_coords(drop=True).to_dataset(dim=labels)
        return _open_dataset(dataset.rename(dict(zip(dataset.data_vars, names, strict=True))), features,
                             str(array.attrs.get("units", "")))  # fmt: skip
    rows = (
        DaskArray("DataArray", array.data)
        if array.chunks
        else SlicedArray("DataArray", array.shape, array.dtype, lambda first, end: array[first:end].values)
    )
    return MatrixSource("DataArray", features, rows)


class AstropySource(ArrayTable):
    """Rows of a Table or QTable: units as its columns have them, masked values missing.

    Parameters
    ----------
    table : astropy.table.Table
    """

    def __init__(self, table: Any) -> None:
        columns = {name: _Masked(table[name]) for name in table.colnames}
        units = {name: _unit_of(table[name]) for name in table.colnames}
        super().__init__("Table", columns, units={name: unit for name, unit in units.items() if unit})
        self._masked = {name: column for name, column in columns.items() if column.has_gaps}

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        if column in self._masked:
            refuse_missing_id(self.name, column, self._masked[column].first_gap)
        return kind_of_ids(self.name, column, self._types[column])


class _Masked:
    """A column of an astropy table as rows: what is masked is NaN, which makes integers floats."""

    def __init__(self, column: Any) -> None:
        values = getattr(column, "unmasked", column)
        values = getattr(values, "value", values)
        mask = getattr(column, "mask", None)
        self._rows = np.asarray(values.data if np.ma.isMaskedArray(values) else values)
        if not hasattr(column, "unit"):  # neither Column nor Quantity: a Time, coordinates
            self._rows = np.empty(len(column), dtype=object)
        self._mask: NDArray[np.bool_] | None = None
        if isinstance(mask, np.ndarray) and mask.shape == self._rows.shape and mask.any():
            self._mask = mask
        self.shape: tuple[int, ...] = (len(self._rows),)
        self.dtype = self._dtype()

    @property
    def has_gaps(self) -> bool:
        """Whether a value is masked."""
        return self._mask is not None

    @property
    def first_gap(self) -> int:
        """Row of the first value that is masked."""
        assert self._mask is not None
        return int(np.flatnonzero(self._mask.reshape(len(self._mask), -1).any(axis=1))[0])

    def _dtype(self) -> np.dtype[Any]:
        if self._rows.ndim > 1:
            return np.dtype((self._rows.dtype, self._rows.shape[1:]))
        if self._mask is not None and self._rows.dtype.kind in "iu":
            return np.dtype(np.float64)
        return self._rows.dtype

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""
        first = 0
        for part in MemoryArray(self._rows).rows(batch_rows):
            if self._mask is not None:
                gaps = self._mask[first : first + len(part)]
                part = np.where(gaps, _missing(part.dtype), part).astype(self.dtype)
            yield part
            first += batch_rows


def _missing(dtype: np.dtype[Any]) -> Any:
    """Give what stands for a value that is missing: neither true nor false is false, as everywhere."""
    return dtype.type() if dtype.kind in "bSU" else np.nan


def _unit_of(column: Any) -> str:
    unit = getattr(column, "unit", None)
    return "" if unit is None else str(unit)
