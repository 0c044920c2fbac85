"""Rearranging a fit of the pilot sample: one component is split and two others are merged where that leads higher.

Short fits of few rows cannot tell which of two optima is higher; the whole sample can.  What is wrong in its fit costs
all rows as many times more as they are more, and passes over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isfinite

from dgmmis.chunk import chunks_of
from dgmmis.climbing import PILOT_CHUNK
from dgmmis.iterate import Pass
from dgmmis.local_pass import LocalPasses
from dgmmis.misfit import Examiner
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.short_fits import GOES_ON, LEAST_GAIN, ShortFit, advanced, begun, best_first, moved_from
from dgmmis.split_merge import LEAST_COMPONENTS
from dgmmis.task import Task

__all__ = ["climb_higher"]

MOST_MOVES = 10
LOOKED_AT = 100_000
"""Rows of the sample in which moves are looked for and fitted briefly."""
TRIED, BRIEF_PASSES = 16, 10
"""Moves that are fitted briefly, and updates that each is given."""
FOLLOWED = 12
"""Moves that are fitted to the whole sample, the most promising of the brief fits first."""
HOPE = 3.0
"""Times the predicted gain by which a brief fit is expected to end higher: what leads far begins low."""
GIVEN_UP_AFTER = 6
"""Passes after which a move's fit is given up if it is not expected to lead highest."""
FOLLOWED_PASSES = 60
"""Passes after which a move's fit is judged by where it stands: what creeps on a plateau goes on if it is the best."""
DOUBT = 10.0
"""Times the predicted gain by which a fit may end higher than where it stands."""

Climb = Callable[[Population], Iterator[Pass]]


def climb_higher(pilot: Rows, task: Task, population: Population, coarsely: Climb, finely: Climb) -> Pass:
    """Fit the pilot sample, and move components while that raises its objective.

    Parameters
    ----------
    pilot : Rows
        In random order.
    task : Task
        Under a selection nothing is moved: imputed points of different populations differ by more than a move gains.
    population : Population
        Where to start.
    coarsely, finely : callable
        Yield the passes of a fit to the sample from a population.  Moves are followed coarsely, and the best fit goes
        on finely.

    Returns
    -------
    Pass
        The last one of the best fit.
    """
    if task.selecting is not None or task.n_components < LEAST_COMPONENTS:
        *_, fitted = finely(population)
        return fitted
    *_, fitted = coarsely(population)
    some = pilot.take(slice(0, LOOKED_AT))
    for _ in range(MOST_MOVES):
        higher = _moved(some, task, fitted, coarsely)
        if higher is None:
            break
        fitted = higher
    *_, fitted = finely(fitted.population)
    return fitted


def _moved(some: Rows, task: Task, fitted: Pass, climb: Climb) -> Pass | None:
    """Make the move that leads highest; None if none leads higher than where the fit stands."""
    highest = fitted
    for population in _most_promising(some, task, fitted.population):
        last = None
        with suppress(*GOES_ON):
            for last in climb(population):
                hoped = last.objectives[-1] + DOUBT * last.predicted_gain
                is_behind = hoped < highest.objectives[-1] + LEAST_GAIN
                if last.number >= (GIVEN_UP_AFTER if is_behind else FOLLOWED_PASSES):
                    break
        if last is not None and last.objectives[-1] > highest.objectives[-1] + LEAST_GAIN:
            highest = last
    return None if highest is fitted else highest


def _most_promising(some: Rows, task: Task, population: Population) -> list[Population]:
    """Fit the moves that one pass suggests briefly; the best first."""
    chunks = chunks_of(some, chunk_rows=PILOT_CHUNK)
    examiner = Examiner.of(population)
    misfit = LocalPasses(chunks, cut=task.cut, negligible=task.pruning).examine(examiner)
    proposed = moved_from(population, examiner, misfit, task, TRIED)
    if not proposed:
        return []
    fits = advanced(begun(some, task, proposed), BRIEF_PASSES)
    order = best_first([_hoped(fit) for fit in fits])[:FOLLOWED]
    return [
        last.population
        for place in order
        if (last := fits[place].last) is not None and fits[place].error is None
    ]


def _hoped(fit: ShortFit) -> float:
    """Objective that a brief fit is expected to lead to [total nats]; -inf for one that failed."""
    if fit.last is None or not isfinite(fit.last.predicted_gain):
        return fit.objective
    return fit.objective + HOPE * fit.last.predicted_gain
