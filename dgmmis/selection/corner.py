"""Two standard normals under two linear constraints: their mass and moments by quadrature in one variable."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array
from dgmmis.selection.interval import LOG_ROOT_TWO_PI, interval_moments

__all__ = ["Corner", "corner_moments"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
DROP = 40.0
FARTHEST = 9.5
"""The log-integrand curves by at least 1, so this far from its top it has dropped by more than `DROP`."""
WIDTHS = 7.0
"""Widths of the step of a normal distribution function that a panel of its own covers on either side."""


@dataclass(frozen=True)
class Corner:
    """Constraints on independent standard normals x and t, one of each for every row.

    Attributes
    ----------
    low, high : (N,)                  low <= x <= high
    other_low, other_high : (N,)      other_low <= slope x + spread t <= other_high
    slope, spread : (N,)              spread > 0
    """

    low: Array
    high: Array
    other_low: Array
    other_high: Array
    slope: Array
    spread: Array

    def take(self, rows: slice | NDArray[np.bool_]) -> Corner:
        """Select rows."""
        return Corner(*(getattr(self, field.name)[rows] for field in fields(self)))

    def given(self, x: Array) -> tuple[Array, Array, Array]:
        """Log-density of x (N, m) times the mass of t that is left, and the mean and variance of that t."""
        shift = self.slope[:, None] * x
        spread = self.spread[:, None]
        log_mass, mean, variance = interval_moments(
            (self.other_low[:, None] - shift) / spread, (self.other_high[:, None] - shift) / spread
        )
        return log_mass - 0.5 * x**2 - LOG_ROOT_TWO_PI, mean, variance


def corner_moments(corner: Corner) -> tuple[Array, Array, Array]:
    """Mass and moments of (x, t) under the constraints.

    What is left after t is integrated in closed form is log-concave in x: its top is found by bisection of
    the derivative, its ends by bisection of its logarithm, and Gauss-Legendre panels between the ends, the
    top and both sides of the steps at slope x = other_low and other_high give the integrals.

    Parameters
    ----------
    corner : Corner
        Rows with low < high and other_low < other_high.

    Returns
    -------
    log_mass (N,), means (N, 2), covariances (N, 2, 2)
    """
    top = _top(corner)
    breaks = _breaks(corner, top)
    half = 0.5 * np.diff(breaks, axis=1)[:, :, None]
    nodes = breaks[:, :-1, None] + half * (NODES + 1)
    x = nodes.reshape(len(top), -1)
    log_left, t, variance = corner.given(x)
    highest = log_left.max(axis=1)
    with np.errstate(invalid="ignore"):
        weights = np.where(np.isfinite(highest)[:, None], np.exp(log_left - highest[:, None]), 0.0)
    weights *= (half * WEIGHTS).reshape(x.shape)
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore"):
        log_mass = np.log(total) + np.where(np.isfinite(highest), highest, 0)
    weights /= np.where(total > 0, total, 1)[:, None]
    return log_mass, *_moments(weights, x, t, variance)


def _moments(weights: Array, x: Array, t: Array, variance: Array) -> tuple[Array, Array]:
    means = np.stack([(weights * x).sum(axis=1), (weights * t).sum(axis=1)], axis=1)
    off_x, off_t = x - means[:, :1], t - means[:, 1:]
    covariances = np.empty((len(x), 2, 2))
    covariances[:, 0, 0] = (weights * off_x**2).sum(axis=1)
    covariances[:, 0, 1] = covariances[:, 1, 0] = (weights * off_x * off_t).sum(axis=1)
    covariances[:, 1, 1] = (weights * (off_t**2 + variance)).sum(axis=1)
    return means, covariances


def _top(corner: Corner) -> Array:
    """Where the log-integrand is largest; unconstrained in x it lies no farther out than the other limits."""
    scale = np.hypot(corner.slope, corner.spread)
    bound = 10 + np.maximum(np.maximum(corner.other_low, -corner.other_high) / scale, 0)
    left, right = np.clip(-bound, corner.low, corner.high), np.clip(bound, corner.low, corner.high)
    steepness = corner.slope / corner.spread
    for _ in range(50):
        middle = 0.5 * (left + right)
        _, t, _ = corner.given(middle[:, None])
        rising = steepness * t[:, 0] > middle
        left, right = np.where(rising, middle, left), np.where(rising, right, middle)
    return np.asarray(0.5 * (left + right))


def _breaks(corner: Corner, top: Array) -> Array:
    """Place the ends of the panels (N, 7), ascending."""
    first, last = _end(corner, top, -1.0), _end(corner, top, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        width = WIDTHS * corner.spread / np.abs(corner.slope)
        steps = (corner.other_low / corner.slope, corner.other_high / corner.slope)
        inner = [np.nan_to_num(middle + side * width) for middle in steps for side in (-1, 1)]
    breaks = np.stack([first, last, top, *inner], axis=1)
    return np.sort(np.clip(breaks, first[:, None], last[:, None]), axis=1)


def _end(corner: Corner, top: Array, side: float) -> Array:
    """How far from its top, to one side, the integrand matters; by bisection in the logarithm of the distance."""
    room = np.maximum(corner.high - top if side > 0 else top - corner.low, 0)
    highest = corner.given(top[:, None])[0][:, 0]
    near, far = np.full(len(top), -35.0), np.full(len(top), np.log(FARTHEST))
    for _ in range(24):
        middle = 0.5 * (near + far)
        reached = corner.given((top + side * np.exp(middle))[:, None])[0][:, 0]
        inside = reached > highest - DROP
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return np.asarray(top + side * np.minimum(np.exp(far), room))
