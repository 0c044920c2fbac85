"""The log-likelihood of rows that were kept for values which they do not show, by brute-force quadrature.

Shares no code with the package: a row's term is ln sum_k a_k int N(t | m, V) N(x | t, S) Omega dt, over a grid of
Gauss-Legendre panels that ends where the selection does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oracle import Parameters

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
FAR = 14.0

Limits = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From the values of the axis before, (n,), to where the selection begins and ends on the next one."""


def panels(low: np.ndarray, high: np.ndarray, n_panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (n, m) between limits (n,)."""
    low, high = np.clip(low, -FAR, FAR), np.clip(high, -FAR, FAR)
    edges = np.linspace(low, high, n_panels + 1, axis=-1)
    half = np.diff(edges, axis=-1)[..., None] / 2
    nodes = edges[..., :-1, None] + half * (NODES + 1)
    return nodes.reshape(len(low), -1), (half * WEIGHTS).reshape(len(low), -1)


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """ln N of points (n, d)."""
    r = x - mean
    chi_square = np.einsum("nd,de,ne->n", r, np.linalg.inv(covariance), r)
    return -0.5 * (chi_square + np.linalg.slogdet(2 * np.pi * covariance)[1])


@dataclass(frozen=True)
class Region:
    """Where Omega is 1 in the (up to two) features that it looks at, in order: limits of each given those before."""

    first: tuple[float, float]
    second: Limits | None = None

    def grid(self, n_panels: int) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, f) and weights (n,)."""
        nodes, weights = (a[0] for a in panels(*(np.array([v]) for v in self.first), n_panels))
        if self.second is None:
            return nodes[:, None], weights
        inner, each = panels(*self.second(nodes), n_panels)
        points = np.stack([np.repeat(nodes, inner.shape[1]), inner.ravel()], axis=1)
        return points, (weights[:, None] * each).ravel()


def kept_after_noise(x, S, parameters: Parameters, missing: int, low: float, high: float) -> float:
    """ln of the density of a row that lacks one feature, whose noisy value lay between low and high."""
    nodes, weights = panels(np.array([low]), np.array([high]), 12)
    seen = ~np.isnan(x)
    seen[missing] = True
    y = np.repeat(x[None], nodes.size, axis=0)
    y[:, missing] = nodes[0]
    J = np.flatnonzero(seen)
    terms = [
        np.log(a) + log_normal(y[:, J], m[J], (V + S)[np.ix_(J, J)])
        for a, m, V in zip(*parameters, strict=True)
    ]
    return float(np.log(np.sum(weights[0] * np.exp(terms))))


def kept_before_noise(x, S, parameters: Parameters, region: Region, n_panels: int = 12) -> float:
    """ln of the density of a row whose noise-free values lay in a region of all its features."""
    t, weights = region.grid(n_panels)
    O = np.flatnonzero(~np.isnan(x))
    noise = log_normal(x[O] - t[:, O], np.zeros(len(O)), S[np.ix_(O, O)]) if len(O) else 0.0
    terms = [np.log(a) + log_normal(t, m, V) + noise for a, m, V in zip(*parameters, strict=True)]
    return float(np.log(np.sum(weights * np.exp(terms))))


def gradient(log_likelihood: Callable[[Parameters], float], parameters: Parameters) -> Parameters:
    """Derivatives by a, m and V (off-diagonal pairs moved together), by differences of fourth order."""
    out = []
    for which, array in enumerate(parameters):
        slopes = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            if which == 2 and index[1] < index[2]:
                continue
            slopes[index] = _slope(log_likelihood, parameters, which, index)
        out.append(slopes)
    return Parameters(*out)


def _slope(
    log_likelihood, parameters: Parameters, which: int, index: tuple[int, ...], h: float = 1e-3
) -> float:
    def at(step: float) -> float:
        moved = [array.copy() for array in parameters]
        moved[which][index] += step
        if which == 2 and index[1] != index[2]:
            moved[which][index[0], index[2], index[1]] += step
        return log_likelihood(Parameters(*moved))

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
