"""Compiled loops over rows with missing features: which pattern each has, and picking what a pattern has."""

from __future__ import annotations

import math

import numba

__all__ = ["gather", "number_patterns"]

_compile = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def number_patterns(values, codes):  # type: ignore[no-untyped-def]
    """Write each row's pattern of missing features (bit j: feature j, of at most 62) to `codes`.

    Returns whether they ascend, so that the rows of each pattern follow one another.
    """
    ascending, before = True, -1
    for row in range(len(values)):
        code = 0
        for j in range(values.shape[1]):
            if math.isnan(values[row, j]):
                code |= 1 << j
        codes[row] = code
        ascending &= before <= code
        before = code
    return ascending


@_compile
def gather(source, rows, columns, out):  # type: ignore[no-untyped-def]
    """Copy `columns` of `rows` of a matrix to `out`."""
    for i in range(len(rows)):
        for j in range(len(columns)):
            out[i, j] = source[rows[i], columns[j]]
