"""Probabilities of rectangles under a bivariate normal distribution, by quadrature along one side.

Notation: X and Y standard normal with correlation r, s = sqrt(1 - r^2); the rectangle is [a, b] in X and
[c, e] in Y.  Then

    Pr = int_a^b phi(x) [Phi((e - r x) / s) - Phi((c - r x) / s)] dx

(Drezner & Wesolowsky 1990, J. Stat. Comput. Simul. 35, 101, discuss it and its relatives).  The formulas
that integrate over the correlation are quicker but right only absolutely, to 1e-15: a row 10 standard
deviations outside would get rounding for its density.  The integrand here is positive and log-concave, so
the integral is right relatively, however small it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from dgmmis.normal_intervals import LOG_ROOT_TWO_PI, Intervals, interval_log_probability
from dgmmis.packed import Array

__all__ = ["bivariate_log_probability"]

ROWS_AT_ONCE = 512
"""Rows whose nodes are held together: about 1 MB for each array of nodes."""

DROP = 45.0
"""Where the integrand's bound has fallen by this many nats below its largest value, the tail is left out."""

FLATTEST = 1e-16
"""Smallest s: below it X and Y are one variable, and the inner probability is 0 or 1."""

HALVINGS = 55
TRANSITION = np.array([-6.0, -2.0, 2.0, 6.0])
FRACTIONS = np.array([0.25, 0.5, 1.0])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


def bivariate_log_probability(rectangles: Intervals, correlation: Array) -> Array:
    """Logarithm of the probability of rectangles under standard bivariate normal distributions.

    Parameters
    ----------
    rectangles : Intervals (n, 2)
    correlation : (n,)
        In [-1, 1].

    Returns
    -------
    (n,)
        Relative error of the probability about 1e-12 (tests compare with independent evaluations).
    """
    out = np.empty(len(correlation))
    for first in range(0, len(correlation), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        out[rows] = _one_block(rectangles[rows, 0], rectangles[rows, 1], correlation[rows])
    return out


def _one_block(along: Intervals, across: Intervals, r: Array) -> Array:
    # (1 - r)(1 + r) keeps the digits that 1 - r^2 loses when r is near 1
    s = np.maximum(np.sqrt((1 - r) * (1 + r)), FLATTEST)
    bound = _Bound(across.lower, across.upper, r, s)
    peak = np.clip(r * np.clip(0.0, across.lower, across.upper), along.lower, along.upper)
    edges = _panels(along, bound, peak)
    half = np.diff(edges, axis=1)[:, :, None] / 2
    offset = ((edges[:, 1:] + edges[:, :-1]) / 2)[:, :, None] + half * NODES
    x = along.lower[:, None, None] + offset
    inner = across[:, None, None].shifted(r[:, None, None] * x, s[:, None, None])
    terms = interval_log_probability(inner) - x**2 / 2
    with np.errstate(divide="ignore"):  # panels without width
        terms = terms + np.log(half * WEIGHTS)
    value = logsumexp(terms.reshape(len(terms), -1), axis=1) - LOG_ROOT_TWO_PI
    # beyond about 1e8 standard deviations the integrand falls within one spacing of numbers: all panels are
    # empty, and the bound's logarithm, above 1e15, is the value's to all digits
    return np.asarray(np.where(np.isneginf(value), -bound.exponent(peak), value))


@dataclass(frozen=True)
class _Bound:
    """exp(-Q), which bounds the integrand.

    Q(x) = x^2 / 2 + d(x)^2 / 2, d being the distance of the inner interval from zero, is convex with a
    curvature of at least 1.
    """

    low: Array
    high: Array
    r: Array
    s: Array

    def exponent(self, x: Array) -> Array:
        """Q(x) of each row, (n,)."""
        distance = (self.r * x - np.clip(self.r * x, self.low, self.high)) / self.s
        return np.asarray((x**2 + distance**2) / 2)

    def where_it_has_dropped(self, peak: Array, end: Array) -> Array:
        """Find the point between `peak` and `end` (n,) where it has fallen by `DROP`; `end` if nowhere."""
        limit = self.exponent(peak) + DROP
        reached = self.exponent(end) > limit
        low, high = peak, end
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = self.exponent(middle) > limit
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(reached, high, end)


def _panels(along: Intervals, bound: _Bound, peak: Array) -> Array:
    """Edges (n, m) of the panels, as offsets from the interval's lower end.

    They lie about the integrand's largest value, and where the inner probability rises or falls.
    """
    reach = np.sqrt(2 * DROP)  # as the curvature is at least 1
    start = bound.where_it_has_dropped(peak, np.maximum(along.lower, peak - reach))
    stop = bound.where_it_has_dropped(peak, np.minimum(along.upper, peak + reach))
    first = (start - along.lower)[:, None]
    last = np.where(stop < along.upper, stop - along.lower, along.width)[:, None]
    top = np.clip((peak - along.lower)[:, None], first, last)
    edges = [top, top + (first - top) * FRACTIONS, top + (last - top) * FRACTIONS]
    slope = np.where(bound.r == 0, 1.0, bound.r)
    for face in (bound.low, bound.high):
        turn = (face / slope - along.lower)[:, None]
        edges.append(np.clip(turn + (bound.s / slope)[:, None] * TRANSITION, first, last))
    return np.sort(np.concatenate(edges, axis=1), axis=1)
