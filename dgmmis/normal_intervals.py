"""Probabilities of intervals under the standard normal distribution, right far out in its tails.

Everything is a logarithm, because the probability of an interval 50 standard deviations out is no number
of double precision, while its logarithm, -1255, is an ordinary one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from dgmmis.packed import Array

__all__ = ["FARTHEST", "LOG_ROOT_TWO_PI", "Intervals", "interval_log_probability", "interval_quantile"]

FARTHEST = 1e120
"""Bounds beyond this many standard deviations are moved to it: their squares must not overflow."""

LOG_ROOT_TWO_PI = float(0.5 * np.log(2 * np.pi))
SMALLEST_SHARE = 1e-300

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Intervals:
    """Intervals in standard deviations, of any shape.

    The width is kept beside the bounds: seen through noise of 1e20 times its side a box has bounds that are
    equal to the last digit, and a probability proportional to its width all the same.

    Attributes
    ----------
    lower, upper : (...)
        Within `FARTHEST`.
    width : (...)
        upper - lower, not rounded to their digits; > 0.
    """

    lower: Array
    upper: Array
    width: Array

    def __getitem__(self, index: Any) -> Intervals:
        """Take some of the intervals, or give them another shape."""
        return Intervals(self.lower[index], self.upper[index], self.width[index])

    def shifted(self, shift: Array, scale: Array) -> Intervals:
        """Intervals of (z - shift) / scale, if these are of z."""
        return Intervals((self.lower - shift) / scale, (self.upper - shift) / scale, self.width / scale)

    def facing_down(self) -> tuple[Intervals, NDArray[np.bool_]]:
        """Mirror those that lie mostly above zero, and tell which: tails are accurate below zero."""
        mirrored = self.lower + self.upper > 0
        lower = np.where(mirrored, -self.upper, self.lower)
        return Intervals(lower, np.where(mirrored, -self.lower, self.upper), self.width), mirrored


def interval_log_probability(intervals: Intervals) -> Array:
    """ln [Phi(upper) - Phi(lower)] of each interval, (...).

    A wide interval is the difference of two tail probabilities.  Where these nearly cancel, the density is
    integrated over the interval instead (8 Gauss-Legendre nodes; its logarithm there changes by less than 1).
    The relative error of the probability is a few units of rounding of its logarithm.
    """
    down, _ = intervals.facing_down()
    width = np.broadcast_to(down.width, down.lower.shape)
    down = Intervals(down.lower, down.upper, width)
    narrow = width * (1 - down.lower) < 1
    if not narrow.any():
        return _difference_of_tails(down)
    out = np.empty(narrow.shape)
    out[narrow] = _integrated_density(down[narrow])
    out[~narrow] = _difference_of_tails(down[~narrow])
    return out


def interval_quantile(intervals: Intervals, log_probability: Array, share: Array) -> Array:
    """Find the point of each interval that has a `share` in [0, 1) of its probability below it.

    Parameters
    ----------
    intervals : Intervals
    log_probability : (...)
        Their `interval_log_probability`.
    share : (...)
    """
    down, mirrored = intervals.facing_down()
    below = np.maximum(np.where(mirrored, 1 - share, share), SMALLEST_SHARE)
    point = ndtri_exp(np.logaddexp(log_ndtr(down.lower), log_probability + np.log(below)))
    point = np.clip(point, down.lower, down.upper)
    return np.asarray(np.where(mirrored, -point, point))


def _difference_of_tails(down: Intervals) -> Array:
    whole = log_ndtr(down.upper)
    step = log_ndtr(down.lower) - whole
    # bounds equal to all digits, far out: there the density falls as exp(-distance times width)
    step = np.where(step < 0, step, down.width * down.lower)
    return np.asarray(whole + np.log1p(-np.exp(step)))


def _integrated_density(down: Intervals) -> Array:
    half, middle = down.width / 2, (down.lower + down.upper) / 2
    offsets = half[:, None] * NODES
    shape = np.exp(-offsets * (middle[:, None] + offsets / 2))
    mean = np.einsum("np,p->n", shape, WEIGHTS) / 2
    return np.asarray(np.log(down.width) + np.log(mean) - middle**2 / 2 - LOG_ROOT_TWO_PI)
