"""The standard normal law cut to an interval: mass, mean, variance and quantiles, also far in its tails."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri_exp

from dgmmis.packed import Array

__all__ = ["interval_moments", "interval_quantile"]

LOG_ROOT_TWO_PI = 0.5 * float(np.log(2 * np.pi))
TAIL = 4.0
"""Where the closed forms give way to quadrature: they lose TAIL^4 times the rounding of a double."""
DROP = 40.0
"""Log-density below its largest value from where on the rest, 4e-18, is left out."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def interval_moments(low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Mass and moments of a standard normal on intervals.

    An interval is mirrored so that it reaches farther up than down.  Wide ones that begin below `TAIL` have
    the closed forms; narrow ones and those in the tail are integrated by Gauss-Legendre about their lower
    end, where neither mass nor variance is a difference of nearly equal numbers.

    Parameters
    ----------
    low, high : (...)
        May be infinite.

    Returns
    -------
    log_mass, mean, variance : (...)
        -inf, 0 and 1 where the interval is empty.
    """
    low, high = np.broadcast_arrays(low, high)
    mirrored = high < -low
    start, stop = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_mass, mean, variance = np.full(low.shape, -np.inf), np.zeros(low.shape), np.ones(low.shape)
    filled = start < stop
    with np.errstate(over="ignore"):
        narrow = (start >= TAIL) | ((stop - start) * (1 + np.maximum(start, 0)) <= 1)
    for method, rows in ((_integrated, filled & narrow), (_closed, filled & ~narrow)):
        if rows.any():
            log_mass[rows], mean[rows], variance[rows] = method(start[rows], stop[rows])
    return log_mass, np.where(mirrored, -mean, mean), variance


def _closed(start: Array, stop: Array) -> tuple[Array, Array, Array]:
    """Johnson, Kotz & Balakrishnan 1994, Continuous Univariate Distributions 1, 13.10.1."""
    mass = ndtr(-start) - ndtr(-stop)
    below, above = _density(start), _density(stop)
    mean = (below - above) / mass
    edges = np.where(np.isinf(start), 0, start) * below - np.where(np.isinf(stop), 0, stop) * above
    return np.log(mass), mean, 1 + edges / mass - mean**2


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x**2 - LOG_ROOT_TWO_PI))


def _integrated(start: Array, stop: Array) -> tuple[Array, Array, Array]:
    reach = np.minimum(stop - start, 2 * DROP / (start + np.hypot(start, np.sqrt(2 * DROP))))
    steps = 0.5 * reach[:, None] * (NODES + 1)
    weights = WEIGHTS * np.exp(-steps * (start[:, None] + 0.5 * steps))
    total = weights.sum(axis=1)
    beyond = (weights * steps).sum(axis=1) / total
    variance = (weights * (steps - beyond[:, None]) ** 2).sum(axis=1) / total
    log_mass = np.log(0.5 * reach * total) - 0.5 * start**2 - LOG_ROOT_TWO_PI
    return log_mass, start + beyond, variance


def interval_quantile(low: Array, high: Array, share: Array) -> Array:
    """Where a standard normal on an interval has `share` of its mass below it.

    Parameters
    ----------
    low, high : (...)
        low < high.
    share : (...)
        Between 0 and 1.

    Returns
    -------
    (...)
        Smooth in all three: a mirrored interval counts its shares from the other end.
    """
    mirrored = high < -low
    start, stop = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    from_start = np.where(mirrored, 1 - share, share)
    log_start, log_stop = log_ndtr(-start), log_ndtr(-stop)
    log_above = log_start + np.log1p(from_start * np.expm1(log_stop - log_start))
    found = np.clip(-ndtri_exp(log_above), start, stop)
    return np.asarray(np.where(mirrored, -found, found))
