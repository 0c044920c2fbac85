"""The order of rows inside a chunk: by the features they lack, then, if asked for, near together."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dgmmis.kd_order import LEAF, kd_order

__all__ = ["RowOrder", "pattern_codes", "rows_by_pattern"]

RowOrder = Literal["given", "kd"]
"""Of the rows of a pattern: as they were given, or as `kd_order` has them."""


def pattern_codes(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give each row's pattern of missing features (N, D) a number: 0 is complete, bit j is feature j.

    With more than 62 features the numbers are ranks in that same order.
    """
    n_features = missing.shape[1]
    if n_features <= 62:
        return np.asarray(missing @ (np.int64(1) << np.arange(n_features, dtype=np.int64)))
    _, ranks = np.unique(missing[:, ::-1], axis=0, return_inverse=True)
    return np.asarray(ranks.ravel(), dtype=np.int64)


def rows_by_pattern(values: NDArray[Any], order: RowOrder) -> list[NDArray[np.intp]]:
    """Sort rows (N, D) by pattern, in the order of `pattern_codes`.

    Parameters
    ----------
    values : (N, D)
        NaN means not observed.
    order : {"given", "kd"}
        Of the rows of one pattern.  "kd" looks at the features they have; rows of a pattern with no more than
        `LEAF` rows, and rows with nothing observed, stay as given.

    Returns
    -------
    list of (n,) intp
        Row numbers, one array per pattern that occurs.
    """
    missing = np.isnan(values)
    codes = pattern_codes(missing)
    by_code = np.argsort(codes, kind="stable")
    patterns = np.split(by_code, np.flatnonzero(np.diff(codes[by_code])) + 1)
    if order == "given":
        return patterns
    return [_near_together(values, rows, np.flatnonzero(~missing[rows[0]])) for rows in patterns]


def _near_together(
    values: NDArray[Any], rows: NDArray[np.intp], observed: NDArray[np.intp]
) -> NDArray[np.intp]:
    if len(rows) <= LEAF or not len(observed):
        return rows
    return rows[kd_order(values[np.ix_(rows, observed)].astype(np.float64))]
