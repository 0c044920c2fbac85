"""How rows come to be observed, and the reference from which unobserved ones are imputed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.noise_classes import NoiseClasses
from dgmmis.packed import Array, unpack
from dgmmis.population import Population
from dgmmis.selection import BoundSelection

__all__ = ["REPLICATES", "WIDENING", "Observation", "Reference"]

REPLICATES = 8
"""Independent scrambles of the points: their scatter is the imputation's error."""

WIDENING = 1.3
"""Points are drawn from components this much wider (in dispersion) than the reference's."""

LEAST_COVERAGE = 0.5
"""New points are drawn when a component's effective sample size falls below this share of what it was."""

POINTS_OF_PART = 2**17
"""Points of one unit of work at most, unless a class alone has more."""


@dataclass(frozen=True)
class Observation:
    """The selection that rows passed, and the noise they passed it with.

    Attributes
    ----------
    selection : BoundSelection
    columns : (f,)
        Columns of the rows that the selection looks at; rows must have them.
    classes : NoiseClasses
        Of all rows; their noise on `columns`, packed.
    before_noise : bool
        The selection acts on the noise-free values: its completeness is then that of noise-free rows.
    projection : None or (f, D)
        Rows of the shared projection that make `columns`.
    noise_at : callable, optional
        The parent population's noise as a function of position, (n, D) -> (n, D, D): an approximation.
    seed : int
    oversampling : float, optional
        Draw this many fresh random points per observed row in every pass, instead of fixed Sobol points.
    """

    selection: BoundSelection
    columns: NDArray[np.intp]
    classes: NoiseClasses
    before_noise: bool = False
    projection: Array | None = None
    noise_at: Callable[[Array], Array] | None = None
    seed: int = 0
    oversampling: float | None = None

    @property
    def weight(self) -> float:
        """Sum of the weights of all rows."""
        return float(self.classes.weights.sum())

    def components(self, population: Population) -> tuple[Array, Array]:
        """Means (K, f) and covariances (K, f, f) of the components in the selection's columns."""
        means, covariances = population.mixture.means, population.mixture.covariances
        if self.projection is None:
            return means[:, self.columns], covariances[:, self.columns[:, None], self.columns]
        R = self.projection
        return np.einsum("fd,kd->kf", R, means), np.einsum("fd,kde,ge->kfg", R, covariances, R)

    def total_covariances(self, covariances: Array) -> Array:
        """V_k + S_b (B, K, f, f) of each class and component."""
        return np.asarray(unpack(self.classes.noise)[:, None] + covariances)


@dataclass(frozen=True)
class Reference:
    """Where the points of the imputation were drawn.

    Attributes
    ----------
    population : Population
    block : int
        Points per component, class and replicate; a power of 2 for Sobol points.
    refresh : int
        Number of this reference, from 0: part of the key of its random numbers.
    """

    population: Population
    block: int
    refresh: int = 0

    def covers(self, population: Population, observation: Observation) -> bool:
        """Tell whether the points still serve: no component's effective sample size has halved."""
        if observation.oversampling is not None:
            return False
        start = _effective_share(self.population, self.population, observation)
        now = _effective_share(self.population, population, observation)
        return bool((now >= LEAST_COVERAGE * start).all())

    def moved_to(self, population: Population) -> Reference:
        """Draw anew around `population`."""
        return Reference(population, self.block, self.refresh + 1)

    def refined(self, population: Population, factor: int) -> Reference:
        """Draw anew with `factor` times the points."""
        return replace(self.moved_to(population), block=self.block * factor)

    def n_parts(self, observation: Observation) -> int:
        """Units of work that each replicate is cut into; a power of 2."""
        sources = self.population.n_components + len(self.population.backgrounds)
        points = self.block * sources * observation.classes.n_classes
        parts = 1
        while points > parts * POINTS_OF_PART and parts < self.block:
            parts *= 2
        return parts

    def n_points(self, observation: Observation) -> int:
        """Points of all replicates, before those that would be observed anyway are dropped."""
        sources = self.population.n_components + len(self.population.backgrounds)
        return REPLICATES * self.block * sources * observation.classes.n_classes


def _effective_share(reference: Population, population: Population, observation: Observation) -> Array:
    """1 / integral(p^2 / q) of each component p under its own widened proposal q, (K,); 0 if it diverges.

    For Gaussians p = N(m, T), q = N(m0, T0): the integral is |T0| / sqrt(|T| |2 T0 - T|) exp(d' (2 T0 - T)^-1 d).
    Evaluated for the class with the least noise, where the points are tightest.
    """
    old_means, old = observation.components(reference)
    means, new = observation.components(population)
    least = unpack(observation.classes.noise)
    least = least[int(np.argmin(np.trace(least, axis1=1, axis2=2)))]
    proposed, wanted = WIDENING**2 * (old + least), new + least
    margin = 2 * proposed - wanted
    share = np.zeros(len(means))
    good = np.linalg.eigvalsh(_in_units_of(margin, wanted))[:, 0] > 0
    for k in np.flatnonzero(good):
        shift = means[k] - old_means[k]
        exponent = float(shift @ np.linalg.solve(margin[k], shift))
        logs = [np.linalg.slogdet(matrix[k])[1] for matrix in (proposed, wanted, margin)]
        share[k] = np.exp(-(logs[0] - 0.5 * (logs[1] + logs[2]) + exponent))
    return share


def _in_units_of(matrices: Array, units: Array) -> Array:
    """Matrices (K, f, f) in units of the dispersions of `units`, so that eigenvalues compare to 1."""
    scale = np.sqrt(np.diagonal(units, axis1=1, axis2=2))
    return np.asarray(matrices / (scale[:, :, None] * scale[:, None, :]))
