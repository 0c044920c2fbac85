"""How the objective curves along a chart's coordinates: the observed Hessian, and the prior's share of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dgmmis.block_matrix import BlockMatrix, Places
from dgmmis.coordinates import Chart, Place
from dgmmis.errors import InvalidSetting
from dgmmis.information import prior_score
from dgmmis.optimum import objective_gradient
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

__all__ = ["observed_information", "prior_information"]

STEP = 0.1
"""Of the central differences, in the standard errors of complete data: their relative error falls with its square
over the rows of a component, and rounding is far below it."""

HALVINGS = 10


def observed_information(chart: Chart, statistics_at: Callable[[Population], Statistics]) -> Array:
    """Return minus the Hessian (p, p) of the objective at the chart's origin, prior included.

    By central differences of the exact gradient: 2 p passes over the data.

    Parameters
    ----------
    chart : Chart
    statistics_at : callable
        Statistics of all rows, observed and not, under a population.

    Raises
    ------
    InvalidSetting
        If a coordinate cannot move either way, because of a limit or a floor.
    """

    def gradient(population: Population) -> Array:
        return objective_gradient(chart, population, statistics_at(population))

    columns = []
    for j in range(chart.n_parameters):
        above, below, step = _neighbours(chart, j)
        columns.append((gradient(below.population) - gradient(above.population)) / (2 * step))
    hessian = np.array(columns).reshape(chart.n_parameters, chart.n_parameters)
    return np.asarray((hessian + hessian.T) / 2)


def _neighbours(chart: Chart, j: int) -> tuple[Place, Place, float]:
    """Find the populations on both sides of the origin along coordinate j, and how far off."""
    step = STEP
    for _ in range(HALVINGS):
        move = step * (np.arange(chart.n_parameters) == j)
        above, below = chart.place(move), chart.place(-move)
        if above.inside and below.inside:
            return above, below, step
        step /= 2
    raise InvalidSetting(
        f"coordinate {j} of the parameters lies within {step:.1g} standard errors of a limit or of the floor, so "
        "that the Hessian cannot be taken there: ask for 'information' or 'bootstrap'."
    )


def prior_information(chart: Chart, places: Places) -> BlockMatrix:
    """Return minus the Hessian of the log-prior by the parameters themselves, seen in the chart's coordinates.

    The terms of the second derivatives of the map from coordinates to parameters are left out: at the maximum of
    the objective they cancel against the rows', which outer products of scores do not have either.
    """
    origin, total = chart.origin, BlockMatrix.zero(places)
    if chart.constraints.prior is None:
        return total

    def score(population: Population) -> Array:
        s = prior_score(population, chart.constraints)
        zeroth = s.zeroth * origin.amplitudes / np.maximum(population.amplitudes, np.finfo(np.float64).tiny)
        return chart.scores(origin, zeroth, s.background, s.first, s.second)

    for j in range(chart.n_parameters):
        above, below, step = _neighbours(chart, j)
        column = (score(below.population) - score(above.population)) / (2 * step)
        for place, block in zip(places, total.blocks, strict=True):
            block[:, place == j] = column[place, None]
    return BlockMatrix(places, tuple((block + block.T) / 2 for block in total.blocks))
