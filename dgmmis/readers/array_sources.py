"""Sources made of NumPy arrays: tables of named columns, and matrices of values with their noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.noise import Noise
from dgmmis.readers.identifiers import checked_ids, kind_of_ids
from dgmmis.readers.row_arrays import RowArray
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["ArrayTable", "MatrixSource", "number_type_of"]


class ArrayTable:
    """Named arrays of one length, or one structured array, as a table.

    Parameters
    ----------
    name : str
    arrays : mapping of str to (N,) arrays
    fields_of : RowArray, optional
        A structured array (N,) instead.
    units : mapping of str to str, optional

    Raises
    ------
    InvalidData
        If arrays are not one-dimensional or their lengths differ.
    """

    def __init__(
        self,
        name: str,
        arrays: Mapping[str, RowArray],
        fields_of: RowArray | None = None,
        units: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.units: Mapping[str, str] = dict(units or {})
        self._arrays = dict(arrays)
        self._structured = fields_of
        if fields_of is not None:
            self._types = {field: fields_of.dtype[field] for field in fields_of.dtype.names or ()}
            lengths = {"all fields": fields_of.shape}
        else:
            self._types = {column: array.dtype for column, array in arrays.items()}
            lengths = {column: array.shape for column, array in arrays.items()}
        _require_one_length(name, lengths)
        self.columns = tuple(self._types)
        self.n_rows = next(iter(lengths.values()))[0] if lengths else 0

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool, int64, float32 or float64."""
        return number_type_of(self.name, column, self._types[column])

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        return kind_of_ids(self.name, column, self._types[column])

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows of the wanted arrays side by side."""
        types = {name: self.number_type(name) for name in columns if name != id}
        first_row = 0
        for parts in self._parts(columns, batch_rows):
            read = {name: parts[name].astype(dtype, copy=False) for name, dtype in types.items()}
            if id is not None:
                read[id] = checked_ids(self.name, id, parts[id], first_row)
            batch = ColumnBatch(first_row, read)
            yield batch
            first_row += len(batch)

    def _parts(self, columns: Sequence[str], batch_rows: int) -> Iterator[dict[str, NDArray[Any]]]:
        if self._structured is not None:
            for rows in self._structured.rows(batch_rows):
                yield {name: rows[name] for name in columns}
            return
        for parts in zip(*(self._arrays[name].rows(batch_rows) for name in columns), strict=True):
            yield dict(zip(columns, parts, strict=True))


class MatrixSource:
    """A matrix of values, its columns named by the caller, with noise, weights and ids beside it.

    Parameters
    ----------
    name : str
    features : sequence of D str
    values : (N, D)
    noise : None, (N, D) variances, (N, D, D) covariances, (N, P) packed covariances
    shared_noise : (D, D), optional
        One covariance for all rows.
    beside : mapping of str to (N,) arrays
        Further columns, such as `weights` and `row_id`.

    Raises
    ------
    InvalidData
        If shapes do not fit each other.
    """

    units: Mapping[str, str] = {}

    def __init__(
        self,
        name: str,
        features: Sequence[str],
        values: RowArray,
        *,
        noise: RowArray | None = None,
        shared_noise: NDArray[np.float64] | None = None,
        beside: Mapping[str, RowArray] | None = None,
    ) -> None:
        self.name, self.features = name, tuple(features)
        self.shared_noise = shared_noise
        self._values, self._noise, self._beside = values, noise, dict(beside or {})
        if len(values.shape) != 2 or values.shape[1] != len(self.features):
            raise InvalidData(
                f"{name}: values have shape {values.shape}, but {len(self.features)} features were named "
                f"({', '.join(self.features)}). Name every column of the matrix, in order.",
                array=name,
            )
        _require_one_length(
            name, {"values": values.shape[:1]} | {k: a.shape for k, a in self._beside.items()}
        )
        self.n_rows = values.shape[0]
        self.columns = (*self.features, *self._beside)

    @property
    def has_noise(self) -> bool:
        """Whether noise came with the values."""
        return self._noise is not None or self.shared_noise is not None

    @property
    def noise_form(self) -> str:
        """How the rows' noise arrives: "none", "shared", "variances" or "covariances"."""
        if self._noise is None:
            return "none" if self.shared_noise is None else "shared"
        return "variances" if self._noise.shape == self._values.shape else "covariances"

    def number_type(self, column: str) -> np.dtype[Any]:
        """Bool, int64, float32 or float64."""
        array = self._beside.get(column, self._values)
        return number_type_of(self.name, column, array.dtype)

    def id_kind(self, column: str) -> IdKind:
        """Integer, or text."""
        return kind_of_ids(self.name, column, self._beside.get(column, self._values).dtype)

    def batches(
        self, columns: Sequence[str], batch_rows: int, *, id: str | None = None
    ) -> Iterator[ColumnBatch]:
        """Yield the rows of values and of what lies beside them."""
        others = [name for name in columns if name in self._beside]
        streams = [self._values.rows(batch_rows), *(self._beside[name].rows(batch_rows) for name in others)]
        noise = self._noise_batches(batch_rows)
        first_row = 0
        for values, *extra in zip(*streams, strict=True):
            read = {name: values[:, self.features.index(name)] for name in columns if name in self.features}
            for name, part in zip(others, extra, strict=True):
                read[name] = checked_ids(self.name, name, part, first_row) if name == id else part
            yield ColumnBatch(first_row, _typed(read, self, id), next(noise))
            first_row += len(values)

    def _noise_batches(self, batch_rows: int) -> Iterator[dict[str, NDArray[np.float64]]]:
        if self._noise is None:
            while True:
                yield {}
        first_row = 0
        for part in self._noise.rows(batch_rows):
            yield {self.noise_form: _stored_noise(part, self.name, first_row)}
            first_row += len(part)


