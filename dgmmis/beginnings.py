"""Where the fits of one model of a comparison begin: many starts on a random sample, the best of them carried on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dgmmis.chunk import chunks_of
from dgmmis.climbing import PILOT_CHUNK, Pilot
from dgmmis.errors import DgmmisError
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import Evaluate, Trial, advance
from dgmmis.many_statistics import ManyStatistics
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.short_fits import short_fits
from dgmmis.starts import PILOT_LIMITS, pilot_rows
from dgmmis.task import Passes, Task, information_sample, look, set_up

__all__ = ["Beginning", "beginnings", "evaluator"]

CARRIED = 2
"""Starts of a model that are fitted to all rows, until one is left behind."""

POLISHED = 3
"""Starts of a model that are fitted to the whole random sample."""

SAME = 0.5
"""Objectives [total nats] that differ by less are those of one optimum, most likely."""


@dataclass(frozen=True)
class Beginning:
    """Where the fits of one model begin.

    Attributes
    ----------
    populations : tuple of Population
        The best first.
    scores : tuple of float
        Mean log-likelihoods of all starts on the random sample after their short fits; NaN for those that failed.
    """

    populations: tuple[Population, ...]
    scores: tuple[float, ...]


def beginnings(pilot: Rows, task: Task, *, whole: bool, restarts: int) -> Beginning:
    """Find where fits of a model begin: many short fits of a random sample, the best of them fitted further there.

    Parameters
    ----------
    pilot : Rows
        A random sample in random order.
    task : Task
    whole : bool
        The sample is all the data: then no start is fitted further here.
    restarts : int

    Raises
    ------
    DgmmisError
        If no start survived.
    """
    rows = pilot.take(slice(0, pilot_rows(task.n_components, pilot.latent_features)))
    fits = short_fits(rows, task, restarts)
    scores = tuple(
        float("nan") if isinstance(fit, DgmmisError) else fit.statistics.mean_log_likelihood for fit in fits
    )
    good = [fit for fit in fits if not isinstance(fit, DgmmisError)]
    if not good:
        raise next(fit for fit in fits if isinstance(fit, DgmmisError))
    ordered = _distinct([(fit.objectives[-1], fit.population) for fit in good])
    if whole:
        return Beginning(tuple(population for _, population in ordered[:CARRIED]), scores)
    polished = _polished(pilot, task, [population for _, population in ordered[:POLISHED]])
    return Beginning(tuple(population for _, population in _distinct(polished)[:CARRIED]), scores)


def _distinct(found: Sequence[tuple[float, Population]]) -> list[tuple[float, Population]]:
    """Order by objective, the highest first, and leave out what is the same optimum as one before."""
    kept: list[tuple[float, Population]] = []
    for objective, population in sorted(found, key=lambda one: -one[0]):
        if not kept or kept[-1][0] - objective > SAME:
            kept.append((objective, population))
    return kept


def _polished(pilot: Rows, task: Task, populations: Sequence[Population]) -> list[tuple[float, Population]]:
    """Fit populations to the whole sample, all in the same passes, giving up those that are left behind."""
    chunks = chunks_of(pilot, chunk_rows=PILOT_CHUNK)
    passes = LocalPasses(chunks, cut=task.cut, negligible=task.pruning)
    sample = information_sample(chunks, task)
    seen = look(passes, sample, task)
    source = Pilot.of(chunks, task)
    trials = [
        Trial(
            str(i),
            population,
            source.climbing(set_up(passes, sample, task, population, seen), task, population),
            group="rivals",
        )
        for i, population in enumerate(populations)
    ]
    outcomes = deque(advance(trials, evaluator(passes, task), PILOT_LIMITS), maxlen=1).pop()
    best = [
        (outcome.objective, outcome.population)
        for outcome in outcomes.values()
        if outcome.scan is not None and outcome.error is None and not outcome.given_up
    ]
    if not best:
        raise next(outcome.error for outcome in outcomes.values() if outcome.error is not None)
    return best


def evaluator(passes: Passes, task: Task) -> Evaluate:
    """Make what evaluates several populations by one pass; the task tells of selection and pruning."""
    return lambda jobs: passes.gather(ManyStatistics(tuple(jobs), task.cut, task.pruning)).members
