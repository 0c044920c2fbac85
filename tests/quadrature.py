"""The likelihood of rows that a selection kept, by brute-force quadrature, row by row.

Shares no code with the package.  In one or two features,

    L = sum_i s_i [ln p(x_i | S_i) + ln Omega(x_i) - ln Z(S_i)],    Z(S) = int p(x | S) Omega(x) dx,
    p(x | S) = sum_k a_k N(x | m_k, V_k + S) + a_bg b(x | S),

b being uniform in a box and blurred by the noise.  Integrals are sums over a tensor grid of Gauss-Legendre panels
whose edges hold every jump of the integrand.  A row's statistics are what its terms contribute to the update
of expectation maximization; those of the rows that were not kept are sum_i s_i / Z_i int p (1 - Omega) statistics dx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
INNER_NODES, INNER_WEIGHTS = np.polynomial.legendre.leggauss(40)
REACH = 8.0
"""Dispersions from a component's mean at which its integrals end: 1e-15 lies beyond."""


@dataclass(frozen=True)
class Law:
    """What rows are drawn from: amplitudes (K,) of the whole, means (K, D), covariances (K, D, D), and a box."""

    amplitudes: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    background: float = 0.0
    low: np.ndarray = field(default_factory=lambda: np.zeros(0))
    high: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Keeping:
    """Omega of points (n, D), and for each feature the values at which it jumps."""

    omega: Callable[[np.ndarray], np.ndarray]
    jumps: Sequence[Sequence[float]]


class Sums(NamedTuple):
    """Statistics of some rows: zeroth (K,), first (K, D), second (K, D, D), background, and their share of L."""

    zeroth: np.ndarray
    first: np.ndarray
    second: np.ndarray
    background: float
    log_likelihood: float


def normal_density(x, mean, covariance):
    """N of points (n, d)."""
    r = x - mean
    chi_square = np.einsum("nd,de,ne->n", r, np.linalg.inv(covariance), r)
    return np.exp(-0.5 * chi_square) / np.sqrt(np.linalg.det(2 * np.pi * covariance))


