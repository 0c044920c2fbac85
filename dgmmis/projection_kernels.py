"""The compiled expectation step for rows that each see the components through a matrix of their own.

Built like `kernels`: blocks of `LANES` rows, transposed, two passes over the components.  With R the row's
projection (d, D), m and V mean and covariance of a component (of all D features), S the row's noise:
T = R V R^T + S = L P^-1 L^T, y = L^-1 (x - R m), Q = L^-1 R; then u = R^T T^-1 (x - R m) = Q^T P y and
G = R^T T^-1 R = Q^T P Q (Bovy, Hogg & Roweis 2011, arXiv:0905.2979, eqs. 14-19, in score form).
Calls release the GIL and use one thread.
"""

from __future__ import annotations

import numba
import numpy as np

from dgmmis.kernels.generic import (
    LANES,
    _decompose,
    _dot,
    _load,
    _load_extra,
    _load_weights,
    _noisy_log_term,
    _normalise,
    _store,
    _sum,
)

__all__ = ["projected_log_terms", "projected_statistics"]

_compile = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy", fastmath={"contract", "nsz"}
)  # as in `kernels.generic`


@_compile
def _flatten(projection, first, block):  # type: ignore[no-untyped-def]
    """Transpose a block of `projection` (n, d, D) to (d D, LANES); the last row fills the lanes left over."""
    d, n_features = projection.shape[1], projection.shape[2]
    last = len(projection) - 1
    for b in range(LANES):
        row = min(first + b, last)
        for i in range(d):
            for a in range(n_features):
                block[i * n_features + a, b] = projection[row, i, a]


@_compile
def _project_covariance(covariance, noise, rows, cross, total):  # type: ignore[no-untyped-def]
    """T = R V R^T + S, packed, for each row; `cross` (D, LANES) is scratch for one row of R V."""
    _project_quadratic(covariance, rows, cross, total)
    for c in range(noise.shape[0]):
        target = c * (c + 1) // 2 + c if noise.shape[0] < len(total) else c
        for b in range(LANES):
            total[target, b] += noise[c, b]


@_compile
def _project_quadratic(covariance, rows, cross, total):  # type: ignore[no-untyped-def]
    """R V R^T, packed, for each row."""
    n_features = len(covariance)
    d = len(rows) // n_features
    for i in range(d):
        for a in range(n_features):
            cross[a] = 0.0
            for c in range(n_features):
                for b in range(LANES):
                    cross[a, b] += rows[i * n_features + c, b] * covariance[c, a]
        for j in range(i + 1):
            ij = i * (i + 1) // 2 + j
            total[ij] = 0.0
            for a in range(n_features):
                for b in range(LANES):
                    total[ij, b] += cross[a, b] * rows[j * n_features + a, b]


@_compile
def _whiten_residual(values, mean, rows, lower, white):  # type: ignore[no-untyped-def]
    """Solve L y = x - R m by forward substitution."""
    n_features = len(mean)
    for i in range(len(values)):
        for b in range(LANES):
            white[i, b] = values[i, b]
        for a in range(n_features):
            for b in range(LANES):
                white[i, b] -= rows[i * n_features + a, b] * mean[a]
        for j in range(i):
            ij = i * (i + 1) // 2 + j
            for b in range(LANES):
                white[i, b] -= lower[ij, b] * white[j, b]


