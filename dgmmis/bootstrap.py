"""The bootstrap: fits of replicates of the rows, each begun at the estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dgmmis.block_matrix import Spectrum
from dgmmis.coordinates import Chart
from dgmmis.errors import CollapsedComponent, ImputationLimit, InvalidSetting
from dgmmis.iterate import Limits, iterate
from dgmmis.optimum import Fitted, objective_gradient
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.resampling import Resample
from dgmmis.score_statistics import Statistics
from dgmmis.spread import ReplicateSpread
from dgmmis.task import look, set_up

__all__ = ["LEAST_REPLICATES", "Resampling", "bootstrap", "climb"]

LEAST_REPLICATES = 2

MOST_STEPS = 30
"""Of Newton's method.  Near a maximum that is nearly a parabola, five are enough; where it is not, passes climb."""

SHORTEST = 1 / 64
"""Of a step, relative to Newton's."""

ROUNDING = 1e-13
"""Of an objective, relative to its scale."""


REFIT = Limits(tolerance=0.01, max_passes=1000)
"""What is left then is a tenth of a standard error or less."""


@dataclass(frozen=True)
class Resampling:
    """How a bootstrap is made.

    Attributes
    ----------
    replicates : int
    seed : int
    limits : Limits
        Of each refit.
    """

    replicates: int = 100
    seed: int = 0
    limits: Limits = REFIT


def bootstrap(
    fitted: Fitted,
    chart: Chart,
    spectrum: Spectrum,
    how: Resampling,
    report: Callable[[int, int], None],
) -> tuple[ReplicateSpread, tuple[str, ...]]:
    """Fit every replicate of the rows (Efron 1979, Ann. Statist. 7, 1), with what a person should know of it.

    Parameters
    ----------
    fitted : Fitted
    chart : Chart
        Around the estimate.
    spectrum : Spectrum
        Of the information there: the metric of the refits' first steps.
    how : Resampling
    report : callable
        Called with (replicates done, replicates in all).

    Raises
    ------
    InvalidSetting
        If fewer than two replicates could be fitted.
    """
    found, collapsed, unfinished = [], 0, 0
    for b in range(how.replicates):
        passes = fitted.passes.resampled(Resample(how.seed, b))
        try:
            seen = look(passes, fitted.sample, fitted.task)
            problem = set_up(passes, fitted.sample, fitted.task, fitted.population, seen)
            population, converged = _refitted(
                replace(fitted, passes=passes, problem=problem), chart, spectrum, how
            )
            found.append(population)
            unfinished += not converged
        except (CollapsedComponent, ImputationLimit):
            collapsed += 1
        report(b + 1, how.replicates)
    if len(found) < LEAST_REPLICATES:
        raise InvalidSetting(
            f"{len(found)} of {how.replicates} replicates could be fitted; {LEAST_REPLICATES} are needed: ask for "
            "more replicates, or fit fewer components."
        )
    left_out = f"{collapsed} of {how.replicates} replicates collapsed and are left out: errors are too small"
    left = f"{unfinished} of {how.replicates} replicates did not converge in {how.limits.max_passes} passes"
    notes = tuple(note for note, n in ((left_out, collapsed), (left, unfinished)) if n)
    return ReplicateSpread(fitted.population, tuple(found)), notes


def _refitted(fitted: Fitted, chart: Chart, spectrum: Spectrum, how: Resampling) -> tuple[Population, bool]:
    """Fit one replicate: by Newton's method where it works, else as any fit."""
    if not spectrum.flat.number:
        reached = climb(
            chart,
            spectrum,
            lambda population: fitted.statistics_at(population)[0],
            tolerance=how.limits.tolerance,
        )
        if reached is not None:
            return reached, True
    *_, last = iterate(fitted.population, fitted.problem, how.limits)
    return last.population, last.reason == "converged"


def climb(
    chart: Chart, spectrum: Spectrum, statistics_at: Callable[[Population], Statistics], *, tolerance: float
) -> Population | None:
    """Go up from a chart's origin by Newton's method with one fixed metric; None if it does not get there.

    Parameters
    ----------
    chart : Chart
    spectrum : Spectrum
        Of an information of rows like these: its inverse is the metric.
    statistics_at : callable
        Statistics of all rows, observed and not, under a population.
    tolerance : float
        Predicted gain [nats] at which it has arrived.
    """
    x, here = np.zeros(chart.n_parameters), chart.origin
    statistics = statistics_at(here)
    for _ in range(MOST_STEPS):
        along = spectrum.factor.onto(objective_gradient(chart, here, statistics))
        if 0.5 * float(along @ along) <= tolerance:
            return here
        step = _step(chart, x, spectrum.factor.times(along), here, statistics, statistics_at)
        if step is None:
            return None
        x, here, statistics = step
    return None


def _step(
    chart: Chart,
    x: Array,
    direction: Array,
    here: Population,
    statistics: Statistics,
    statistics_at: Callable[[Population], Statistics],
) -> tuple[Array, Population, Statistics] | None:
    """Go as far as the objective rises; None if it does not."""
    least = _objective(chart, here, statistics) - ROUNDING * statistics.scale
    share = 1.0
    while share >= SHORTEST:
        place = chart.place(x + share * direction)
        if place.inside:
            there = statistics_at(place.population)
            if _objective(chart, place.population, there) >= least:
                return x + share * direction, place.population, there
        share /= 4
    return None


def _objective(chart: Chart, population: Population, statistics: Statistics) -> float:
    return statistics.log_likelihood + chart.constraints.log_prior(population)
