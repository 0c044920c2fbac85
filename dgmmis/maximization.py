"""The maximization step: the population that statistics ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.constrained_covariances import (
    ON_FLOOR,
    constrain_covariances,
    floor_eigenvalues,
    require_definite,
)
from dgmmis.constraints import Constraints
from dgmmis.packed import Array, unpack
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.water_filling import share_within_limits

__all__ = ["conform", "events_of", "least_rows", "maximize", "starved"]

STARVED = 1e-10
"""A component that holds less than this share of a row's weight keeps its mean and covariance."""


def maximize(population: Population, statistics: Statistics, constraints: Constraints) -> Population:
    """Update a population by exact expectation maximization.

    With A, h, H, B the statistics: shift = V h / A; m' = m + shift; V' = V + V (H / A) V - shift shift^T;
    a' = A / (sum A + sum B), nu' = B / (sum A + sum B).  This is the update of Bovy, Hogg & Roweis 2011
    (arXiv:0905.2979), eqs. 17-19, in score form.  A frozen mean has no shift.  Covariances then follow
    their type, prior and floor (`constrain_covariances`).  Frozen amplitudes and fixed backgrounds keep
    what they have of the whole; the free ones share what is left in proportion to A (plus the prior's
    rows) and B, backgrounds within their limits.  A starved component keeps mean and covariance, though a
    tied covariance goes with the others'; amplitudes stay as they are while no free component holds any
    row.

    Raises
    ------
    CollapsedComponent
        If a new covariance is not positive definite.
    """
    before = population.mixture
    fed = ~starved(statistics)
    counts = np.where(fed, statistics.zeroth, 1.0)
    shifts = np.einsum("kde,ke->kd", before.covariances, statistics.first) / counts[:, None]
    shifts[constraints.frozen.means | ~fed] = 0
    curvature = unpack(statistics.second) / counts[:, None, None]
    growth = before.covariances @ curvature @ before.covariances
    wanted = before.covariances + growth - shifts[:, :, None] * shifts[:, None, :]
    wanted = (wanted + wanted.swapaxes(1, 2)) / 2
    counts = np.where(fed, statistics.zeroth, 0.0)
    covariances = constrain_covariances(before.covariances, wanted, counts, constraints)
    require_definite(covariances, before.covariances, counts, constraints)
    return population.with_parameters(
        *_amplitudes(population, statistics, constraints), before.means + shifts, covariances
    )


def starved(statistics: Statistics) -> NDArray[np.bool_]:
    """Which components hold no rows any more (K,)."""
    return np.asarray(statistics.zeroth <= least_rows(statistics))


def least_rows(statistics: Statistics) -> float:
    """Weight of rows up to which whoever holds it is starved."""
    return STARVED * (statistics.weight / max(statistics.rows, 1))


def conform(population: Population, constraints: Constraints) -> Population:
    """Bring the covariances of a start to the type and above the floor, as if its amplitudes were counts."""
    counts = np.maximum(population.amplitudes, np.finfo(np.float64).tiny)
    before = population.mixture.covariances
    covariances = constrain_covariances(before, before, counts, replace(constraints, prior=None))
    mixture = replace(population.mixture, covariances=covariances)
    return replace(population, mixture=mixture)


def events_of(population: Population, statistics: Statistics, constraints: Constraints) -> tuple[str, ...]:
    """Say what a person should know of a population and the statistics under it."""
    tied = constraints.covariance_type == "tied"
    kept = "its mean stays as it is" if tied else "its mean and covariance stay as they are"
    return (
        *(
            f"component {k} holds no rows any more: {kept}"
            for k in np.flatnonzero(starved(statistics)).tolist()
        ),
        *_floor_events(population, constraints),
        *_limit_events(population),
    )


def _floor_events(population: Population, constraints: Constraints) -> list[str]:
    if constraints.floor is None:
        return []
    smallest = floor_eigenvalues(population.mixture.covariances, constraints.floor)
    lies = constraints.distinct_covariances & (smallest <= 1 + ON_FLOOR)
    if constraints.covariance_type == "tied":
        return ["the tied covariance lies on its floor"] if lies.any() else []
    return [f"component {k} lies on its floor" for k in np.flatnonzero(lies).tolist()]


def _limit_events(population: Population) -> list[str]:
    events = []
    for j, background in enumerate(population.backgrounds):
        if background.fixed:
            continue
        if background.amplitude >= background.amplitude_max:
            events.append(f"background {j} lies at its amplitude_max, {background.amplitude_max:g}")
        elif background.amplitude <= background.amplitude_min:
            events.append(f"background {j} lies at its amplitude_min, {background.amplitude_min:g}")
    return events


def _amplitudes(
    population: Population, statistics: Statistics, constraints: Constraints
) -> tuple[Array, Array]:
    """Amplitudes in the whole of the components (K,) and of the backgrounds (J,)."""
    n_components, backgrounds = population.n_components, population.backgrounds
    before = np.concatenate((population.amplitudes, population.background_amplitudes))
    frozen = constraints.frozen.amplitudes
    free = np.concatenate((~frozen, [not background.fixed for background in backgrounds])).astype(bool)
    counts = statistics.zeroth
    if constraints.prior is not None and constraints.prior.amplitudes is not None:
        counts = counts + constraints.prior.amplitudes.rows(n_components)
    unheld = bool((~frozen).any()) and not counts[~frozen].sum() > 0
    after = before.copy()
    if free.any() and not unheld:
        # a background without rows must still be able to take what others' limits leave
        rows = np.concatenate((counts, np.maximum(statistics.background, np.finfo(np.float64).tiny)))
        lowest, highest = np.zeros(len(before)), np.full(len(before), np.inf)
        lowest[n_components:] = [background.amplitude_min for background in backgrounds]
        highest[n_components:] = [background.amplitude_max for background in backgrounds]
        left = max(0.0, 1 - float(before[~free].sum()))
        after[free] = share_within_limits(left, rows[free], lowest[free], highest[free])
    return after[:n_components], after[n_components:]
