"""The order of rows inside a chunk: by the features they lack, then, if asked for, near together."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dgmmis.kd_order import LEAF, axis_scales, kd_order
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.pattern_kernels import number_patterns

__all__ = ["RowOrder", "chunks_near_together", "coarse_pattern_codes", "pattern_codes", "rows_by_pattern"]

MOST_BITS = 62
"""Features up to which a pattern is a whole number of 64 bits."""

RowOrder = Literal["given", "kd"]
"""Of the rows of a pattern: as they were given, or as `kd_order` has them."""

NOISE_FLOOR = 0.01
"""Noise that is smaller than this share of the interquartile range of a feature counts as none."""

NOISE_SCALE = 4.0
"""How many factors of e in the noise of rows keep them as far apart as one interquartile range of a feature."""


def pattern_codes(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give each row's pattern of missing features (N, D) a number: 0 is complete, bit j is feature j.

    With more than 62 features the numbers are ranks in that same order.
    """
    n_features = missing.shape[1]
    if n_features <= MOST_BITS:
        return np.asarray(missing @ (np.int64(1) << np.arange(n_features, dtype=np.int64)))
    _, ranks = np.unique(missing[:, ::-1], axis=0, return_inverse=True)
    return np.asarray(ranks.ravel(), dtype=np.int64)


def coarse_pattern_codes(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give patterns (N, D) numbers in the order of `pattern_codes` that are the same for any set of rows.

    With more than 62 features, patterns that differ in the first ones only share a number.
    """
    return pattern_codes(missing[:, -MOST_BITS:])


def rows_by_pattern(
    values: NDArray[Any], order: RowOrder, noise: Noise | None = None
) -> list[NDArray[np.intp]]:
    """Sort rows (N, D) by pattern, in the order of `pattern_codes`.

    Parameters
    ----------
    values : (N, D)
        NaN means not observed.
    order : {"given", "kd"}
        Of the rows of one pattern.  "kd" looks at the features they have and, if they have noise of their own,
        at its size; rows of a pattern with no more than `LEAF` rows, and rows with nothing observed, stay as given.
    noise : Noise, optional
        Of these rows.

    Returns
    -------
    list of (n,) intp
        Row numbers, one array per pattern that occurs.
    """
    patterns = _in_order_of_patterns(values)
    if order == "given":
        return patterns
    return [
        _near_together(values, rows, np.flatnonzero(~np.isnan(values[rows[0]])), noise=noise)
        for rows in patterns
    ]


def _in_order_of_patterns(values: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Row numbers by pattern, ascending in each; a catalogue's rows are in that order and need no sorting."""
    ascending = False
    if values.shape[1] <= MOST_BITS:
        codes = np.empty(len(values), np.int64)
        ascending = number_patterns(values, codes)
    else:
        codes = pattern_codes(np.isnan(values))
    rows = np.arange(len(values)) if ascending else np.argsort(codes, kind="stable")
    ends = codes if ascending else codes[rows]
    return np.split(rows, np.flatnonzero(ends[1:] != ends[:-1]) + 1)


def chunks_near_together(values: NDArray[Any], chunk_rows: int) -> NDArray[np.intp]:
    """Order rows (N, D) so that each run of `chunk_rows` of them covers a small region.

    They are sorted by pattern, and within one by a kd-tree of that many rows a leaf.  Where a pattern begins inside
    of a run, the first corner of its region completes the run and the tree holds the others.

    Returns
    -------
    (N,) intp
        Row numbers.
    """
    pieces: list[NDArray[np.intp]] = []
    begun = 0
    for rows in rows_by_pattern(values, "given"):
        observed = np.flatnonzero(~np.isnan(values[rows[0]]))
        lacking = -begun % chunk_rows
        begun += len(rows)
        if 0 < lacking < len(rows):
            near = _near_together(values, rows, observed)
            pieces.append(near[:lacking])
            rows = np.sort(near[lacking:])
        pieces.append(_near_together(values, rows, observed, chunk_rows))
    return np.concatenate(pieces)


def _near_together(
    values: NDArray[Any],
    rows: NDArray[np.intp],
    observed: NDArray[np.intp],
    leaf: int = LEAF,
    noise: Noise | None = None,
) -> NDArray[np.intp]:
    if len(rows) <= leaf or not len(observed):
        return rows
    seen = values[np.ix_(rows, observed)].astype(np.float64)
    scales = axis_scales(seen)
    if noise is not None and noise.array is not None and noise.kind != "shared":
        columns = observed if noise.kind == "diagonal" else observed * (observed + 3) // 2
        seen = np.column_stack((seen, _noise_size(noise.array[np.ix_(rows, columns)], scales)))
        scales = np.append(scales, NOISE_SCALE)
    return rows[kd_order(seen, leaf, scales)]


def _noise_size(variances: Array, scales: Array) -> Array:
    """About half the log (n,) of the largest variance in units of the squared scale.

    The log is interpolated between powers of two: that is the same number on every machine.
    """
    safe = np.where(scales > 0, scales, np.inf)
    with np.errstate(over="ignore"):
        largest = np.minimum((variances / safe / safe).max(axis=1), np.finfo(np.float64).max)
    fraction, exponent = np.frexp(largest + NOISE_FLOOR**2)
    return np.asarray(0.5 * np.log(2.0) * (exponent + 2.0 * fraction))
