"""The compiled expectation step: blocks of rows in, sums over rows out.

One call handles rows that share a pattern of observed features; the caller owns the accumulators,
which are added to.  Rows are taken in blocks of `LANES`, transposed so that each inner loop runs over
the rows of a block with unit stride.  Two passes over the components: the first finds each row's
density, the second its responsibilities and scores; nothing is stored per (row, component) beyond a
block.  Calls release the GIL and use one thread.

Notation (Bovy, Hogg & Roweis 2011, arXiv:0905.2979): x the observed values, m and V mean and covariance
of a component restricted to the observed features, S the row's noise, T = V + S, y = M (x - m) with
T = L R^-1 L^T, M = L^-1 (unit lower triangle), R diagonal; then T^-1 = M^T R M and u = T^-1 (x - m).
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["LANES", "fixed_log_terms", "fixed_statistics", "noisy_log_terms", "noisy_statistics"]

LANES = 64
"""Rows of a block: the scratch of one block stays in the first-level cache for up to 8 features."""

TINY, HUGE = 1e-250, 1e250
"""Where the product of a determinant's factors is no longer trusted."""

SINGULAR = 1e-14
"""A pivot below this share of its variance is rounding: the matrix has no inverse."""

# Always inlined, so that a process that compiles and one that loads what was compiled give the same bits.
# 'contract' allows fused multiply-add; 'reassoc' only inside the two sums, where the order of adding the
# rows of one block is free (but the same on every call).  Full fastmath would assume no NaN.
_compile = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy", fastmath={"contract", "nsz"}
)
_compile_sum = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"}
)


@_compile_sum
def _sum(row):  # type: ignore[no-untyped-def]
    total = 0.0
    for b in range(LANES):
        total += row[b]
    return total


@_compile_sum
def _dot(left, right):  # type: ignore[no-untyped-def]
    total = 0.0
    for b in range(LANES):
        total += left[b] * right[b]
    return total


@_compile
def _load(rows, first, block):  # type: ignore[no-untyped-def]
    """Transpose a block of `rows` (n, c) to `block` (c, LANES); the last row fills the lanes left over."""
    last = len(rows) - 1
    for b in range(LANES):
        row = min(first + b, last)
        for c in range(rows.shape[1]):
            block[c, b] = rows[row, c]


@_compile
def _load_weights(weights, first, block):  # type: ignore[no-untyped-def]
    """Weights of a block; the lanes left over weigh nothing."""
    for b in range(LANES):
        block[b] = weights[first + b] if first + b < len(weights) else 0.0


