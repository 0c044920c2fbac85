"""Which parameters of a population may move: what is not frozen, and what no limit or floor holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.constrained_covariances import ON_FLOOR
from dgmmis.constraints import Constraints
from dgmmis.covariance_charts import rank_above_floor
from dgmmis.maximization import least_rows
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

__all__ = ["Freedom", "amplitude_limits", "counts_of", "free_amplitudes"]


@dataclass(frozen=True)
class Freedom:
    """What may move at a population.  It changes where a limit or a floor begins or ends to hold.

    Attributes
    ----------
    amplitudes : tuple of bool, K + J
        Not frozen, not fixed, not at a limit; all False if only one is.
    means : tuple of bool, K
    covariances : tuple, one per free covariance
        The components that share it, and the directions that no floor holds, a number or one flag per feature.
    """

    amplitudes: tuple[bool, ...]
    means: tuple[bool, ...]
    covariances: tuple[tuple[tuple[int, ...], int | tuple[bool, ...]], ...]

    @classmethod
    def of(cls, population: Population, counts: Array, constraints: Constraints) -> Freedom:
        """Find what is free.

        Parameters
        ----------
        population : Population
        counts : (K + J,)
            Rows that components and backgrounds hold; a component without any is held.
        constraints : Constraints
        """
        fed = counts[: population.n_components] > 0
        amplitudes = free_amplitudes(population, constraints) & (counts > 0)
        if amplitudes.sum() < 2:
            amplitudes[:] = False
        return cls(
            tuple(amplitudes.tolist()),
            tuple((~constraints.frozen.means & fed).tolist()),
            tuple(
                (owners, _directions(population.mixture.covariances[owners[0]], constraints))
                for owners in _sharing(fed, constraints)
            ),
        )


def counts_of(statistics: Statistics) -> Array:
    """Rows (K + J,) that components and backgrounds hold; 0 for what is starved."""
    least = least_rows(statistics)
    held = np.concatenate((statistics.zeroth, statistics.background))
    return np.where(held <= least, 0.0, held)


def free_amplitudes(population: Population, constraints: Constraints) -> NDArray[np.bool_]:
    """Amplitudes (K + J,) that may move: not frozen, not fixed, not at a limit."""
    held = [
        one.fixed or not one.amplitude_min < one.amplitude < one.amplitude_max
        for one in population.backgrounds
    ]
    return ~np.concatenate((constraints.frozen.amplitudes, np.array(held, dtype=bool)))


def _sharing(fed: NDArray[np.bool_], constraints: Constraints) -> Sequence[tuple[int, ...]]:
    """Components of each free covariance."""
    free = ~constraints.frozen.covariances
    if constraints.covariance_type == "tied":
        return [tuple(np.flatnonzero(free).tolist())] if (free & fed).any() else []
    return [(k,) for k in np.flatnonzero(free & fed).tolist()]


def _directions(covariance: Array, constraints: Constraints) -> int | tuple[bool, ...]:
    """Directions that no floor holds: how many, or which features."""
    n_features, floor = len(covariance), constraints.floor
    if constraints.covariance_type in ("full", "tied"):
        return n_features if floor is None else rank_above_floor(covariance, floor)
    if floor is None:
        return (True,) * n_features
    least = np.full(n_features, floor.max()) if constraints.covariance_type == "spherical" else floor
    above = np.diagonal(covariance) > (1 + ON_FLOOR) * least**2
    return tuple(above.tolist())


def amplitude_limits(population: Population) -> tuple[Array, Array]:
    """Least and greatest values (K + J,) of components' and backgrounds' amplitudes."""
    lowest, highest = np.zeros(population.n_components), np.full(population.n_components, np.inf)
    return (
        np.append(lowest, [one.amplitude_min for one in population.backgrounds]),
        np.append(highest, [one.amplitude_max for one in population.backgrounds]),
    )
