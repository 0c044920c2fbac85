"""Compiled scores of single rows: T^-1 r and T^-1 of each row and component."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["score_rows"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
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
    n_components = len(means)
    shared, diagonal = len(noise) == 1, noise.shape[1] == d
    lower, inverse = np.zeros((d, d)), np.zeros((d, d))
    residual, u = np.empty(d), np.empty(d)
    for k in range(n_components):
        for n in range(n_rows):
            if n == 0 or not shared:
                for i in range(d):  # Cholesky factor of T
                    for j in range(i + 1):
                        packed = i * (i + 1) // 2 + j
                        total = covariances[k, packed]
                        if not diagonal:
                            total += noise[n, packed]
                        elif i == j:
                            total += noise[n, i]
                        for c in range(j):
                            total -= lower[i, c] * lower[j, c]
                        lower[i, j] = np.sqrt(total) if i == j else total / lower[j, j]
                for j in range(d):  # its inverse W, in place
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
            for i in range(d):
                residual[i] = values[n, i] - means[k, i]
            for i in range(d):
                total = 0.0
                for j in range(d):
                    total += inverse[i, j] * residual[j]
                u[i] = total
            share = q[n, k]
            for i in range(d):
                first[n, k, i] = share * u[i]
                for j in range(i + 1):
                    second[n, k, i * (i + 1) // 2 + j] = share * (u[i] * u[j] - inverse[i, j])