@_compile
def _total_covariance(covariance, noise, total):  # type: ignore[no-untyped-def]
    """T = V + S, packed, for each row; `noise` holds variances (d rows) or packed covariances."""
    size, d = total.shape[0], noise.shape[0]
    if d == size:
        for c in range(size):
            for b in range(LANES):
                total[c, b] = covariance[c] + noise[c, b]
        return
    for c in range(size):
        for b in range(LANES):
            total[c, b] = covariance[c]
    for j in range(d):
        for b in range(LANES):
            total[j * (j + 1) // 2 + j, b] += noise[j, b]


@_compile
def _invert_pivot(pivot, variance):  # type: ignore[no-untyped-def]
    """Overwrite the variance that a pivot began as by the pivot's inverse, NaN if nothing is left of it."""
    for b in range(LANES):
        definite = pivot[b] > SINGULAR * variance[b]
        variance[b] = 1.0 / pivot[b] if definite else math.nan


@_compile
def _decompose(total, inverse):  # type: ignore[no-untyped-def]
    """Overwrite T's strict lower triangle with L; put R, the inverse pivots, into `inverse`; NaN if singular."""
    d = inverse.shape[0]
    for j in range(d):
        inverse[j] = total[j * (j + 1) // 2 + j]
    for j in range(d):
        _invert_pivot(total[j * (j + 1) // 2 + j], inverse[j])
        for i in range(d - 1, j, -1):
            ij = i * (i + 1) // 2 + j
            for c in range(j + 1, i + 1):
                cj, ic = c * (c + 1) // 2 + j, i * (i + 1) // 2 + c
                for b in range(LANES):
                    total[ic, b] -= total[ij, b] * inverse[j, b] * total[cj, b]
        for i in range(j + 1, d):
            ij = i * (i + 1) // 2 + j
            for b in range(LANES):
                total[ij, b] *= inverse[j, b]


@_compile
def _forward(values, mean, lower, residual):  # type: ignore[no-untyped-def]
    """Solve L y = x - m by forward substitution."""
    for i in range(len(mean)):
        for b in range(LANES):
            residual[i, b] = values[i, b] - mean[i]
        for j in range(i):
            ij = i * (i + 1) // 2 + j
            for b in range(LANES):
                residual[i, b] -= lower[ij, b] * residual[j, b]


@_compile
def _log_root_precision(reference, inverse, out):  # type: ignore[no-untyped-def]
    """Half the log-determinant of T^-1 in units of `reference`; one logarithm unless the product runs away."""
    for b in range(LANES):
        out[b] = 1.0
    for j in range(len(reference)):
        for b in range(LANES):
            out[b] *= inverse[j, b] * reference[j]
    for b in range(LANES):
        if TINY < out[b] < HUGE:
            out[b] = 0.5 * math.log(out[b])
        else:
            out[b] = 0.0
            for j in range(len(reference)):
                out[b] += 0.5 * math.log(inverse[j, b] * reference[j])


@_compile
def _noisy_log_term(constant, reference, inverse, residual, out):  # type: ignore[no-untyped-def]
    """Write ln a N(x | m, T) of each row."""
    _log_root_precision(reference, inverse, out)
    for b in range(LANES):
        out[b] += constant
    for j in range(len(reference)):
        for b in range(LANES):
            out[b] -= 0.5 * residual[j, b] * residual[j, b] * inverse[j, b]


@_compile
def _invert_lower(lower, d):  # type: ignore[no-untyped-def]
    """Overwrite the strict lower triangle L by that of M = L^-1."""
    for j in range(d):
        for i in range(j + 1, d):
            ij = i * (i + 1) // 2 + j
            for c in range(j + 1, i):
                ic, cj = i * (i + 1) // 2 + c, c * (c + 1) // 2 + j
                for b in range(LANES):
                    lower[ij, b] += lower[ic, b] * lower[cj, b]
            for b in range(LANES):
                lower[ij, b] = -lower[ij, b]


@_compile
def _score(lower, inverse, residual, score):  # type: ignore[no-untyped-def]
    """u = M^T R y, for M in the strict lower triangle."""
    d = inverse.shape[0]
    for i in range(d):
        for b in range(LANES):
            residual[i, b] *= inverse[i, b]
            score[i, b] = residual[i, b]
        for j in range(i):
            ij = i * (i + 1) // 2 + j
            for b in range(LANES):
                score[j, b] += lower[ij, b] * residual[i, b]


@_compile
def _scatter(lower, inverse, score, i, j, out):  # type: ignore[no-untyped-def]
    """Entry (i, j <= i) of u u^T - T^-1, with T^-1 = M^T R M."""
    d = inverse.shape[0]
    ij = i * (i + 1) // 2 + j
    for b in range(LANES):
        out[b] = score[i, b] * score[j, b]
    if i == j:
        for b in range(LANES):
            out[b] -= inverse[i, b]
    else:
        for b in range(LANES):
            out[b] -= inverse[i, b] * lower[ij, b]
    for c in range(i + 1, d):
        ci, cj = c * (c + 1) // 2 + i, c * (c + 1) // 2 + j
        for b in range(LANES):
            out[b] -= lower[ci, b] * inverse[c, b] * lower[cj, b]


@_compile
def _maximum(terms, top):  # type: ignore[no-untyped-def]
    """Largest of the K terms of each row."""
    top[:] = terms[0]
    for k in range(1, len(terms)):
        for b in range(LANES):
            top[b] = max(top[b], terms[k, b])


@_compile
def _load_extra(extra, first, terms):  # type: ignore[no-untyped-def]
    """Put the terms that do not depend on the components, (n, J), behind those of the components."""
    n_components = len(terms) - extra.shape[1]
    last = len(extra) - 1
    for j in range(extra.shape[1]):
        for b in range(LANES):
            terms[n_components + j, b] = extra[min(first + b, last), j]


@_compile
def _normalise(terms, weights, proposal, first, top, total):  # type: ignore[no-untyped-def]
    """Turn ln a N (K + J, LANES) into weighted responsibilities, `total` into ln p(x); use up `weights`.

    Points drawn from another density weigh p(x) / h(x) more, ln h being `proposal` (n,), empty for rows.
    """
    _maximum(terms, top)
    total[:] = 0.0
    for k in range(len(terms)):
        for b in range(LANES):
            terms[k, b] = math.exp(terms[k, b] - top[b])
        for b in range(LANES):
            total[b] += terms[k, b]
    for b in range(LANES):
        if len(proposal):
            weights[b] *= math.exp(top[b] - proposal[min(first + b, len(proposal) - 1)])
        else:
            weights[b] /= total[b]
        total[b] = top[b] + math.log(total[b])
    for k in range(len(terms)):
        for b in range(LANES):
            terms[k, b] *= weights[b]


@_compile
def _store(block, first, out):  # type: ignore[no-untyped-def]
    for b in range(min(LANES, len(out) - first)):
        out[first + b] = block[b]


@_compile
def noisy_statistics(  # type: ignore[no-untyped-def]
    values,
    noise,
    weights,
    extra,
    proposal,
    constants,
    means,
    covariances,
    reference,
    zeroth,
    first,
    second,
    log_density,
):
    """Add the score statistics of rows that each have their own noise.

    Parameters
    ----------
    values : (n, d)          observed features
    noise : (n, d) or (n, p) variances, or packed covariances (for d = 1 the same)
    weights : (n,)           row weights
    extra : (n, J)           ln a b(x_i) of J further densities without parameters
    proposal : (n,)          ln h(x_i) of importance points, which weigh p / h more; empty for rows
    constants : (K,)         ln a_k - (d ln 2 pi + sum ln reference) / 2
    means, covariances : (K, d), (K, p)   of the components, on the observed features, packed
    reference : (d,)         a typical variance of each feature
    zeroth, first, second : (K + J,), (K, d), (K, p)   added to: sum s q, sum s q u, sum s q (u u^T - T^-1)
    log_density : (n,)       overwritten: ln p(x_i)
    """
    n_components, d = means.shape
    size = covariances.shape[1]
    x, s = np.empty((d, LANES)), np.empty((noise.shape[1], LANES))
    total, inverse = np.empty((size, LANES)), np.empty((d, LANES))
    residual, score, row = np.empty((d, LANES)), np.empty((d, LANES)), np.empty(LANES)
    terms, weight = np.empty((len(zeroth), LANES)), np.empty(LANES)
    top, density = np.empty(LANES), np.empty(LANES)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        _load(noise, start, s)
        _load_weights(weights, start, weight)
        for k in range(n_components):
            _total_covariance(covariances[k], s, total)
            _decompose(total, inverse)
            _forward(x, means[k], total, residual)
            _noisy_log_term(constants[k], reference, inverse, residual, terms[k])
        _load_extra(extra, start, terms)
        _normalise(terms, weight, proposal, start, top, density)
        _store(density, start, log_density)
        for j in range(n_components, len(zeroth)):
            zeroth[j] += _sum(terms[j])
        for k in range(n_components):
            _total_covariance(covariances[k], s, total)
            _decompose(total, inverse)
            _forward(x, means[k], total, residual)
            _invert_lower(total, d)
            _score(total, inverse, residual, score)
            zeroth[k] += _sum(terms[k])
            for i in range(d):
                first[k, i] += _dot(terms[k], score[i])
                for j in range(i + 1):
                    _scatter(total, inverse, score, i, j, row)
                    second[k, i * (i + 1) // 2 + j] += _dot(terms[k], row)


@_compile
def noisy_log_terms(values, noise, constants, means, covariances, reference, out):  # type: ignore[no-untyped-def]
    """Write ln a_k N(x_i | m_k, V_k + S_i) into `out` (K, n); arguments as in `noisy_statistics`."""
    d = means.shape[1]
    x, s = np.empty((d, LANES)), np.empty((noise.shape[1], LANES))
    total, inverse = np.empty((covariances.shape[1], LANES)), np.empty((d, LANES))
    residual, row = np.empty((d, LANES)), np.empty(LANES)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        _load(noise, start, s)
        for k in range(len(means)):
            _total_covariance(covariances[k], s, total)
            _decompose(total, inverse)
            _forward(x, means[k], total, residual)
            _noisy_log_term(constants[k], reference, inverse, residual, row)
            _store(row, start, out[k])


@_compile
def _whiten(values, mean, whitener, residual, white):  # type: ignore[no-untyped-def]
    """Compute y = W (x - m) with W lower triangular, packed, W^T W = T^-1."""
    for i in range(len(mean)):
        for b in range(LANES):
            residual[i, b] = values[i, b] - mean[i]
        for b in range(LANES):
            white[i, b] = 0.0
        for j in range(i + 1):
            factor = whitener[i * (i + 1) // 2 + j]
            for b in range(LANES):
                white[i, b] += factor * residual[j, b]


@_compile
def _fixed_log_term(constant, white, out):  # type: ignore[no-untyped-def]
    for b in range(LANES):
        out[b] = constant
    for i in range(len(white)):
        for b in range(LANES):
            out[b] -= 0.5 * white[i, b] * white[i, b]


@_compile
def fixed_statistics(  # type: ignore[no-untyped-def]
    values, weights, extra, proposal, constants, means, whiteners, zeroth, first, second, log_density
):
    """Add the whitened statistics of rows that share one noise, or have none.

    Parameters
    ----------
    values : (n, d)          observed features
    weights : (n,)           row weights
    extra : (n, J)           ln a b(x_i) of J further densities without parameters
    proposal : (n,)          ln h(x_i) of importance points, which weigh p / h more; empty for rows
    constants : (K,)         ln a_k - (d ln 2 pi + ln |T_k|) / 2
    means : (K, d)           of the components, on the observed features
    whiteners : (K, p)       packed lower triangle W_k with W_k^T W_k = T_k^-1
    zeroth, first, second : (K + J,), (K, d), (K, p)   added to: sum s q, sum s q y, sum s q (y y^T - 1)
    log_density : (n,)       overwritten: ln p(x_i)
    """
    n_components, d = means.shape
    x, residual, white = np.empty((d, LANES)), np.empty((d, LANES)), np.empty((d, LANES))
    terms, weight, row = np.empty((len(zeroth), LANES)), np.empty(LANES), np.empty(LANES)
    top, density = np.empty(LANES), np.empty(LANES)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        _load_weights(weights, start, weight)
        for k in range(n_components):
            _whiten(x, means[k], whiteners[k], residual, white)
            _fixed_log_term(constants[k], white, terms[k])
        _load_extra(extra, start, terms)
        _normalise(terms, weight, proposal, start, top, density)
        _store(density, start, log_density)
        for j in range(n_components, len(zeroth)):
            zeroth[j] += _sum(terms[j])
        for k in range(n_components):
            _whiten(x, means[k], whiteners[k], residual, white)
            zeroth[k] += _sum(terms[k])
            for i in range(d):
                first[k, i] += _dot(terms[k], white[i])
                for j in range(i + 1):
                    unit = 1.0 if i == j else 0.0
                    for b in range(LANES):
                        row[b] = white[i, b] * white[j, b] - unit
                    second[k, i * (i + 1) // 2 + j] += _dot(terms[k], row)


@_compile
def fixed_log_terms(values, constants, means, whiteners, out):  # type: ignore[no-untyped-def]
    """Write ln a_k N(x_i | m_k, T_k) into `out` (K, n); arguments as in `fixed_statistics`."""
    d = means.shape[1]
    x, residual, white = np.empty((d, LANES)), np.empty((d, LANES)), np.empty((d, LANES))
    row = np.empty(LANES)
    for start in range(0, len(values), LANES):
        _load(values, start, x)
        for k in range(len(means)):
            _whiten(x, means[k], whiteners[k], residual, white)
            _fixed_log_term(constants[k], white, row)
            _store(row, start, out[k])
