"""Probability that a normal variable lies in a rectangle: each row by the cheapest way that is right for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from dgmmis.normal_intervals import FARTHEST, Intervals, interval_log_probability
from dgmmis.packed import Array
from dgmmis.rectangle_quadrature import bivariate_log_probability
from dgmmis.rectangle_sampling import sampled_log_probability

__all__ = ["independent_log_probability", "rectangle_log_probability"]

NEGLIGIBLE = float(log_ndtr(-8.0))
"""A feature plays no part if its chance to lie outside is below that of 8 standard deviations, as a share
of the probability that the others are inside."""


def independent_log_probability(rectangles: Intervals, variances: Array) -> Array:
    """Logarithm of the probability that independent normal variables of mean 0 lie in rectangles.

    Parameters
    ----------
    rectangles : Intervals (n, d)
        In the variables' units.
    variances : (n, d)
        A variable of variance 0 is inside or not, the bounds included.

    Returns
    -------
    (n,)
    """
    each = interval_log_probability(_standardised(rectangles, variances))
    certain = np.where((rectangles.lower <= 0) & (rectangles.upper >= 0), 0.0, -np.inf)
    return np.asarray(np.where(variances > 0, each, certain).sum(axis=1))


def rectangle_log_probability(rectangles: Intervals, covariances: Array) -> tuple[Array, Array]:
    """Logarithm of the probability that normal variables of mean 0 lie in rectangles, and its error.

    Variables that are certain to be inside are left out: those without variance, and those whose chance to
    be outside is below Phi(-8) of the probability of the rest, however the variables are correlated.  What
    is left is a product if the variables are uncorrelated, an interval (one), a quadrature (two) or
    Genz's quasi-Monte Carlo (three and more).

    Parameters
    ----------
    rectangles : Intervals (n, d)
        In the variables' units.
    covariances : (n, d, d)
        Positive semi-definite.

    Returns
    -------
    log_probability : (n,)
        -inf where a variable without variance is outside; a variable further than 1e120 standard deviations
        outside counts as that far.
    error : (n,)
        Standard error of it; 0 but for three and more correlated variables.
    """
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    value = independent_log_probability(rectangles, variances)
    error = np.zeros(len(value))
    rows = np.flatnonzero(_is_correlated(covariances) & np.isfinite(value))
    if len(rows):
        standardised = _standardised(rectangles[rows], variances[rows])
        value[rows], error[rows] = _correlated(standardised, _correlations(covariances[rows]))
    return value, error


def _standardised(rectangles: Intervals, variances: Array) -> Intervals:
    """Rectangles in standard deviations; variables without variance are between all bounds."""
    deviations, random = np.sqrt(variances), variances > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lower = np.where(random, rectangles.lower / deviations, -FARTHEST)
        upper = np.where(random, rectangles.upper / deviations, FARTHEST)
        width = np.where(random, rectangles.width / deviations, 2 * FARTHEST)
    return Intervals(
        np.clip(lower, -FARTHEST, FARTHEST),
        np.clip(upper, -FARTHEST, FARTHEST),
        np.minimum(width, 2 * FARTHEST),
    )


def _is_correlated(covariances: Array) -> NDArray[np.bool_]:
    off_diagonal = ~np.eye(covariances.shape[1], dtype=bool)
    return np.asarray((covariances[:, off_diagonal] != 0).any(axis=1))


def _correlations(covariances: Array) -> Array:
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    deviations = np.sqrt(np.where(variances > 0, variances, 1.0))
    correlations = covariances / deviations[:, :, None] / deviations[:, None, :]
    diagonal = np.arange(covariances.shape[1])
    correlations[:, diagonal, diagonal] = 1.0
    return np.clip(correlations, -1.0, 1.0)


def _correlated(rectangles: Intervals, correlations: Array) -> tuple[Array, Array]:
    """Take variables in until those left out are certain to be inside.

    Pr(A and B) lies between Pr(A) - Pr(not B) and Pr(A).  Each round takes in the variables whose Pr(not B)
    is not negligible beside the Pr(A) of those taken in before; Pr(A) only falls, so none is put back.
    """
    outside = np.logaddexp(log_ndtr(rectangles.lower), log_ndtr(-rectangles.upper))
    n, d = outside.shape
    value, error = np.zeros(n), np.zeros(n)
    active = np.zeros((n, d), dtype=bool)
    for _ in range(d):
        needed = active | (outside > value[:, None] + NEGLIGIBLE)
        changed = np.flatnonzero((needed & ~active).any(axis=1))
        if not len(changed):
            break
        active = needed
        for rows, variables in _by_pattern(active, changed):
            value[rows], error[rows] = _of_active(
                rectangles[np.ix_(rows, variables)],
                correlations[np.ix_(rows, variables, variables)],
            )
    return value, error


def _by_pattern(
    active: NDArray[np.bool_], rows: NDArray[np.intp]
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows that have the same active variables, and these."""
    patterns, which = np.unique(active[rows], axis=0, return_inverse=True)
    return [(rows[which.ravel() == p], np.flatnonzero(pattern)) for p, pattern in enumerate(patterns)]


def _of_active(rectangles: Intervals, correlations: Array) -> tuple[Array, Array]:
    n, d = correlations.shape[:2]
    if d == 1:
        return interval_log_probability(rectangles[:, 0]), np.zeros(n)
    if d == 2:
        return bivariate_log_probability(rectangles, correlations[:, 0, 1]), np.zeros(n)
    return sampled_log_probability(rectangles, correlations)
