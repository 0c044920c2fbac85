"""How parameters scatter about an estimate: along a chart's coordinates, or as replicates of the estimate do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.block_matrix import Columns
from dgmmis.coordinates import Chart
from dgmmis.errors import InvalidSetting
from dgmmis.packed import Array, lower_indices, packed_size, unpack
from dgmmis.population import Population

__all__ = ["Derived", "Errors", "Function", "LinearSpread", "ReplicateSpread", "Spread"]

Function = Callable[[Population], ArrayLike]

STEP = 1e-3
"""Of the central differences, in standard errors: their own error is its square, in relative terms."""

LEAKS = 1e-12
"""A parameter with a larger share of its gradient in a direction that nothing is known of is not known."""

UNITS_TOGETHER = 256
"""Rows of the Jacobian made at a time."""


@dataclass(frozen=True)
class Derived:
    """A quantity f(population) and how well it is known.

    Attributes
    ----------
    value : (...)
        f of the estimate.
    standard_error : (...)
        Infinite where it depends on what the rows tell nothing of.
    covariance : (m, m)
        Of its m numbers, in the order of `value.ravel()`; NaN between others and what is not known.
    """

    value: Array
    standard_error: Array
    covariance: Array


@dataclass(frozen=True)
class Errors:
    """Standard errors in the shapes of the parameters; 0 for what is held.

    Attributes
    ----------
    amplitudes : (K,)
        Of the amplitudes in the whole.
    means : (K, D)
    covariances : (K, D, D)
        Of each entry.
    background : (J,)
        Of the backgrounds' amplitudes.
    """

    amplitudes: Array
    means: Array
    covariances: Array
    background: Array


class Spread(Protocol):
    """A law of the estimate."""

    def errors(self) -> Errors:
        """Give standard errors of all parameters."""

    def of(self, function: Function) -> Derived:
        """Value and error of a derived quantity."""

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Population, ...]:
        """Draw populations."""


@dataclass(frozen=True)
class LinearSpread:
    """Normal in a chart's coordinates, covariance F F^T; everything else to first order.

    Attributes
    ----------
    chart : Chart
    factor : Columns, (p, m)
        F.
    flat : Columns, (p, p - m)
        Orthonormal directions that nothing is known of.
    """

    chart: Chart
    factor: Columns
    flat: Columns

    @property
    def covariance(self) -> Array:
        """Of the coordinates (p, p), without the directions that nothing is known of."""
        factor = self.factor.whole
        return np.asarray(factor @ factor.T)

    def errors(self) -> Errors:
        """Give standard errors of all parameters, by the exact Jacobian of the chart."""
        population = self.chart.origin
        n_components, n_backgrounds = population.n_components, len(population.backgrounds)
        errors = np.concatenate([self._lengths(slab) for slab in _jacobian(self.chart)])
        ends = np.cumsum([n_components, n_backgrounds, n_components * population.n_features])
        amplitudes, background, means, covariances = np.split(errors, ends)
        shape = n_components, population.n_features
        return Errors(
            amplitudes, means.reshape(shape), unpack(covariances.reshape(n_components, -1)), background
        )

    def of(self, function: Function) -> Derived:
        """Value and error of a derived quantity, by central differences along the coordinates."""
        value = np.asarray(function(self.chart.origin), dtype=np.float64)
        slopes = self._slopes(function, self.factor, value)
        blind = self._slopes(function, self.flat, value)
        covariance = np.asarray(slopes @ slopes.T)
        unknown = _squares(blind) > LEAKS * (_squares(slopes) + _squares(blind))
        covariance[unknown[:, None] | unknown] = np.nan
        covariance[np.diag(unknown)] = np.inf
        return Derived(value, np.sqrt(np.diagonal(covariance)).reshape(value.shape), covariance)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Population, ...]:
        """Draw populations: normal in the coordinates, hence always with positive definite covariances.

        Raises
        ------
        InvalidSetting
            If there are directions that nothing is known of: they have no law to draw from.
        """
        if self.flat.number:
            raise InvalidSetting(
                f"the rows tell nothing of {self.flat.number} of {self.flat.size} directions of the parameters, so "
                "there is no law to draw from. Use fewer components, freeze what is not known, give a prior, or ask "
                "for the bootstrap."
            )
        return tuple(
            self.chart.place(self.factor.times(rng.normal(size=self.factor.number))).population
            for _ in range(n)
        )

    def _lengths(self, jacobian: Array) -> Array:
        """Give standard errors (n,) of numbers with gradients (n, p)."""
        known, blind = _squares(self.factor.onto(jacobian)), _squares(self.flat.onto(jacobian))
        return np.sqrt(np.where(blind > LEAKS * _squares(jacobian), np.inf, known))

    def _slopes(self, function: Function, directions: Columns, value: Array) -> Array:
        """Differentiate: slopes (m, n) of the function's m numbers along n directions."""
        slopes = np.empty((value.size, directions.number))
        for j, direction in enumerate(directions):
            ends = []
            for sign in (1.0, -1.0):
                place = self.chart.place(sign * STEP * direction)
                there = np.asarray(function(place.population), dtype=np.float64) if place.inside else None
                ends.append(
                    (value, 0.0) if there is None else (there, STEP)
                )  # beyond a limit: from here only
            (above, up), (below, down) = ends
            slopes[:, j] = (above - below).ravel() / max(up + down, STEP)
        return slopes


