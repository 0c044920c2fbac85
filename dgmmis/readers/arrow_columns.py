"""Columns of Apache Arrow as NumPy arrays: shared by the readers of Parquet and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.optional_libraries import load_library
from dgmmis.readers.identifiers import checked_ids, kind_of_ids, refuse_missing_id
from dgmmis.readers.source import ColumnBatch, IdKind

__all__ = ["arrow_batch", "arrow_id_kind", "arrow_number_type", "split_batch"]


def arrow_number_type(source_name: str, column: str, kind: Any, *, may_be_missing: bool) -> np.dtype[Any]:
    """NumPy type of a column of Arrow type `kind`: integers with gaps become float64.

    Raises
    ------
    InvalidData
        If it holds no numbers.
    """
    types = load_library("pyarrow", "reading Parquet and CSV files", "readers").types
    if types.is_boolean(kind):
        return np.dtype(bool)
    if types.is_integer(kind):
        return np.dtype(np.float64 if may_be_missing or kind == "uint64" else np.int64)
    if types.is_float16(kind) or types.is_float32(kind):
        return np.dtype(np.float32)
    if types.is_float64(kind) or types.is_decimal(kind) or types.is_null(kind):
        return np.dtype(np.float64)
    raise InvalidData(
        f"{source_name}: column '{column}' holds {kind}, not numbers. Give a column of numbers.",
        array=source_name,
        column=column,
    )


def arrow_id_kind(source_name: str, column: str, kind: Any) -> IdKind:
    """Tell how a column of Arrow type `kind` serves as id."""
    types = load_library("pyarrow", "reading Parquet and CSV files", "readers").types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind):
        return "integer"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return kind_of_ids(source_name, column, np.dtype(object) if types.is_nested(kind) else _numpy_type(kind))


def _numpy_type(kind: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    except NotImplementedError:
        return np.dtype(object)
    return found


def arrow_batch(
    source_name: str, batch: Any, types: dict[str, np.dtype[Any]], id: str | None, first_row: int
) -> ColumnBatch:
    """Turn a record batch into NumPy columns of the given types; the id is treated as such."""
    columns = {
        name: _ids(source_name, name, batch.column(name), first_row)
        if name == id
        else _numbers(batch.column(name), types[name])
        for name in types
    }
    return ColumnBatch(first_row, columns)


def split_batch(batch: Any, batch_rows: int) -> Iterator[Any]:
    """Cut a record batch (no copy) into pieces of at most `batch_rows`."""
    for first in range(0, batch.num_rows, batch_rows):
        yield batch.slice(first, batch_rows)


def _numbers(column: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if str(column.type) == "bool":
        column = column.fill_null(False)  # neither true nor false: the row does not have the property
    if str(column.type).startswith("decimal"):
        column = column.cast("float64")
    array = column.to_numpy(zero_copy_only=False)
    # A column of nothing but nulls arrives as objects.
    return np.asarray(array).astype(dtype, copy=False)


def _ids(source_name: str, name: str, column: Any, first_row: int) -> NDArray[Any]:
    if column.null_count:
        row = first_row + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        refuse_missing_id(source_name, name, row)
    if hasattr(column, "dictionary_decode"):
        column = column.dictionary_decode()
    if arrow_id_kind(source_name, name, column.type) == "text":
        texts = column.cast("binary").to_numpy(zero_copy_only=False)
        # Width 1 when there are no rows at all: a text type of width 0 does not exist.
        ids = np.array(texts.tolist(), dtype="S") if len(texts) else np.empty(0, "S1")
    else:
        ids = column.to_numpy(zero_copy_only=False)
    return checked_ids(source_name, name, ids, first_row)
