"""Compiled sums of outer products, in one written order whatever the machine's linear algebra would do."""

from __future__ import annotations

import numba

__all__ = ["add_outer_products"]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def add_outer_products(scores, weights, start, stop, out):  # type: ignore[no-untyped-def]
    """Add sum_n w_n s_n s_n^T to rows `start` to `stop - 1` of the lower triangle of `out`.

    Rows are taken by eight, and 64 at a time while they lie in the cache; each entry of `out` is added to in the
    order of the rows, so that slabs whose lengths are multiples of eight give the bits of the whole.

    Parameters
    ----------
    scores : (n, p)
    weights : (n,)
    start, stop : int
    out : (p, p)
    """
    n_rows, whole = len(scores), len(scores) - len(scores) % 8
    for block in range(0, whole, 64):
        end = min(block + 64, whole)
        for i in range(start, stop):
            for n in range(block, end, 8):
                a, b = weights[n] * scores[n, i], weights[n + 1] * scores[n + 1, i]
                c, d = weights[n + 2] * scores[n + 2, i], weights[n + 3] * scores[n + 3, i]
                e, f = weights[n + 4] * scores[n + 4, i], weights[n + 5] * scores[n + 5, i]
                g, h = weights[n + 6] * scores[n + 6, i], weights[n + 7] * scores[n + 7, i]
                for j in range(i + 1):
                    out[i, j] += (
                        (a * scores[n, j] + b * scores[n + 1, j])
                        + (c * scores[n + 2, j] + d * scores[n + 3, j])
                    ) + (
                        (e * scores[n + 4, j] + f * scores[n + 5, j])
                        + (g * scores[n + 6, j] + h * scores[n + 7, j])
                    )
    for n in range(whole, n_rows):
        for i in range(start, stop):
            a = weights[n] * scores[n, i]
            for j in range(i + 1):
                out[i, j] += a * scores[n, j]
