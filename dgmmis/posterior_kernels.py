"""The compiled posterior of noise-free rows: one row and component at a time, in a few registers' work.

Notation as in `projection_kernels`: a row sees a component's mean and covariance through R, which for rows
that are not projected picks the observed features.  Calls release the GIL and use one thread.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["posterior_moments"]

_compile = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy"
)  # as in `kernels.generic`


@_compile
def _decompose(total):  # type: ignore[no-untyped-def]
    """Overwrite T (d, d), lower triangle, by L (unit, strict lower) and the pivots on the diagonal."""
    d = len(total)
    for j in range(d):
        for i in range(j + 1, d):
            factor = total[i, j] / total[j, j]
            for c in range(j + 1, i + 1):
                total[i, c] -= factor * total[c, j]
        for i in range(j + 1, d):
            total[i, j] /= total[j, j]


@_compile
def _solve_lower(lower, columns):  # type: ignore[no-untyped-def]
    """Overwrite `columns` (d, c) by L^-1 columns."""
    for i in range(len(lower)):
        for j in range(i):
            for c in range(columns.shape[1]):
                columns[i, c] -= lower[i, j] * columns[j, c]


@_compile
def _pick(value, mean, covariance, observed, white, total):  # type: ignore[no-untyped-def]
    """Put the observed rows of V, and x - m beside them, into `white`; V between them into `total`."""
    n_features = len(mean)
    for i in range(len(observed)):
        white[i, n_features] = value[i] - mean[observed[i]]
        for a in range(n_features):
            white[i, a] = covariance[observed[i], a]
        for j in range(i + 1):
            total[i, j] = covariance[observed[i], observed[j]]


@_compile
def _project(value, mean, covariance, rows, white, total):  # type: ignore[no-untyped-def]
    """Put R V, and x - R m beside it, into `white`; the lower triangle of R V R^T into `total`."""
    n_features = len(mean)
    for i in range(len(rows)):
        white[i, n_features] = value[i]
        for a in range(n_features):
            white[i, n_features] -= rows[i, a] * mean[a]
            white[i, a] = 0.0
            for c in range(n_features):
                white[i, a] += rows[i, c] * covariance[c, a]
        for j in range(i + 1):
            total[i, j] = 0.0
            for a in range(n_features):
                total[i, j] += white[i, a] * rows[j, a]


@_compile
def _add_noise(noise, total):  # type: ignore[no-untyped-def]
    """Add S to the lower triangle of R V R^T; `noise` holds d variances or d (d + 1) / 2 packed entries."""
    d = len(total)
    for i in range(d):
        if len(noise) == d:
            total[i, i] += noise[i]
        else:
            for j in range(i + 1):
                total[i, j] += noise[i * (i + 1) // 2 + j]


@_compile
def _add_component(responsibility, mean, covariance, white, total, reference, offset, first, second):  # type: ignore[no-untyped-def]
    """Add q, q delta and q (V_post + delta delta^T), delta the component's estimate about `reference`."""
    d, n_features = len(white), len(mean)
    for a in range(n_features):
        offset[a] = mean[a] - reference[a]
        for i in range(d):
            offset[a] += white[i, a] * white[i, n_features] / total[i, i]
        first[a] += responsibility * offset[a]
    for a in range(n_features):
        for c in range(a + 1):
            entry = covariance[a, c] + offset[a] * offset[c]
            for i in range(d):
                entry -= white[i, a] * white[i, c] / total[i, i]
            second[a * (a + 1) // 2 + c] += responsibility * entry


@_compile
def posterior_moments(  # type: ignore[no-untyped-def]
    values, noise, observed, projection, responsibilities, means, covariances, mean_out, covariance_out
):
    """Write mean and packed covariance of the noise-free rows behind rows of one pattern.

    Parameters
    ----------
    values : (n, d)            observed features
    noise : (n or 1, d or p)   variances or packed covariances; one row serves all
    observed : (d,)            which features
    projection : (0, 1 or n, d, D)   what leads to them from all D; one row serves all, no row picks them
    responsibilities : (n, K)
    means, covariances : (K, D), (K, D, D)
    mean_out, covariance_out : (n, D), (n, P)   overwritten
    """
    d, n_features = len(observed), means.shape[1]
    total, white = np.empty((d, d)), np.empty((d, n_features + 1))
    offset, first = np.empty(n_features), np.empty(n_features)
    second = np.empty(covariance_out.shape[1])
    for row in range(len(values)):
        reference = means[np.argmax(responsibilities[row])]
        first[:] = 0.0
        second[:] = 0.0
        for k in range(len(means)):
            if responsibilities[row, k] == 0.0:
                continue
            if len(projection):
                rows = projection[min(row, len(projection) - 1)]
                _project(values[row], means[k], covariances[k], rows, white, total)
            else:
                _pick(values[row], means[k], covariances[k], observed, white, total)
            _add_noise(noise[min(row, len(noise) - 1)], total)
            _decompose(total)
            _solve_lower(total, white)
            _add_component(
                responsibilities[row, k],
                means[k],
                covariances[k],
                white,
                total,
                reference,
                offset,
                first,
                second,
            )
        for a in range(n_features):
            mean_out[row, a] = reference[a] + first[a]
            for c in range(a + 1):
                entry = a * (a + 1) // 2 + c
                covariance_out[row, entry] = second[entry] - first[a] * first[c]
