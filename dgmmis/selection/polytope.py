"""Moments of Gaussians between linear constraints: exact for one and two, sequential sampling for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array
from dgmmis.selection.corner import Corner, corner_moments
from dgmmis.selection.interval import interval_moments, interval_quantile

__all__ = ["Moments", "moments_between", "normalized", "semidefinite_factor"]

DEAD = 1e-15
"""Variance left, relative to the whole, below which a direction is certain given those before it."""


@dataclass(frozen=True)
class Moments:
    """Moments of the tilted law of each row.

    Attributes
    ----------
    log_mass : (N,)            ln of the probability; -inf if it is 0
    means : (N, u)
    covariances : (N, u, u)
    replicates : (N, S) or (N, 1)
        Each scramble's probability relative to their mean; 1 where the probability is exact.
    """

    log_mass: Array
    means: Array
    covariances: Array
    replicates: Array


def semidefinite_factor(covariances: Array, n_columns: int) -> Array:
    """First columns L (N, u, c) of the Cholesky factor; a column without variance of its own is 0.

    Parameters
    ----------
    covariances : (N, u, c)
        First columns, at least, of positive semi-definite matrices.
    n_columns : int
        c <= u.
    """
    factor = np.zeros((*covariances.shape[:2], n_columns))
    for j in range(n_columns):
        column = covariances[:, :, j] - np.einsum("nuk,nk->nu", factor[:, :, :j], factor[:, j, :j])
        pivot = column[:, j]
        alive = pivot > DEAD * covariances[:, j, j]
        root = np.sqrt(np.where(alive, pivot, 1))
        factor[:, j:, j] = np.where(alive[:, None], column[:, j:] / root[:, None], 0)
    return factor


def moments_between(
    means: Array, covariances: Array, directions: Array, low: Array, high: Array, shares: Array
) -> Moments:
    """Moments of z ~ N(means, covariances) given low <= directions z <= high.

    The constrained combinations w = A z are w = A m + L t with standard normal t, and z = m + B t + rest with
    a rest that the constraints leave alone; so the law of t decides everything:
    E z = m + B E t,  cov z = V + B (cov t - 1) B^T.

    Parameters
    ----------
    means, covariances : (N, u), (N, u, u)
    directions : (c, u)
    low, high : (N, c)
    shares : (S, M, c)
        Points of the unit cube for c >= 3, in S independent scrambles; not looked at for fewer.
    """
    c = len(directions)
    if c == 0:
        return Moments(np.zeros(len(means)), means, covariances, np.ones((len(means), 1)))
    crossed = np.einsum("cu,nuv->ncv", directions, covariances)
    inner = np.einsum("ncu,du->ncd", crossed, directions)
    factor = semidefinite_factor(np.concatenate([inner, crossed.transpose(0, 2, 1)], axis=1), c)
    centre = np.einsum("cu,nu->nc", directions, means)
    standard = _standard_moments(factor[:, :c], low - centre, high - centre, shares)
    b = factor[:, c:]
    moved = np.einsum("nuc,nc->nu", b, standard.means)
    change = standard.covariances - np.eye(c)
    spread = covariances + np.einsum("nuc,ncd,nvd->nuv", b, change, b)
    return Moments(standard.log_mass, means + moved, spread, standard.replicates)


def _standard_moments(factor: Array, low: Array, high: Array, shares: Array) -> Moments:
    """Moments of standard normal t (N, c) given low <= factor t <= high."""
    if factor.shape[1] == 1:
        return _one(factor, low, high)
    if factor.shape[1] == 2:
        return _two(factor, low, high)
    return _sequential(factor, low, high, shares)


def _limits(factor: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Limits of t where factor t lies between others; a dead factor leaves all of t, or nothing, free."""
    alive = factor > 0
    safe = np.where(alive, factor, 1)
    kept = (low <= 0) & (high >= 0)
    with np.errstate(over="ignore"):  # a limit beyond all numbers is an open one
        below = np.where(alive, low / safe, np.where(kept, -np.inf, np.inf))
        above = np.where(alive, high / safe, np.where(kept, np.inf, -np.inf))
    return below, above


def _one(factor: Array, low: Array, high: Array) -> Moments:
    log_mass, mean, variance = interval_moments(*_limits(factor[:, 0, 0], low[:, 0], high[:, 0]))
    return Moments(log_mass, mean[:, None], variance[:, None, None], np.ones((len(low), 1)))


