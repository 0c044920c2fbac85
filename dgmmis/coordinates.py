"""A chart of the populations that constraints allow: free parameters as one vector, whitened at an origin.

The chart serves whoever climbs the likelihood or asks how sharp its maximum is: it turns statistics in score form
into gradients by its coordinates, and coordinates into populations.  Coordinates, in this order: the free
amplitudes' shares (`AmplitudeChart`); the free means, L^-1 (m - m0) sqrt(c) with V0 = L L^T and c the rows that a
component holds at the origin; the free covariances (`FactorChart`, `VarianceChart`).  In all of them the information
of complete, noise-free data is the identity at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dgmmis.amplitude_chart import AmplitudeChart
from dgmmis.constrained_covariances import is_near, raise_to_floor
from dgmmis.constraints import Constraints
from dgmmis.covariance_charts import (
    CovarianceChart,
    FactorChart,
    VarianceChart,
    is_definite,
)
from dgmmis.covariance_edge import LEAST_SHARE, CovarianceEdge
from dgmmis.freedom import Freedom, amplitude_limits, counts_of
from dgmmis.outer_product_kernels import write_products
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

__all__ = ["Chart", "Place", "Tangent"]


@dataclass(frozen=True)
class Place:
    """What coordinates stand for.

    Attributes
    ----------
    population : Population
        Within all constraints.
    inside : bool
        False if limits, a floor or reason had to move it: then it is not where the coordinates say.
    """

    population: Population
    inside: bool


@dataclass(frozen=True)
class Tangent:
    """Changes of a population's parameters, to first order.

    Attributes
    ----------
    amplitudes : (K + J,)
    means : (K, D)
    covariances : (K, D, D)
    """

    amplitudes: Array
    means: Array
    covariances: Array


@dataclass(frozen=True)
class Chart:
    """Coordinates around a population; use `Chart.at`.

    Attributes
    ----------
    origin : Population
    counts : (K + J,)
        Rows that components and backgrounds hold at the origin, those of the prior among them for amplitudes.
    constraints : Constraints
    freedom : Freedom
    noise : (D,), optional
        Typical variances of the rows' noise, which tell what of a covariance can be observed.
    """

    origin: Population
    counts: Array
    constraints: Constraints
    freedom: Freedom
    noise: Array | None = None

    @classmethod
    def at(cls, population: Population, statistics: Statistics, constraints: Constraints) -> Chart:
        """Make the chart around a population whose statistics are these."""
        counts = counts_of(statistics)
        return cls(population, counts, constraints, Freedom.of(population, counts, constraints))

    @cached_property
    def observed(self) -> Array:
        """Covariances (K, D, D) at the origin as they are observed, with typical noise."""
        covariances = self.origin.mixture.covariances
        return covariances if self.noise is None else covariances + np.diag(self.noise)

    @cached_property
    def edge(self) -> CovarianceEdge:
        """How far the covariances that may move in all directions may shrink in a step."""
        return self._edge(LEAST_SHARE)

    @cached_property
    def brink(self) -> CovarianceEdge:
        """How far they can shrink at all."""
        return self._edge(0.0)

    def _edge(self, least_share: float) -> CovarianceEdge:
        n_features = self.origin.n_features
        free = [
            owners[0]
            for owners, some in self.freedom.covariances
            if some in (n_features, (True,) * n_features)
        ]
        covariances = self.origin.mixture.covariances
        return CovarianceEdge(covariances, self.observed, np.array(free, dtype=np.intp), least_share)

    @property
    def is_regular(self) -> bool:
        """Every free covariance has a Cholesky factor: otherwise there are no such coordinates."""
        covariances = self.origin.mixture.covariances
        return all(is_definite(covariances[owners[0]]) for owners, _ in self.freedom.covariances) and all(
            is_definite(covariances[k]) for k in np.flatnonzero(self.freedom.means)
        )

    @cached_property
    def holds_origin(self) -> bool:
        """Whether the origin is a population that the constraints allow: a start may not be one."""
        there = self.place(np.zeros(self.n_parameters))
        return there.inside and is_near(there.population.mixture.covariances, self.origin.mixture.covariances)

    @cached_property
    def n_parameters(self) -> int:
        """p."""
        return self._amplitudes.size + self._n_means + sum(chart.size for chart in self._covariances)

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """Component of each coordinate (p,): of a shared covariance its first; -1 for amplitudes."""
        n_features = self.origin.n_features
        of_covariances = [
            np.full(chart.size, owners[0])
            for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True)
        ]
        return np.concatenate(
            (
                np.full(self._amplitudes.size, -1),
                np.repeat(np.flatnonzero(self.freedom.means), n_features),
                *of_covariances,
            )
        ).astype(np.intp)

    @cached_property
    def root_rows(self) -> Array:
        """Square roots (p,) of the rows that scale the coordinates, which turn them into relative changes."""
        rows = np.maximum(self.counts[: self.origin.n_components], np.finfo(np.float64).tiny)
        of_amplitudes = np.full(
            self._amplitudes.size, self._amplitude_rows.sum() / max(1, self._amplitudes.size)
        )
        n_features = self.origin.n_features
        of_means = np.repeat(rows[np.flatnonzero(self.freedom.means)], n_features)
        of_covariances = [
            np.full(chart.size, rows[list(owners)].sum())
            for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True)
        ]
        return np.asarray(np.sqrt(np.concatenate((of_amplitudes, of_means, *of_covariances))))

    @cached_property
    def observed_information(self) -> Array:
        """Information (p,) about each coordinate in rows of known component and typical noise; 1 without noise."""
        free = np.flatnonzero(self.freedom.means)
        shares = np.einsum("kde,kdf,kfe->ke", self._roots, np.linalg.inv(self.observed[free]), self._roots)
        of_covariances = [
            chart.observed_information(self.observed[owners[0]])
            for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True)
        ]
        return np.concatenate((np.ones(self._amplitudes.size), shares.ravel(), *of_covariances))

    @cached_property
    def prior_information(self) -> Array:
        """Share (p,) of each coordinate's rows that the prior stands for: its part in the complete data's identity."""
        shares = np.zeros(self.n_parameters)
        prior = self.constraints.prior
        if prior is None:
            return shares
        if prior.amplitudes is not None and self._amplitudes.size:
            rows = self._amplitude_rows
            shares[: self._amplitudes.size] = 1 - self._held(self.counts).sum() / rows.sum()
        if prior.covariances is not None:
            rows_of_prior = prior.covariances.rows(self.origin.n_features)
            start = self._amplitudes.size + self._n_means
            for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True):
                counted = self.counts[list(owners)].sum()
                shares[start : start + chart.size] = rows_of_prior / (rows_of_prior + counted)
                start += chart.size
        return shares

    def place(self, x: Array) -> Place:
        """Return the population at coordinates (p,), brought within limits and above the floor."""
        amplitudes, means, covariances = self._split(x)
        whole = self._whole(self.origin)
        whole[self._free], inside = self._amplitudes.amplitudes(amplitudes)
        mixture = self.origin.mixture
        moved = mixture.means.copy()
        free = np.flatnonzero(self.freedom.means)
        moved[free] += np.einsum("kde,ke->kd", self._roots, means) / self._root_rows[:, None]
        changed = mixture.covariances.copy()
        for (owners, _), chart, part in zip(
            self.freedom.covariances, self._covariances, covariances, strict=True
        ):
            covariance = chart.covariance(part)
            changed[list(owners)] = (covariance + covariance.T) / 2
            inside &= chart.reaches(part)
        raised = self._raised(changed)
        inside &= is_near(raised, changed)
        n_components = self.origin.n_components
        population = self.origin.with_parameters(whole[:n_components], whole[n_components:], moved, raised)
        return Place(population, inside)

    def tangent(self, x: Array) -> Tangent:
        """Return how the parameters change along coordinates (p,), to first order from the origin."""
        amplitudes, means, covariances = self._split(x)
        whole = np.zeros(len(self._free))
        whole[self._free] = self._amplitudes.tangent(amplitudes)
        n_components, n_features = self.origin.n_components, self.origin.n_features
        moved = np.zeros((n_components, n_features))
        free = np.flatnonzero(self.freedom.means)
        moved[free] = np.einsum("kde,ke->kd", self._roots, means) / self._root_rows[:, None]
        changed = np.zeros((n_components, n_features, n_features))
        for (owners, _), chart, part in zip(
            self.freedom.covariances, self._covariances, covariances, strict=True
        ):
            changed[list(owners)] = chart.tangent(part)
        return Tangent(whole, moved, changed)

    def coordinates(self, population: Population) -> Array:
        """Coordinates (p,) of a population that has the chart's freedom and its frozen parameters."""
        shift = population.mixture.means - self.origin.mixture.means
        free = np.flatnonzero(self.freedom.means)
        means = np.linalg.solve(self._roots, shift[free][:, :, None])[:, :, 0] * self._root_rows[:, None]
        covariances = [
            chart.coordinates(population.mixture.covariances[owners[0]])
            for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True)
        ]
        amplitudes = self._amplitudes.coordinates(self._held(self._whole(population)))
        return np.concatenate((amplitudes, means.ravel(), *covariances))

    def gradient(self, population: Population, statistics: Statistics) -> Array:
        """Gradient (p,) of the log-likelihood at a population whose statistics are these."""
        s = statistics
        return self.scores(population, s.zeroth, s.background, s.first, s.second)

    def scores(
        self, population: Population, zeroth: Array, background: Array, first: Array, second: Array
    ) -> Array:
        """Gradients by the coordinates, of sums or of single rows.

        Parameters
        ----------
        population : Population
            Where the scores were taken.
        zeroth, background, first, second : (..., K), (..., J), (..., K, D), (..., K, P)
            With the letters of `Statistics`.

        Returns
        -------
        (..., p)
        """
        leading = zeroth.shape[:-1]
        scores = np.empty((int(np.prod(leading)), self.n_parameters))
        counts = np.concatenate((zeroth, background), axis=-1)
        end = self._amplitudes.size
        of_amplitudes = self._amplitudes.scores(counts[..., self._free], self._held(self._whole(population)))
        scores[:, :end] = of_amplitudes.reshape(len(scores), end)
        slopes = self._roots / self._root_rows[:, None, None]
        for k, slope in zip(np.flatnonzero(self.freedom.means), slopes, strict=True):
            end = _append(first[..., k, :], slope, end, scores)
        for (owners, _), chart in zip(self.freedom.covariances, self._covariances, strict=True):
            slope = chart.slope(population.mixture.covariances[owners[0]])
            joint = (
                second[..., owners[0], :] if len(owners) == 1 else second[..., list(owners), :].sum(axis=-2)
            )
            end = _append(joint, slope.T, end, scores)
        return scores.reshape(*leading, self.n_parameters)

    # --- parts

    @property
    def _n_means(self) -> int:
        return sum(self.freedom.means) * self.origin.n_features

    @cached_property
    def _free(self) -> NDArray[np.bool_]:
        return np.array(self.freedom.amplitudes, dtype=bool)

    def _held(self, whole: Array) -> Array:
        """Numbers (n,) of the free amplitudes among those (K + J,) of all."""
        return np.asarray(whole[self._free])

    def _whole(self, population: Population) -> Array:
        return np.concatenate((population.amplitudes, population.background_amplitudes))

    @cached_property
    def _amplitude_rows(self) -> Array:
        rows = self.counts.copy()
        prior = self.constraints.prior
        if prior is not None and prior.amplitudes is not None:
            rows[: self.origin.n_components] += prior.amplitudes.rows(self.origin.n_components)
        return np.maximum(self._held(rows), np.finfo(np.float64).tiny)

    @cached_property
    def _amplitudes(self) -> AmplitudeChart:
        lowest, highest = amplitude_limits(self.origin)
        return AmplitudeChart(
            self._held(self._whole(self.origin)),
            self._amplitude_rows,
            self._held(lowest),
            self._held(highest),
        )

    @cached_property
    def _roots(self) -> Array:
        """Cholesky factors (n, D, D) of the covariances whose means are free."""
        return np.asarray(
            np.linalg.cholesky(self.origin.mixture.covariances[np.flatnonzero(self.freedom.means)]),
            dtype=np.float64,
        )

    @cached_property
    def _root_rows(self) -> Array:
        return np.sqrt(self.counts[np.flatnonzero(self.freedom.means)])

    @cached_property
    def _covariances(self) -> tuple[CovarianceChart, ...]:
        prior = self.constraints.prior
        more = 0.0
        if prior is not None and prior.covariances is not None:
            more = prior.covariances.rows(self.origin.n_features)
        return tuple(
            self._covariance_chart(owners[0], directions, float(self.counts[list(owners)].sum()) + more)
            for owners, directions in self.freedom.covariances
        )

    def _covariance_chart(self, k: int, directions: int | tuple[bool, ...], rows: float) -> CovarianceChart:
        covariance = self.origin.mixture.covariances[k]
        if isinstance(directions, tuple):
            common = self.constraints.covariance_type == "spherical"
            return VarianceChart(np.diagonal(covariance), np.array(directions, dtype=bool), rows, common)
        if directions == len(covariance):
            return FactorChart.free(covariance, rows)
        assert self.constraints.floor is not None
        return FactorChart.on_floor(covariance, self.constraints.floor, rows)

    def _raised(self, covariances: Array) -> Array:
        """Raise what sank below the floor."""
        own = [k for owners, _ in self.freedom.covariances for k in owners]
        if self.constraints.floor is None or not own:
            return covariances
        raised = covariances.copy()
        raised[own] = raise_to_floor(covariances[own], self.constraints)
        return raised

    def _split(self, x: Array) -> tuple[Array, Array, list[Array]]:
        ends = np.cumsum([self._amplitudes.size, self._n_means, *(chart.size for chart in self._covariances)])
        amplitudes, means, *covariances = np.split(x, ends[:-1])
        return amplitudes, means.reshape(-1, self.origin.n_features), covariances


def _append(rows: Array, matrix: Array, start: int, scores: Array) -> int:
    """Write the products of rows (..., a) with a matrix (a, q) to columns from `start` on, and say where they end."""
    flat = np.ascontiguousarray(rows.reshape(len(scores), len(matrix)))
    write_products(flat, np.ascontiguousarray(matrix), start, scores)
    return start + int(matrix.shape[1])
