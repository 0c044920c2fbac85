"""Compiled scores of single rows: u = T^-1 (x - m) and T^-1 of each row and component, many rows side by side."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["LANES", "curve_lanes", "score_rows"]

LANES = 64
"""Rows that are worked on side by side.  Scores do not depend on their number; sums of lanes do, in the last bits."""

_compile = numba.njit(cache=True, nogil=True, error_model="numpy")
_part_of_kernel = numba.njit(forceinline=True, nogil=True, error_model="numpy")


@_compile
def score_rows(values, noise, means, covariances, q, first, second):  # type: ignore[no-untyped-def]
    """Write q u and q (u u^T - T^-1), u = T^-1 (x - m), T = V + S, of all rows and components.

    A matrix T that is not positive definite leaves NaN.

    Parameters
    ----------
    values : (n, d)
    noise : (n, d) variances, (n, P) packed covariances, or (1, P) shared by all rows
    means, covariances : (K, d), (K, P)
    q : (n, K or more)
    first, second : (n, K, d), (n, K, P)
        Written.
    """
    n_rows, d = values.shape
    lower, inverse = np.zeros((d, d, LANES)), np.zeros((d, d, LANES))
    residual, u, h = np.zeros((d, LANES)), np.zeros((d, LANES)), np.zeros((d, d, LANES))
    rows = np.zeros(LANES, np.int64)
    for k in range(len(means)):
        for start in range(0, n_rows, LANES):
            filled = min(LANES, n_rows - start)
            for x in range(LANES):
                rows[x] = start + min(x, filled - 1)
            curve_lanes(
                values, noise, means[k], covariances[k], rows, start == 0, lower, inverse, residual, u, h
            )
            for x in range(filled):
                _write_score(x, q[start + x, k], u, h, first[start + x, k], second[start + x, k])


@_part_of_kernel
def curve_lanes(values, noise, mean, covariance, rows, is_first, lower, inverse, residual, u, h):  # type: ignore[no-untyped-def]
    """Write u and u u^T - T^-1 of one component and some rows, one to a lane.

    Where all rows share their noise, `lower` and `inverse` keep what they hold, unless these are the first lanes.
    """
    if is_first or len(noise) > 1:
        _add_noise(covariance, noise, noise.shape[1] == len(mean), rows, lower)
        _factorize(lower)
        _invert_factors(lower, inverse)
        _square_factors(lower, inverse)
    for i in range(len(mean)):
        for x in range(LANES):
            residual[i, x] = values[rows[x], i] - mean[i]
    _write_shapes(inverse, residual, u, h)


@_part_of_kernel
def _write_shapes(inverse, residual, u, h):  # type: ignore[no-untyped-def]
    """Write u and u u^T - T^-1 of all lanes."""
    u[:] = 0.0
    for i in range(len(u)):
        for j in range(len(u)):
            for x in range(LANES):
                u[i, x] += inverse[i, j, x] * residual[j, x]
    for i in range(len(u)):
        for j in range(i + 1):
            for x in range(LANES):
                h[i, j, x] = u[i, x] * u[j, x] - inverse[i, j, x]


@_part_of_kernel
def _add_noise(covariance, noise, diagonal, rows, total):  # type: ignore[no-untyped-def]
    """Write the lower triangles of V + S."""
    shared = len(noise) == 1
    for i in range(len(total)):
        for j in range(i + 1):
            packed = i * (i + 1) // 2 + j
            for x in range(LANES):
                total[i, j, x] = covariance[packed]
                if not diagonal:
                    total[i, j, x] += noise[0 if shared else rows[x], packed]
        if diagonal:
            for x in range(LANES):
                total[i, i, x] += noise[0 if shared else rows[x], i]


@_part_of_kernel
def _factorize(lower):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangles of matrices by their Cholesky factors."""
    for i in range(len(lower)):
        for j in range(i + 1):
            for c in range(j):
                for x in range(LANES):
                    lower[i, j, x] -= lower[i, c, x] * lower[j, c, x]
            if i == j:
                for x in range(LANES):
                    lower[i, i, x] = np.sqrt(lower[i, i, x])
            else:
                for x in range(LANES):
                    lower[i, j, x] = lower[i, j, x] / lower[j, j, x]


@_part_of_kernel
def _invert_factors(lower, room):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangles of matrices by those of their inverses; there is room for sums."""
    total = room[0, 0]
    for j in range(len(lower)):  # column by column
        for x in range(LANES):
            lower[j, j, x] = 1 / lower[j, j, x]
        for i in range(j + 1, len(lower)):
            total[:] = 0.0
            for c in range(j, i):
                for x in range(LANES):
                    total[x] -= lower[i, c, x] * lower[c, j, x]
            for x in range(LANES):
                lower[i, j, x] = total[x] / lower[i, i, x]


@_part_of_kernel
def _square_factors(lower, inverse):  # type: ignore[no-untyped-def]
    """Write W^T W for lower triangular matrices W."""
    for i in range(len(lower)):
        for j in range(i + 1):
            inverse[i, j] = 0.0
            for c in range(i, len(lower)):
                for x in range(LANES):
                    inverse[i, j, x] += lower[c, i, x] * lower[c, j, x]
            inverse[j, i] = inverse[i, j]


@_part_of_kernel
def _write_score(x, share, u, h, first, second):  # type: ignore[no-untyped-def]
    """Write q u and q (u u^T - T^-1) of the row in one lane."""
    for i in range(len(u)):
        first[i] = share * u[i, x]
        for j in range(i + 1):
            second[i * (i + 1) // 2 + j] = share * h[i, j, x]
