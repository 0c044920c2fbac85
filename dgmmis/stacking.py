"""Weights under which a mixture of models predicts left-out rows best.

The mean held-out log density f(w) = mean_i ln sum_m w_m p_im is concave in w, so its maximum over the simplex is one.
It is found as the maximum of f(w) - sum w + 1 over w >= 0, which has the same solution, by Newton steps that are each
a non-negative least-squares problem (Kim, Carbonetto, Stephens & Anitescu 2020, J. Comp. Graph. Stat. 29, 261).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from dgmmis.packed import Array

__all__ = ["GAP", "Stacking", "stack_scores"]

GAP = 1e-6
"""Nats per row that the mean log density may still lie below its maximum."""

MOST_STEPS = 200
RIDGE = 1e-10
"""Of the curvature, relative to its largest entry: models that say the same make it singular."""

HALVINGS = 30
ENOUGH = 0.01
"""Share of what a step promises that it must keep."""


@dataclass(frozen=True)
class Stacking:
    """Weights of models and how near they are to the best ones.

    Attributes
    ----------
    weights : (M,)
        Not negative, of sum 1.
    mean_log_density : float
        Of the left-out rows under the mixture of models [nats per unit of weight].
    gap : float
        Upper bound on what the best weights would add to it: max_m mean_i p_im / p_i - 1.
    """

    weights: Array
    mean_log_density: float
    gap: float


def stack_scores(scores: Array, row_weights: Array | None = None, *, gap: float = GAP) -> Stacking:
    """Find the weights (M,) of models that maximise the mean log density of left-out rows.

    Parameters
    ----------
    scores : (M, N)
        ln p of each row under each model that has not seen it [nats].
    row_weights : (N,), optional
    gap : float
        Stop when no weights can add more than this to the mean [nats].
    """
    shares = np.full(scores.shape[1], 1 / scores.shape[1])
    if row_weights is not None:
        shares = row_weights / row_weights.sum()
    highest = scores.max(axis=0)
    densities = np.exp(scores - highest)
    weights = np.full(len(scores), 1 / len(scores))
    for _ in range(MOST_STEPS):
        ratios, slope = _slope(densities, shares, weights)
        if slope.max() - 1 <= gap:
            break
        weights = _stepped(densities, shares, weights, ratios, slope)
    _, slope = _slope(densities, shares, weights)
    value = _value(densities, shares, weights) + float(np.sum(shares * highest))
    return Stacking(weights, value, float(max(0.0, slope.max() - 1)))


def _value(densities: Array, shares: Array, weights: Array) -> float:
    with np.errstate(divide="ignore"):
        return float(np.sum(shares * np.log(np.einsum("m,mn->n", weights, densities))))


def _slope(densities: Array, shares: Array, weights: Array) -> tuple[Array, Array]:
    """p_im / p_i (M, N), and its mean over rows (M,): the gradient."""
    ratios = densities / np.einsum("m,mn->n", weights, densities)
    return ratios, np.einsum("n,mn->m", shares, ratios)


def _stepped(densities: Array, shares: Array, weights: Array, ratios: Array, slope: Array) -> Array:
    """Take a Newton step, shortened until it climbs; failing that, one of expectation maximization."""
    curvature = np.einsum("n,mn,ln->ml", shares, ratios, ratios)
    root = np.linalg.cholesky(curvature + RIDGE * curvature.max() * np.eye(len(slope)))
    wanted, _ = nnls(root.T, np.linalg.solve(root, 2 * slope - 1))
    step, before = wanted - weights, _value(densities, shares, weights) - weights.sum()
    promised = float(np.sum((slope - 1) * step))
    for halving in range(HALVINGS):
        length = 0.5**halving
        trial = np.maximum(weights + length * step, 0.0)
        if _value(densities, shares, trial) - trial.sum() >= before + ENOUGH * length * promised:
            return np.asarray(trial / trial.sum())
    climbed = weights * slope
    return np.asarray(climbed / climbed.sum())
