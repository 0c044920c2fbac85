"""Probabilities of rectangles under normal distributions of three and more dimensions, by quasi-Monte Carlo.

Genz's separation of variables (1992, J. Comput. Graph. Stat. 1, 141): with the Cholesky factor of the
covariance the probability becomes the mean, over the unit cube, of a product of one-dimensional
probabilities of intervals, each given the variables before it.  The mean is taken over scrambled Sobol
points, always the same ones, so that the same row always has the same answer; several independent
scramblings tell its error.  Every term is positive and kept as a logarithm: the error is relative, also
for rows far outside.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import logsumexp

from dgmmis.normal_intervals import Intervals, interval_log_probability, interval_quantile
from dgmmis.packed import Array

__all__ = ["sampled_log_probability"]

SCRAMBLINGS = 8
SEED = 20250611
FEWEST, MOST = 5, 13
"""Binary logarithms of the fewest and the most points of one scrambling."""

TOLERANCE = 1e-4
"""Relative standard error at which no more points are taken."""

BARELY_POSSIBLE = -100.0
"""Logarithm of the probability below which no more than the fewest points are taken."""

NODES_AT_ONCE = 2**16
"""Rows times points held together: half a megabyte for each array."""

SMALLEST_PIVOT = 1e-14
"""Share of a variance, left after conditioning, below which it counts as this much: a covariance without
full rank is smoothed by 1e-7 standard deviations."""


def sampled_log_probability(rectangles: Intervals, correlation: Array) -> tuple[Array, Array]:
    """Logarithm of the probability of rectangles, and its standard error.

    Each row gets 8 x 32 points, then four times as many until its standard error is below `TOLERANCE` or
    there are 8 x 8,192.  Rows below `BARELY_POSSIBLE` keep the first answer, and its larger error.

    Parameters
    ----------
    rectangles : Intervals (n, d)
    correlation : (n, d, d)

    Returns
    -------
    log_probability : (n,)
    error : (n,)
        Standard error of it, from the scatter of the scramblings.
    """
    rectangles, correlation = _least_probable_first(rectangles, correlation)
    factor = _cholesky(correlation)
    value, error = np.empty(len(factor)), np.empty(len(factor))
    left = np.arange(len(factor))
    for power in range(FEWEST, MOST + 1, 2):
        n_rows = max(1, NODES_AT_ONCE // (SCRAMBLINGS << power))
        for first in range(0, len(left), n_rows):
            rows = left[first : first + n_rows]
            value[rows], error[rows] = _mean(rectangles[rows], factor[rows], power)
        left = left[(error[left] > TOLERANCE) & (value[left] > BARELY_POSSIBLE)]
    return value, error


def _least_probable_first(rectangles: Intervals, correlation: Array) -> tuple[Intervals, Array]:
    """Order the variables so that what is left to the later ones varies least (Gibson et al. 1994)."""
    order = np.argsort(interval_log_probability(rectangles), axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    return rectangles[rows, order], correlation[rows[:, :, None], order[:, :, None], order[:, None]]


def _cholesky(correlation: Array) -> Array:
    """Lower Cholesky factors (n, d, d) of positive semi-definite matrices of unit diagonal."""
    d = correlation.shape[1]
    factor = np.zeros_like(correlation)
    for j in range(d):
        column = correlation[:, j:, j] - np.einsum("nij,nj->ni", factor[:, j:, :j], factor[:, j, :j])
        pivot = np.sqrt(np.maximum(column[:, 0], SMALLEST_PIVOT))
        full_rank = column[:, 0] > SMALLEST_PIVOT
        factor[:, j, j] = pivot
        factor[:, j + 1 :, j] = np.where(full_rank[:, None], column[:, 1:] / pivot[:, None], 0.0)
    return factor


@cache
def _points(n_dimensions: int, power: int) -> Array:
    """Sobol points (n_dimensions, SCRAMBLINGS 2^power), one scrambling after the other."""
    from scipy.stats import qmc

    seeds = np.random.SeedSequence(SEED).spawn(SCRAMBLINGS)
    scrambled = [
        qmc.Sobol(n_dimensions, scramble=True, seed=np.random.default_rng(seed)).random_base2(power)
        for seed in seeds
    ]
    points = np.ascontiguousarray(np.concatenate(scrambled).T)
    points.flags.writeable = False
    return points


def _mean(rectangles: Intervals, factor: Array, power: int) -> tuple[Array, Array]:
    n, d = factor.shape[:2]
    points = _points(d - 1, power)
    total = np.zeros((n, points.shape[1]))
    variables = np.empty((n, d - 1, points.shape[1]))
    for i in range(d):
        shift = np.einsum("nj,njp->np", factor[:, i, :i], variables[:, :i])
        intervals = rectangles[:, i, None].shifted(shift, factor[:, i, i, None])
        log_probability = interval_log_probability(intervals)
        total += log_probability
        if i < d - 1:
            variables[:, i] = interval_quantile(intervals, log_probability, points[i])
    return _mean_and_error(total.reshape(n, SCRAMBLINGS, -1))


def _mean_and_error(terms: Array) -> tuple[Array, Array]:
    """Logarithm of the mean of exp(terms) (n, scramblings, points) and its error (n,)."""
    each = logsumexp(terms, axis=2) - np.log(terms.shape[2])
    mean = logsumexp(each, axis=1) - np.log(SCRAMBLINGS)
    reachable = np.isfinite(mean)
    ratios = np.exp(each - np.where(reachable, mean, 0.0)[:, None])
    return mean, np.where(reachable, ratios.std(axis=1, ddof=1) / np.sqrt(SCRAMBLINGS), 0.0)