def box_density(x, S, low, high):
    """b of points (n, d), d at most 2: the chance that noise S would have put them in the box, over its volume."""
    volume = np.prod(high - low)
    if not S.any():
        return ((x >= low) & (x <= high)).all(axis=1) / volume
    if not (S - np.diag(np.diagonal(S))).any():
        sigmas = np.sqrt(np.diagonal(S))
        return np.prod(ndtr((high - x) / sigmas) - ndtr((low - x) / sigmas), axis=1) / volume
    sigma = np.sqrt(S[0, 0])
    begin = np.clip(x[:, 0] - REACH * sigma, low[0], high[0])
    end = np.clip(x[:, 0] + REACH * sigma, low[0], high[0])
    half = (end - begin)[:, None] / 2
    t = begin[:, None] + half * (INNER_NODES + 1)
    seen = np.exp(-0.5 * ((t - x[:, :1]) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    center = x[:, 1:] + (t - x[:, :1]) * S[0, 1] / S[0, 0]
    left = np.sqrt(S[1, 1] - S[0, 1] ** 2 / S[0, 0])
    inside = ndtr((high[1] - center) / left) - ndtr((low[1] - center) / left)
    return (half * INNER_WEIGHTS * seen * inside).sum(axis=1) / volume


def terms(law, x, S, observed):
    """a_k N (n, K) and a_bg b (n,) of points that show these features."""
    J = np.ix_(observed, observed)
    components = np.stack(
        [
            a * normal_density(x, m[observed], V[J] + S[J])
            for a, m, V in zip(law.amplitudes, law.means, law.covariances, strict=True)
        ],
        axis=1,
    )
    if not law.background:
        return components, np.zeros(len(x))
    return components, law.background * box_density(x, S[J], law.low[observed], law.high[observed])


def summed(law, x, S, observed, components, background):
    """Sum what points contribute whose components' and background's shares are (n, K) and (n,)."""
    K, D = law.means.shape
    first, second = np.zeros((K, D)), np.zeros((K, D, D))
    J = np.ix_(observed, observed)
    for k in range(K):
        inverse = np.linalg.inv(law.covariances[k][J] + S[J])
        u = (x - law.means[k][observed]) @ inverse
        q = components[:, k]
        first[k, observed] = q @ u
        second[k][J] = np.einsum("n,nd,ne->de", q, u, u) - q.sum() * inverse
    return components.sum(axis=0), first, second, float(background.sum())


def observed_sums(law, values, noise, weights):
    """Statistics of rows, NaN where they lack a feature; the log-likelihood is sum s ln p."""
    total = [0.0, 0.0, 0.0, 0.0, 0.0]
    for x, S, s in zip(values, noise, weights, strict=True):
        observed = np.flatnonzero(~np.isnan(x))
        point = x[observed][None]
        components, background = terms(law, point, S, observed)
        p = components.sum() + background.sum()
        parts = summed(law, point, S, observed, s * components / p, s * background / p)
        total = [a + b for a, b in zip(total, (*parts, s * np.log(p)), strict=True)]
    return Sums(*total)


def axis(law, S, keeping, j):
    """Nodes and weights along one feature."""
    spread = np.sqrt(law.covariances[:, j, j] + S[j, j])
    ends = [*(law.means[:, j] - REACH * spread), *(law.means[:, j] + REACH * spread)]
    jumps = [*keeping.jumps[j]]
    if law.background:
        reach = REACH * np.sqrt(S[j, j])
        ends += [law.low[j] - reach, law.high[j] + reach]
        jumps += [law.low[j], law.high[j]]
    width = 2.0 * np.sqrt((law.covariances[:, j, j] + S[j, j]).min())
    if law.background and S[j, j] > 0:
        width = min(width, 2.0 * np.sqrt(S[j, j]))
    stops = np.unique([min(ends), *(jump for jump in jumps if min(ends) < jump < max(ends)), max(ends)])
    edges = [
        np.linspace(left, right, 1 + int(np.ceil((right - left) / width))) for left, right in pairwise(stops)
    ]
    edges = np.unique(np.concatenate(edges))
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (NODES + 1)).ravel(), (half * WEIGHTS).ravel()


def grid(law, S, keeping):
    """Points (n, D) and their weights (n,)."""
    axes = [axis(law, S, keeping, j) for j in range(law.means.shape[1])]
    points = np.stack(
        [mesh.ravel() for mesh in np.meshgrid(*(nodes for nodes, _ in axes), indexing="ij")], axis=1
    )
    weights = axes[0][1] if len(axes) == 1 else np.outer(axes[0][1], axes[1][1]).ravel()
    return points, weights


def hidden(law, S, keeping):
    """Z of one noise, and the integrals of p (1 - Omega) statistics."""
    points, weights = grid(law, S, keeping)
    every = np.arange(points.shape[1])
    components, background = terms(law, points, S, every)
    omega = keeping.omega(points)
    chance = float(np.sum(weights * omega * (components.sum(axis=1) + background)))
    missed = weights * (1 - omega)
    return chance, summed(law, points, S, every, missed[:, None] * components, missed * background)


def unobserved_sums(law, noise, weights, keeping):
    """Statistics of the rows that were not kept; the log-likelihood is -sum s ln Z.  Also sum s / sum (s / Z)."""
    known, total, complete = {}, [0.0, 0.0, 0.0, 0.0, 0.0], 0.0
    for S, s in zip(noise, weights, strict=True):
        if S.tobytes() not in known:
            known[S.tobytes()] = hidden(law, S, keeping)
        chance, parts = known[S.tobytes()]
        row = (*(s / chance * part for part in parts), -s * np.log(chance))
        total = [a + b for a, b in zip(total, row, strict=True)]
        complete += s / chance
    return Sums(*total), float(np.sum(weights) / complete)


def log_omega(values, weights, keeping):
    """Sum s ln Omega; Omega must not look at features that rows lack."""
    return float(np.sum(weights * np.log(keeping.omega(values))))


def log_likelihood(law, values, noise, weights, keeping):
    """L of all rows."""
    seen = observed_sums(law, values, noise, weights)
    unseen, _ = unobserved_sums(law, noise, weights, keeping)
    return seen.log_likelihood + unseen.log_likelihood + log_omega(values, weights, keeping)


def complete_log_likelihood(law, values, noise, keeping):
    """L but for its ln Omega, of many rows that lack nothing and share few noises (B, D, D): values are B arrays."""
    total = 0.0
    for x, S in zip(values, noise, strict=True):
        components, background = terms(law, x, S, np.arange(x.shape[1]))
        total += np.log(components.sum(axis=1) + background).sum() - len(x) * np.log(
            hidden(law, S, keeping)[0]
        )
    return total


def standard_errors(function, parameters, steps):
    """Standard errors at the maximum of a log-likelihood, from its Hessian by differences of these steps."""
    parameters, n = np.asarray(parameters, dtype=float), len(parameters)
    moves = np.diag(np.broadcast_to(steps, n))
    hessian = np.empty((n, n))
    for i in range(n):
        for j in range(i, n):
            corners = [
                a * b * function(parameters + a * moves[i] + b * moves[j]) for a in (1, -1) for b in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * moves[i, i] * moves[j, j])
    return np.sqrt(np.diagonal(np.linalg.inv(-hessian)))
