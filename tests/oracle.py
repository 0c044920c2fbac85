"""Expectation maximization as the paper writes it: row by row, component by component.

This is the slow path that the package is tested against.  It shares no code with it: every matrix is
written out, inverted and multiplied as in Bovy, Hogg & Roweis 2011 (arXiv:0905.2979), whose equations
are cited.  Rows have NaN where a feature was not observed; `noise` holds one (D, D) covariance per row, and
`projection`, if given, one (d, D) matrix per row of d features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Parameters(NamedTuple):
    """amplitudes (K,), means (K, D), covariances (K, D, D)."""

    amplitudes: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


class Scores(NamedTuple):
    """A_k = sum s q, h_k = sum s q u, H_k = sum s q (u u^T - G), and L = sum s ln p."""

    zeroth: np.ndarray
    first: np.ndarray
    second: np.ndarray
    log_likelihood: float


class Fixed(NamedTuple):
    """Components whose parameter must not move."""

    amplitudes: tuple[int, ...] = ()
    means: tuple[int, ...] = ()
    covariances: tuple[int, ...] = ()


NOTHING_FIXED = Fixed()


def observe(x, S, R=None):
    """What was observed of a row: y, the projection to it (rows of R or the identity), and the noise of y."""
    seen = np.flatnonzero(~np.isnan(x))
    return x[seen], (np.eye(len(x)) if R is None else R)[seen], S[np.ix_(seen, seen)]


def log_terms(x, S, parameters, R=None):
    """ln a_k N(y | R m_k, T_k) with T_k = R V_k R^T + S, for each component (eq. 14)."""
    y, R, S = observe(x, S, R)
    terms = []
    for a, m, V in zip(*parameters, strict=True):
        T = R @ V @ R.T + S
        r = y - R @ m
        chi_square = r @ np.linalg.inv(T) @ r
        log_normal = -0.5 * (len(y) * np.log(2 * np.pi) + np.linalg.slogdet(T)[1] + chi_square)
        terms.append(np.log(a) + log_normal)
    return np.array(terms)


def log_density(x, S, parameters, R=None):
    """ln p(y) of one row."""
    terms = log_terms(x, S, parameters, R)
    return terms.max() + np.log(np.exp(terms - terms.max()).sum())


def responsibilities(x, S, parameters, R=None):
    """q_k = Pr(component k | y) of one row (eq. 16)."""
    return np.exp(log_terms(x, S, parameters, R) - log_density(x, S, parameters, R))


def condition(x, S, m, V, R=None):
    """Mean b and covariance B of a row's noise-free values, if component (m, V) made it (eq. 16)."""
    y, R, S = observe(x, S, R)
    T = R @ V @ R.T + S
    gain = V @ R.T @ np.linalg.inv(T)
    return m + gain @ (y - R @ m), V - gain @ R @ V


def score(x, S, m, V, R=None):
    """u = R^T T^-1 (y - R m) and G = R^T T^-1 R of one row and component."""
    y, R, S = observe(x, S, R)
    inverse = np.linalg.inv(R @ V @ R.T + S)
    return R.T @ inverse @ (y - R @ m), R.T @ inverse @ R


def informative(values, noise, weights) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Go through the rows, but those where nothing was observed."""
    for x, S, s in zip(values, noise, weights, strict=True):
        if not np.isnan(x).all():
            yield x, S, s


def projected(values, noise, weights, projection):
    """Go through the rows as `informative` does, the projection of each, or None, beside them."""
    every = [None] * len(values) if projection is None else projection
    yield from zip(
        informative(values, noise, weights),
        (R for x, R in zip(values, every, strict=True) if not np.isnan(x).all()),
        strict=True,
    )


def score_statistics(values, noise, weights, parameters, projection=None):
    """Sum the scores of all rows."""
    K, D = parameters.means.shape
    A, h, H, L = np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D)), 0.0
    for (x, S, s), R in projected(values, noise, weights, projection):
        L += s * log_density(x, S, parameters, R)
        q = responsibilities(x, S, parameters, R)
        for k in range(K):
            u, G = score(x, S, parameters.means[k], parameters.covariances[k], R)
            A[k] += s * q[k]
            h[k] += s * q[k] * u
            H[k] += s * q[k] * (np.outer(u, u) - G)
    return Scores(A, h, H, L)


def update(values, noise, weights, parameters, fixed=NOTHING_FIXED, projection=None):
    """Improve the parameters by one step (eqs. 17-19), each covariance about its new mean."""
    rows = list(projected(values, noise, weights, projection))
    q = np.array([s * responsibilities(x, S, parameters, R) for (x, S, s), R in rows])
    means, covariances = parameters.means.copy(), parameters.covariances.copy()
    for k, (_, m, V) in enumerate(zip(*parameters, strict=True)):
        conditioned = [condition(x, S, m, V, R) for (x, S, _), R in rows]
        if k not in fixed.means:
            means[k] = sum(q_i * b for q_i, (b, _) in zip(q[:, k], conditioned, strict=True)) / q[:, k].sum()
        if k not in fixed.covariances:
            moments = [np.outer(b - means[k], b - means[k]) + B for b, B in conditioned]
            covariances[k] = sum(q_i * M for q_i, M in zip(q[:, k], moments, strict=True)) / q[:, k].sum()
    return Parameters(share_amplitudes(q.sum(axis=0), parameters.amplitudes, fixed), means, covariances)


def share_amplitudes(counts, amplitudes, fixed):
    """Give the free components what the fixed ones leave, in proportion to their counts."""
    free = [k for k in range(len(counts)) if k not in fixed.amplitudes]
    shared = amplitudes.copy()
    shared[free] = counts[free] / counts[free].sum() * (1 - amplitudes[list(fixed.amplitudes)].sum())
    return shared