@_compile
def _whiten_rows(rows, lower, n_features, white):  # type: ignore[no-untyped-def]
    """Solve L Q = R by forward substitution."""
    for i in range(len(rows) // n_features):
        for a in range(n_features):
            ia = i * n_features + a
            for b in range(LANES):
                white[ia, b] = rows[ia, b]
            for j in range(i):
                ij, ja = i * (i + 1) // 2 + j, j * n_features + a
                for b in range(LANES):
                    white[ia, b] -= lower[ij, b] * white[ja, b]


@_compile
def _score(white_rows, white, score):  # type: ignore[no-untyped-def]
    """u = Q^T P y, for P y in `white`."""
    n_features = len(score)
    for a in range(n_features):
        score[a] = 0.0
        for i in range(len(white)):
            for b in range(LANES):
                score[a, b] += white_rows[i * n_features + a, b] * white[i, b]


@_compile
def _scatter(white_rows, inverse, score, a, c, out):  # type: ignore[no-untyped-def]
    """Entry (a, c) of u u^T - G, with G = Q^T P Q."""
    n_features = len(score)
    for b in range(LANES):
        out[b] = score[a, b] * score[c, b]
    for i in range(len(inverse)):
        for b in range(LANES):
            out[b] -= white_rows[i * n_features + a, b] * inverse[i, b] * white_rows[i * n_features + c, b]


@_compile
def projected_statistics(  # type: ignore[no-untyped-def]
    values, noise, projection, weights, extra, proposal, constants, means, covariances,
    zeroth, first, second, log_density,
):  # fmt: skip
    """Add the score statistics of rows that each have their own projection.

    Parameters
    ----------
    values : (n, d)          observed features
    noise : (n or 1, d or p) variances or packed covariances; one row serves all
    projection : (n, d, D)   the rows of R that lead to them
    weights : (n,)           row weights
    extra : (n, J)           ln a b(x_i) of J further densities without parameters
    proposal : (n,)          ln h(x_i) of importance points, which weigh p / h more; empty for rows
    constants : (K,)         ln a_k - d ln(2 pi) / 2
    means, covariances : (K, D), (K, D, D)   of the components, on all features
    zeroth, first, second : (K + J,), (K, D), (K, P)   added to: sum s q, sum s q u, sum s q (u u^T - G)
    log_density : (n,)       overwritten: ln p(x_i), NaN where some T is singular
    """
    n_components, n_features = means.shape
    d = values.shape[1]
    x, s = np.empty((d, LANES)), np.empty((noise.shape[1], LANES))
    rows, white_rows = np.empty((d * n_features, LANES)), np.empty((d * n_features, LANES))
    total, inverse = np.empty((d * (d + 1) // 2, LANES)), np.empty((d, LANES))
    cross, score = np.empty((n_features, LANES)), np.empty((n_features, LANES))
    white, row, units = np.empty((d, LANES)), np.empty(LANES), np.ones(d)
    terms, weight = np.empty((len(zeroth), LANES)), np.empty(LANES)
    top, density = np.empty(LANES), np.empty(LANES)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        _load(noise, start, s)
        _flatten(projection, start, rows)
        _load_weights(weights, start, weight)
        for k in range(n_components):
            _project_covariance(covariances[k], s, rows, cross, total)
            _decompose(total, inverse)
            _whiten_residual(x, means[k], rows, total, white)
            _noisy_log_term(constants[k], units, inverse, white, terms[k])
        _load_extra(extra, start, terms)
        _normalise(terms, weight, proposal, start, top, density)
        _store(density, start, log_density)
        for j in range(n_components, len(zeroth)):
            zeroth[j] += _sum(terms[j])
        for k in range(n_components):
            _project_covariance(covariances[k], s, rows, cross, total)
            _decompose(total, inverse)
            _whiten_residual(x, means[k], rows, total, white)
            _whiten_rows(rows, total, n_features, white_rows)
            white *= inverse
            _score(white_rows, white, score)
            zeroth[k] += _sum(terms[k])
            for a in range(n_features):
                first[k, a] += _dot(terms[k], score[a])
                for c in range(a + 1):
                    _scatter(white_rows, inverse, score, a, c, row)
                    second[k, a * (a + 1) // 2 + c] += _dot(terms[k], row)


@_compile
def projected_log_terms(values, noise, projection, constants, means, covariances, out):  # type: ignore[no-untyped-def]
    """Write ln a_k N(x_i | R_i m_k, R_i V_k R_i^T + S_i) into `out` (K, n); arguments as above."""
    n_components, n_features = means.shape
    d = values.shape[1]
    x, s = np.empty((d, LANES)), np.empty((noise.shape[1], LANES))
    rows, cross = np.empty((d * n_features, LANES)), np.empty((n_features, LANES))
    total, inverse = np.empty((d * (d + 1) // 2, LANES)), np.empty((d, LANES))
    white, row, units = np.empty((d, LANES)), np.empty(LANES), np.ones(d)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        _load(noise, start, s)
        _flatten(projection, start, rows)
        for k in range(n_components):
            _project_covariance(covariances[k], s, rows, cross, total)
            _decompose(total, inverse)
            _whiten_residual(x, means[k], rows, total, white)
            _noisy_log_term(constants[k], units, inverse, white, row)
            _store(row, start, out[k])
