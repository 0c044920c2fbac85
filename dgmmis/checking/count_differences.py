"""How improbable the difference is between a count and one that was simulated many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaincc, ndtri

from dgmmis.packed import Array

__all__ = ["Counts", "significance"]

LEAST_CHANCE = 1e-300


@dataclass(frozen=True)
class Counts:
    """Sums over the rows in some cells.

    Attributes
    ----------
    observed, squares : (B,)
        Of weights, and of their squares.
    expected, expected_squares : (B,)
        The same of an average replicate.
    certainty : (B,)
        sum s^2 P^2 / sum s^2 P over rows with weight s and chance P to lie in the cell.
    replicates : int
    """

    observed: Array
    squares: Array
    expected: Array
    expected_squares: Array
    certainty: Array
    replicates: int

    @property
    def one(self) -> Array:
        """Weight of one effective row in each cell: sum of squares over sum; 1 in empty cells."""
        weight = self.observed + self.replicates * self.expected
        square = self.squares + self.replicates * self.expected_squares
        return np.asarray(np.where(weight > 0, square / np.where(weight > 0, weight, 1), 1))

    @property
    def scatter(self) -> Array:
        """Standard deviation (B,) of `observed` if the model holds: each row lies in a cell or does not."""
        return np.asarray(np.sqrt(self.expected_squares * (1 - self.certainty)))


def significance(counts: Counts) -> Array:
    """Say in Gaussian standard deviations how far what is observed is above what is expected, (B,).

    If rows are independent and rarely certain to lie in a cell, its number O and the sum S of the numbers in M
    replicates are Poisson with means in the ratio 1 : M.  Given O + S, O is then binomial with share 1 / (1 + M),
    whatever the mean: this needs neither many rows nor a mean that is known [1].  Of the two one-sided chances, each
    with half that of the number itself, the smaller one is turned into standard deviations.  Weights are counted in
    effective rows [2].  The scatter is less than Poisson's by the rows' `certainty`.

    References
    ----------
    [1] Przyborowski & Wilenski 1940, Biometrika 31, 313.
    [2] Bohm & Zech 2014, Nucl. Instrum. Meth. A 748, 1.
    """
    m, one = counts.replicates, counts.one
    found = counts.observed / one
    total = found + m * counts.expected / one
    share = 1 / (1 + m)
    above = (_at_least(found, total, share) + _at_least(found + 1, total, share)) / 2
    below = (_less_than(found, total, share) + _less_than(found + 1, total, share)) / 2
    deviations = np.where(
        above < below,
        -ndtri(np.clip(above, LEAST_CHANCE, 0.5)),
        ndtri(np.clip(below, LEAST_CHANCE, 0.5)),
    )
    return np.asarray(np.where(total > 0, deviations / np.sqrt(1 - counts.certainty), 0.0))


def _at_least(number: Array, total: Array, share: float) -> Array:
    """Chance that a binomial number of `total` reaches `number`; neither needs to be whole."""
    usual = (number > 0) & (number <= total)
    a, b = np.where(usual, number, 1), np.where(usual, total - number + 1, 1)
    return np.where(usual, betainc(a, b, share), np.where(number > 0, 0.0, 1.0))


def _less_than(number: Array, total: Array, share: float) -> Array:
    """1 - `_at_least`, to all digits where it is small."""
    usual = (number > 0) & (number <= total)
    a, b = np.where(usual, number, 1), np.where(usual, total - number + 1, 1)
    return np.where(usual, betaincc(a, b, share), np.where(number > 0, 1.0, 0.0))
