"""Compiled sums of Hermite's tensors, up to the fourth order."""

from __future__ import annotations

import numba
import numpy as np

from dgmmis.row_score_kernels import LANES, curve_lanes

__all__ = ["add_given_tensors", "add_tensors"]

# Parts take over how the kernel rounds that first needs them: those shared with row_score_kernels ask for the same.
_compile = numba.njit(cache=True, nogil=True, error_model="numpy")
_part_of_kernel = numba.njit(forceinline=True, nogil=True, error_model="numpy")


@_compile
def add_tensors(values, noise, means, covariances, weights, q, least, out):  # type: ignore[no-untyped-def]
    """Add w q times Hermite's tensors of u = T^-1 (x - m) and T^-1, T = V + S, of all rows.

    Parameters
    ----------
    values : (n, d)
    noise : (n, d) variances, (n, P) packed covariances, or (1, P) shared by all rows
    means, covariances : (K, d), (K, P)
    weights : (n,)
    q : (n, K or more)
    least : float
        Pairs with a smaller q are left out.
    out : (K, E)
        Added to: entries of descending indices, the last one fastest, of orders 0 to 4 in turn.
    """
    n_rows, d = values.shape
    lower, inverse, residual = np.zeros((d, d, LANES)), np.zeros((d, d, LANES)), np.zeros((d, LANES))
    w, u, h = np.zeros(LANES), np.zeros((d, LANES)), np.zeros((d, d, LANES))
    rows, sums = np.zeros(LANES, np.int64), np.empty((out.shape[1], LANES))
    for c in range(len(means)):
        sums[:] = 0.0
        lane, is_first = 0, True
        for n in range(n_rows):
            if q[n, c] > least:
                rows[lane], w[lane] = n, weights[n] * q[n, c]
                lane += 1
            if lane == LANES or (n == n_rows - 1 and lane > 0):
                rows[lane:] = rows[0]
                w[lane:] = 0.0
                curve_lanes(
                    values, noise, means[c], covariances[c], rows, is_first, lower, inverse, residual, u, h
                )
                _add_lanes(w, u, h, sums)
                lane, is_first = 0, False
        _add_up(sums, out[c])


@_compile
def add_given_tensors(first, second, weights, q, least, out):  # type: ignore[no-untyped-def]
    """Add w q times the tensors of rows whose q u (n, K, D) and q (u u^T - G), packed (n, K, P), are given.

    The other parameters are those of `add_tensors`.
    """
    n_rows, n_components, d = first.shape
    w, u, h = np.zeros(LANES), np.zeros((d, LANES)), np.zeros((d, d, LANES))
    sums = np.empty((out.shape[1], LANES))
    for c in range(n_components):
        sums[:] = 0.0
        lane = 0
        for n in range(n_rows):
            if not q[n, c] > least:
                continue
            w[lane] = weights[n] * q[n, c]
            for i in range(d):
                u[i, lane] = first[n, c, i] / q[n, c]
                for j in range(i + 1):
                    h[i, j, lane] = second[n, c, i * (i + 1) // 2 + j] / q[n, c]
            lane += 1
            if lane == LANES:
                _add_lanes(w, u, h, sums)
                lane = 0
        w[lane:] = 0.0
        _add_lanes(w, u, h, sums)
        _add_up(sums, out[c])


@_part_of_kernel
def _add_lanes(w, u, h, sums):  # type: ignore[no-untyped-def]
    """Add the tensors of all lanes."""
    d = len(u)
    second, third = 1 + d, 1 + d + d * (d + 1) // 2
    fourth = third + d * (d + 1) * (d + 2) // 6
    for x in range(LANES):
        sums[0, x] += w[x]
    for i in range(d):
        for x in range(LANES):
            sums[1 + i, x] += w[x] * u[i, x]
        for j in range(i + 1):
            for x in range(LANES):
                sums[second, x] += w[x] * h[i, j, x]
            second += 1
            for k in range(j + 1):
                _add_third(i, j, k, w, u, h, sums[third])
                third += 1
                for m in range(k + 1):
                    _add_fourth(i, j, k, m, w, u, h, sums[fourth])
                    fourth += 1


@_part_of_kernel
def _add_third(i, j, k, w, u, h, sums):  # type: ignore[no-untyped-def]
    """Add w times the sum of the three u_i h_jk less 2 u_i u_j u_k."""
    for x in range(LANES):
        pairs = u[i, x] * h[j, k, x] + u[j, x] * h[i, k, x]
        sums[x] += w[x] * (pairs + u[k, x] * (h[i, j, x] - 2 * u[i, x] * u[j, x]))


@_part_of_kernel
def _add_fourth(i, j, k, m, w, u, h, sums):  # type: ignore[no-untyped-def]
    """Add w times the sum of the three h_ij h_km less 2 u_i u_j u_k u_m."""
    for x in range(LANES):
        pairs = h[i, j, x] * h[k, m, x] + h[i, k, x] * h[j, m, x] + h[i, m, x] * h[j, k, x]
        sums[x] += w[x] * (pairs - 2 * u[i, x] * u[j, x] * u[k, x] * u[m, x])


@_part_of_kernel
def _add_up(sums, out):  # type: ignore[no-untyped-def]
    """Add the sums of all lanes to those of a component."""
    for entry in range(len(sums)):
        for x in range(LANES):
            out[entry] += sums[entry, x]