def _two(factor: Array, low: Array, high: Array) -> Moments:
    """Moments for two constraints, with the rows apart in which one of them follows from the other."""
    n_rows = len(low)
    x_low, x_high = _limits(factor[:, 0, 0], low[:, 0], high[:, 0])
    slope, spread = factor[:, 1, 0], factor[:, 1, 1]
    certain, apart = spread == 0, slope == 0
    tied_low, tied_high = _limits(np.abs(slope), *_mirrored(slope < 0, low[:, 1], high[:, 1]))
    x_low = np.where(certain, np.maximum(x_low, tied_low), x_low)
    x_high = np.where(certain, np.minimum(x_high, tied_high), x_high)
    t_low, t_high = _limits(spread, low[:, 1], high[:, 1])
    t_low, t_high = np.where(certain, -np.inf, t_low), np.where(certain, np.inf, t_high)
    log_x, mean_x, variance_x = interval_moments(x_low, x_high)
    log_t, mean_t, variance_t = interval_moments(t_low, t_high)
    log_mass, means = log_x + log_t, np.stack([mean_x, mean_t], axis=1)
    covariances = np.zeros((n_rows, 2, 2))
    covariances[:, 0, 0], covariances[:, 1, 1] = variance_x, variance_t
    both = ~certain & ~apart & (x_low < x_high) & (low[:, 1] < high[:, 1])
    corner = Corner(x_low, x_high, low[:, 1], high[:, 1], slope, spread).take(both)
    if both.any():
        log_mass[both], means[both], covariances[both] = corner_moments(corner)
    log_mass[~certain & ~apart & ~both] = -np.inf
    return Moments(log_mass, means, covariances, np.ones((n_rows, 1)))


def _mirrored(where: NDArray[np.bool_], low: Array, high: Array) -> tuple[Array, Array]:
    return np.where(where, -high, low), np.where(where, -low, high)


def _sequential(factor: Array, low: Array, high: Array, shares: Array) -> Moments:
    """Draw t one by one between its limits and weigh by the mass that each was cut to.

    The last one is not drawn but integrated.

    References
    ----------
    Genz 1992, J. Comp. Graph. Stat. 1, 141; Geweke 1991; Hajivassiliou & McFadden 1998.
    """
    n_rows, c = low.shape
    flat = shares.reshape(-1, c)
    t = np.zeros((n_rows, len(flat), c))
    log_weights = np.zeros((n_rows, len(flat)))
    variance = np.ones((n_rows, len(flat)))
    for j in range(c):
        shift = np.einsum("nmk,nk->nm", t[:, :, :j], factor[:, j, :j])
        limits = _limits(factor[:, j, j, None], low[:, j, None] - shift, high[:, j, None] - shift)
        log_mass, mean, variance = interval_moments(*limits)
        log_weights += log_mass
        if j < c - 1:
            possible = np.isfinite(log_mass)
            below, above = np.where(possible, limits[0], -1.0), np.where(possible, limits[1], 1.0)
            mean = interval_quantile(below, above, flat[:, j])
        t[:, :, j] = mean
    weights, log_mass, replicates = normalized(log_weights, len(shares))
    means = np.einsum("nm,nmc->nc", weights, t)
    off = t - means[:, None]
    covariances = np.einsum("nm,nmc,nmd->ncd", weights, off, off)
    covariances[:, -1, -1] += (weights * variance).sum(axis=1)
    return Moments(log_mass, means, covariances, replicates)


def normalized(log_weights: Array, n_scrambles: int) -> tuple[Array, Array, Array]:
    """Normalize log-weights (N, M).

    Returns
    -------
    weights : (N, M)             summing to 1, or all 0
    log_mean : (N,)              ln of the mean weight
    replicates : (N, S)          each scramble's mean relative to the mean of all
    """
    highest = log_weights.max(axis=1, keepdims=True)
    possible = np.isfinite(highest)
    with np.errstate(invalid="ignore"):
        weights = np.where(possible, np.exp(log_weights - highest), 0)
    total = weights.sum(axis=1)
    safe = np.where(total > 0, total, 1)
    replicates = weights.reshape(len(weights), n_scrambles, -1).sum(axis=2) * (n_scrambles / safe[:, None])
    with np.errstate(divide="ignore"):
        log_mass = np.where(possible[:, 0], highest[:, 0], 0) + np.log(total / weights.shape[1])
    return weights / safe[:, None], log_mass, np.where(total[:, None] > 0, replicates, 1.0)
