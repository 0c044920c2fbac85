"""Arrays that are read or computed as their rows are wanted: Dask arrays, and whatever can be sliced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.readers.row_arrays import MemoryArray, RowArray

__all__ = ["DaskArray", "SlicedArray", "computed", "is_a", "row_array", "without_mask"]


def is_a(thing: object, module: str, name: str) -> bool:
    """Tell whether something is an instance of a class of an optional library, which is not imported for it."""
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None)
    return isinstance(kind, type) and isinstance(thing, kind)


def row_array(name: str, array: Any) -> RowArray:
    """See an array as rows: a Dask array block by block, an HDF5 dataset slice by slice, anything else in memory."""
    if is_a(array, "dask.array", "Array"):
        return DaskArray(name, array)
    if is_a(array, "h5py", "Dataset"):
        return SlicedArray(name, array.shape, array.dtype, lambda first, end: array[first:end])
    return MemoryArray(np.asarray(array))


class DaskArray:
    """A Dask array, computed one block of rows at a time by whichever scheduler is in charge.

    Parameters
    ----------
    name : str
        What errors call it.
    array : dask.array.Array

    Raises
    ------
    InvalidData
        If the lengths of its blocks are not known.
    """

    def __init__(self, name: str, array: Any) -> None:
        if any(np.isnan(length) for length in array.shape):
            raise InvalidData(
                f"{name} is a Dask array whose blocks have lengths that are not known. Call compute_chunk_sizes() on "
                "it first.",
                array=name,
            )
        self.shape: tuple[int, ...] = tuple(int(length) for length in array.shape)
        self.dtype: np.dtype[Any] = array.dtype
        self._name, self._array = name, array

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""
        return _regrouped(self._blocks(), batch_rows)

    def _blocks(self) -> Iterator[NDArray[Any]]:
        first = 0
        for length in self._array.chunks[0]:
            part = self._array[first : first + length]
            block = computed(part.compute, self._name, first)
            yield without_mask(block).astype(self.dtype, copy=False)
            first += length


class SlicedArray:
    """An array of a file, of which each batch reads a slice.

    Parameters
    ----------
    name : str
    shape, dtype
    read : callable
        From the first row and one past the last to these rows.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[int, int], Any]
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._name, self._read = name, read

    def rows(self, batch_rows: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, `batch_rows` at a time."""
        for first in range(0, self.shape[0], batch_rows):
            end = min(first + batch_rows, self.shape[0])
            part = without_mask(computed(partial(self._read, first, end), self._name, first))
            yield part.astype(self.dtype.newbyteorder("="), copy=False)


def computed(make: Callable[[], Any], name: str, first_row: int) -> Any:
    """Call `make`, or raise an `InvalidData` that says from which row on it failed, and how."""
    try:
        return make()
    except Exception as error:  # whatever the caller's graph or file raises
        raise InvalidData(
            f"{name}, from row {first_row}: the rows cannot be computed: {type(error).__name__}: {error}. Compute them "
            "yourself to see the whole of it.",
            array=name,
            row=first_row,
        ) from error


def without_mask(array: Any) -> NDArray[Any]:
    """Return an array whose masked floating-point values are NaN."""
    if not np.ma.isMaskedArray(array):
        return np.asarray(array)
    if array.dtype.kind == "f":
        return np.asarray(array.filled(np.nan))
    if np.ma.getmaskarray(array).any():
        raise InvalidData(
            f"an array of type {array.dtype} is masked; only floats can be missing. Convert it first."
        )
    return np.asarray(array.data)


def _regrouped(parts: Iterable[NDArray[Any]], batch_rows: int) -> Iterator[NDArray[Any]]:
    """Cut arrays of any lengths into such of `batch_rows` rows, but for the last."""
    held: list[NDArray[Any]] = []
    missing = batch_rows
    for part in parts:
        rest = part
        while len(rest):
            held.append(rest[:missing])
            rest = rest[missing:]
            missing -= len(held[-1])
            if not missing:
                yield _joined(held)
                held, missing = [], batch_rows
    if held:
        yield _joined(held)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