@dataclass(frozen=True)
class ReplicateSpread:
    """As the estimates of replicates of the rows scatter.

    Attributes
    ----------
    estimate : Population
    replicates : tuple of Population
    """

    estimate: Population
    replicates: tuple[Population, ...]

    def errors(self) -> Errors:
        """Give standard deviations over the replicates."""
        every = self.replicates
        return Errors(
            np.std([one.amplitudes for one in every], axis=0, ddof=1),
            np.std([one.mixture.means for one in every], axis=0, ddof=1),
            np.std([one.mixture.covariances for one in every], axis=0, ddof=1),
            np.std([one.background_amplitudes for one in every], axis=0, ddof=1),
        )

    def of(self, function: Function) -> Derived:
        """Value of the estimate, and scatter over the replicates."""
        value = np.asarray(function(self.estimate), dtype=np.float64)
        each = np.array([np.ravel(function(one)) for one in self.replicates], dtype=np.float64)
        off = each - each.mean(axis=0)
        covariance = np.asarray(off.T @ off / (len(each) - 1))
        return Derived(value, np.sqrt(np.diagonal(covariance)).reshape(value.shape), covariance)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Population, ...]:
        """Draw replicates, with replacement."""
        return tuple(self.replicates[i] for i in rng.integers(len(self.replicates), size=n))


def _squares(rows: Array) -> Array:
    return np.asarray((rows**2).sum(axis=1))


def _jacobian(chart: Chart) -> Iterator[Array]:
    """Yield the gradients by the coordinates of amplitudes, backgrounds, means and packed covariances, some rows each.

    Scores are linear in the statistics: those of a statistic that is 1 at one place and 0 elsewhere are the slopes
    of what it is the score of, which is ln a, m, and V over 2 on the diagonal.
    """
    population = chart.origin
    n_components, n_backgrounds, d = (
        population.n_components,
        len(population.backgrounds),
        population.n_features,
    )
    rows, columns = lower_indices(d)
    whole = np.concatenate((population.amplitudes, population.background_amplitudes))
    factors = np.concatenate(
        (whole, np.ones(n_components * d), np.tile(np.where(rows == columns, 2.0, 1.0), n_components))
    )
    ends = np.cumsum([n_components, n_backgrounds, n_components * d])
    for start in range(0, len(factors), UNITS_TOGETHER):
        here = np.arange(start, min(start + UNITS_TOGETHER, len(factors)))
        units = (here[:, None] == np.arange(len(factors))).astype(np.float64)
        zeroth, background, first, second = np.split(units, ends, axis=1)
        slopes = chart.scores(
            population,
            zeroth,
            background,
            first.reshape(len(here), n_components, d),
            second.reshape(len(here), n_components, packed_size(d)),
        )
        yield slopes * factors[here, None]
