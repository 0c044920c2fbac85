"""Row ids as sources hold them, turned into int64 or UTF-8 bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.readers.source import IdKind

__all__ = ["checked_ids", "kind_of_ids", "refuse_missing_id"]

LONGEST_ID = 64


def kind_of_ids(source_name: str, column: str, dtype: np.dtype[Any]) -> IdKind:
    """Tell how a NumPy column serves as id, or raise `InvalidData`."""
    if dtype.kind in "iu" and dtype.shape == ():
        return "integer"
    if dtype.kind in "SU":
        return "text"
    raise InvalidData(
        f"{source_name}: column '{column}' has type {dtype}; an id is integer or text. Choose another id, or "
        "none: rows are then known by their number in the source.",
        array=source_name,
        column=column,
    )


def checked_ids(source_name: str, column: str, ids: NDArray[Any], first_row: int) -> NDArray[Any]:
    """Ids as int64, or as UTF-8 bytes of at most 64.

    Raises
    ------
    InvalidData
        If an integer does not fit int64, or a text is empty or too long; the row is named.
    """
    if ids.dtype.kind in "iu":
        _refuse(source_name, column, ids, first_row, _beyond_int64, "beyond the range of int64")
        return ids.astype(np.int64, copy=False)
    if ids.dtype.kind == "U":
        ids = np.char.encode(ids, "utf-8")
    _refuse(source_name, column, ids, first_row, lambda text: text == b"", "empty")
    if ids.dtype.itemsize > LONGEST_ID:
        _refuse(source_name, column, ids, first_row, _too_long, f"longer than {LONGEST_ID} bytes of UTF-8")
        ids = ids.astype(f"S{LONGEST_ID}")
    return ids


def refuse_missing_id(source_name: str, column: str, row: int) -> None:
    """Raise `InvalidData` for a row without an id."""
    raise InvalidData(
        f"{source_name}, row {row}: no id in column '{column}'. Choose a column that every row has, or no "
        "id: rows are then known by their number in the source.",
        array=source_name,
        row=row,
        column=column,
    )


def _beyond_int64(ids: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(ids > np.iinfo(np.int64).max) if ids.dtype.kind == "u" else np.zeros(len(ids), bool)


def _too_long(ids: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.char.str_len(ids) > LONGEST_ID)


def _refuse(
    source_name: str,
    column: str,
    ids: NDArray[Any],
    first_row: int,
    bad: Callable[[NDArray[Any]], NDArray[np.bool_]],
    what: str,
) -> None:
    found = np.flatnonzero(bad(ids))
    if not len(found):
        return
    row = first_row + int(found[0])
    value = ids[found[0]]
    shown = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if shown == "":
        refuse_missing_id(source_name, column, row)
    raise InvalidData(
        f"{source_name}, row {row}: id '{shown[:80]}' in column '{column}' is {what}. Choose another id, or "
        "none: rows are then known by their number in the source.",
        array=source_name,
        row=row,
        column=column,
        value=shown,
    )