def _stored_noise(part: NDArray[Any], name: str, first_row: int) -> NDArray[np.float64]:
    """Variances as they are, covariances packed."""
    if part.ndim == 2:
        return part.astype(np.float64, copy=False)
    try:
        packed = Noise.full(part).array
    except InvalidData as error:
        raise InvalidData(
            f"{name}, counted from row {first_row}: {error.message}",
            array=error.array,
            row=None if error.row is None else first_row + error.row,
            column=error.column,
            value=error.value,
        ) from error
    assert packed is not None
    return packed


def _typed(read: dict[str, NDArray[Any]], source: MatrixSource, id: str | None) -> dict[str, NDArray[Any]]:
    return {
        name: array if name == id else array.astype(source.number_type(name), copy=False)
        for name, array in read.items()
    }


def number_type_of(source_name: str, column: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Bool, int64, float32 or float64 for a NumPy type, or `InvalidData` if it is none of one number per row."""
    if dtype.shape != () or dtype.kind not in "biuf":
        raise InvalidData(
            f"{source_name}: column '{column}' has type {dtype}, not one number per row. Give a column of numbers.",
            array=source_name,
            column=column,
        )
    if dtype.kind == "b":
        return np.dtype(bool)
    if dtype.kind in "iu":
        return np.dtype(np.float64 if dtype == np.uint64 else np.int64)
    return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)


def _require_one_length(name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for column, shape in shapes.items():
        if len(shape) != 1:
            raise InvalidData(
                f"{name}: array '{column}' has shape {shape}; a table needs one number per row. A matrix "
                "with its noise goes under the names values and noise.",
                array=name,
                column=column,
            )
    if len(set(shapes.values())) > 1:
        lengths = ", ".join(f"{column} {shape[0]}" for column, shape in shapes.items())
        raise InvalidData(
            f"{name}: arrays differ in length: {lengths}. Give one entry a row in each.", array=name
        )
