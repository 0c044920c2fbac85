"""Compiled products of rows, in one written order whatever the machine's linear algebra would do."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["add_outer_products", "write_products"]

LANES = 64
"""Rows whose products with a matrix are made side by side; their number changes no bit."""
BLOCK = 64
"""Rows that are taken together, while they lie in the cache."""

_compile = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_part_of_kernel = numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract"})


@_compile
def add_outer_products(scores, weights, start, stop, out):  # type: ignore[no-untyped-def]
    """Add sum_n w_n s_n s_n^T to rows `start` to `stop - 1` of the lower triangle of `out`.

    Four rows of `out` take four rows of scores at a time, but each of its entries is added to in the order of the rows:
    neither slabs nor threads change a bit.

    Parameters
    ----------
    scores : (n, p)
    weights : (n,)
    start, stop : int
    out : (p, p)
    """
    tiled = stop - (stop - start) % 4
    for block in range(0, len(scores), BLOCK):
        end = min(block + BLOCK, len(scores))
        whole = end - (end - block) % 4
        for i in range(start, tiled, 4):
            for n in range(block, whole, 4):
                _add_four(scores[n : n + 4], weights[n : n + 4], i, out)
            for n in range(whole, end):
                for c in range(i, i + 4):
                    _add_one(scores[n], weights[n], c, 0, out[c])
        for n in range(block, end):
            for c in range(tiled, stop):
                _add_one(scores[n], weights[n], c, 0, out[c])


@_part_of_kernel
def _add_four(s, w, i, out):  # type: ignore[no-untyped-def]
    """Add the products of four rows to rows i to i + 3 of `out`."""
    a0, a1, a2, a3 = w[0] * s[0, i], w[1] * s[1, i], w[2] * s[2, i], w[3] * s[3, i]
    b0, b1, b2, b3 = w[0] * s[0, i + 1], w[1] * s[1, i + 1], w[2] * s[2, i + 1], w[3] * s[3, i + 1]
    c0, c1, c2, c3 = w[0] * s[0, i + 2], w[1] * s[1, i + 2], w[2] * s[2, i + 2], w[3] * s[3, i + 2]
    d0, d1, d2, d3 = w[0] * s[0, i + 3], w[1] * s[1, i + 3], w[2] * s[2, i + 3], w[3] * s[3, i + 3]
    for j in range(i + 1):
        x, y, z, t = s[0, j], s[1, j], s[2, j], s[3, j]
        out[i, j] = out[i, j] + a0 * x + a1 * y + a2 * z + a3 * t
        out[i + 1, j] = out[i + 1, j] + b0 * x + b1 * y + b2 * z + b3 * t
        out[i + 2, j] = out[i + 2, j] + c0 * x + c1 * y + c2 * z + c3 * t
        out[i + 3, j] = out[i + 3, j] + d0 * x + d1 * y + d2 * z + d3 * t
    for n in range(4):
        for c in range(i + 1, i + 4):
            _add_one(s[n], w[n], c, i + 1, out[c])


@_part_of_kernel
def _add_one(scores, weight, i, first, out):  # type: ignore[no-untyped-def]
    """Add the products of one row to columns `first` to i of row i."""
    a = weight * scores[i]
    for j in range(first, i + 1):
        out[j] += a * scores[j]


@_compile
def write_products(rows, matrix, start, out):  # type: ignore[no-untyped-def]
    """Write the products of rows with a matrix to columns from `start` on; 64 rows are worked on side by side.

    Parameters
    ----------
    rows : (n, a)
    matrix : (a, q)
    start : int
    out : (n, start + q or more)
    """
    lanes, products = np.zeros((len(matrix), LANES)), np.zeros(LANES)
    for block in range(0, len(rows), LANES):
        filled = min(LANES, len(rows) - block)
        for x in range(filled):
            for i in range(len(matrix)):
                lanes[i, x] = rows[block + x, i]
        for j in range(matrix.shape[1]):
            products[:] = 0.0
            for i in range(len(matrix)):
                for x in range(LANES):
                    products[x] += lanes[i, x] * matrix[i, j]
            for x in range(filled):
                out[block + x, start + j] = products[x]
