"""Compiled scores of single rows: T^-1 r and T^-1 of each row and component."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["invert_observed", "score_rows"]

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
    shared, diagonal = len(noise) == 1, noise.shape[1] == d
    lower, inverse = np.zeros((d, d)), np.zeros((d, d))
    residual, u = np.empty(d), np.empty(d)
    for k in range(len(means)):
        for n in range(n_rows):
            if n == 0 or not shared:
                invert_observed(covariances[k], noise[n], diagonal, lower, inverse)
            for i in range(d):
                residual[i] = values[n, i] - means[k, i]
            _write_score(inverse, residual, u, q[n, k], first[n, k], second[n, k])


@_part_of_kernel
def invert_observed(covariance, noise, diagonal, lower, inverse):  # type: ignore[no-untyped-def]
    """Write the inverse of V + S; `lower` is room to work in."""
    _add_noise(covariance, noise, diagonal, lower)
    _factorize(lower)
    _invert(lower, inverse)


@_part_of_kernel
def _add_noise(covariance, noise, diagonal, total):  # type: ignore[no-untyped-def]
    """Write the lower triangle of V + S."""
    for i in range(len(total)):
        for j in range(i + 1):
            packed = i * (i + 1) // 2 + j
            total[i, j] = covariance[packed]
            if not diagonal:
                total[i, j] += noise[packed]
        if diagonal:
            total[i, i] += noise[i]


@_part_of_kernel
def _factorize(lower):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle of a matrix by its Cholesky factor."""
    for i in range(len(lower)):
        for j in range(i + 1):
            for c in range(j):
                lower[i, j] -= lower[i, c] * lower[j, c]
            lower[i, j] = np.sqrt(lower[i, i]) if i == j else lower[i, j] / lower[j, j]


@_part_of_kernel
def _invert(lower, inverse):  # type: ignore[no-untyped-def]
    """Write the inverse of the matrix with this Cholesky factor, which is overwritten by its own inverse W."""
    d = len(lower)
    for j in range(d):  # column by column
        lower[j, j] = 1 / lower[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for c in range(j, i):
                total -= lower[i, c] * lower[c, j]
            lower[i, j] = total / lower[i, i]
    for i in range(d):  # W^T W
        for j in range(i + 1):
            total = 0.0
            for c in range(i, d):
                total += lower[c, i] * lower[c, j]
            inverse[i, j] = total
            inverse[j, i] = total


@_part_of_kernel
def _write_score(inverse, residual, u, share, first, second):  # type: ignore[no-untyped-def]
    """Write q u and q (u u^T - T^-1) of one row and component."""
    for i in range(len(u)):
        total = 0.0
        for j in range(len(u)):
            total += inverse[i, j] * residual[j]
        u[i] = total
    for i in range(len(u)):
        first[i] = share * u[i]
        for j in range(i + 1):
            second[i * (i + 1) // 2 + j] = share * (u[i] * u[j] - inverse[i, j])
