"""Fits of several models of the same rows, all sharing each pass: starts, all rows, all rows but one fold, scores."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dgmmis.errors import DgmmisError
from dgmmis.folds import Folds, Part
from dgmmis.held_out import ALL_SEEN, BLOCK, Chances, Seeing, completeness
from dgmmis.iterate import Limits, Problem
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import Evaluate, Keeper, Outcome, Trial, advance
from dgmmis.many_statistics import ManyStatistics, ManySurveys, surveys_of
from dgmmis.observation import REPLICATES
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.scoring import Candidate, Scores, Scoring
from dgmmis.starts import PILOT_CHUNK, PILOT_LIMITS, chunks_of, pilot_rows, short_fits
from dgmmis.task import Passes, Seen, Task, information_sample, look, set_up

__all__ = [
    "Beginning",
    "Contest",
    "SilentWatcher",
    "Watcher",
    "beginnings",
    "evaluator",
    "fingerprint",
    "seen_by",
]

CARRIED = 2
"""Starts of a model that are fitted to all rows, until one is left behind."""

POLISHED = 3
"""Starts of a model that are fitted to the whole random sample."""

SAME = 0.5
"""Objectives [total nats] that differ by less are those of one optimum, most likely."""

CHANCE_ERROR = 0.02
"""Wanted Monte-Carlo error of a model's cross-validated log-likelihood, in nats per root of the rows' weight."""

MOST_CHANCE_POINTS = 2**20
"""Points of one population's completeness at most."""


class Watcher(Protocol):
    """Whoever watches a comparison."""

    def on_stage(self, what: str) -> None:
        """Hear that another stage begins."""

    def on_segment(self, done: int, of: int) -> None:
        """Hear that `done` of the segments of the pass under way are back."""

    def on_round(self, number: int, going: int, of: int) -> None:
        """Hear that `going` of the fits go on after their pass `number`."""


class SilentWatcher:
    """Watches and says nothing."""

    def on_stage(self, what: str) -> None:
        """Do nothing."""

    def on_segment(self, done: int, of: int) -> None:
        """Do nothing."""

    def on_round(self, number: int, going: int, of: int) -> None:
        """Do nothing."""


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
    trials = [
        Trial(str(i), population, set_up(passes, sample, task, population, seen), group="rivals")
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


def seen_by(passes: Passes, seen: Seen | None, parts: Sequence[Part]) -> list[Seen | None]:
    """Say what a look at each part of the rows shows, by one pass; None without a selection."""
    if seen is None:
        return [None] * len(parts)
    surveys = surveys_of(passes.gather(ManySurveys(seen.surveyor, tuple(parts))))
    return [replace(seen, survey=survey) for survey in surveys]


@dataclass(frozen=True)
class Contest:
    """Models that are fitted to the same rows.

    Attributes
    ----------
    tasks : dict of Task
        By the models' names; they differ in components and constraints only.
    passes : Passes
    sample : Samples
        A random sample of the rows.
    seen : Seen or None
        What one look at all rows showed, under a selection.
    folds : Folds or None
    limits : Limits
        Of each fit.
    keeper : Keeper
    watcher : Watcher
    """

    tasks: Mapping[str, Task]
    passes: Passes
    sample: Samples
    seen: Seen | None
    folds: Folds | None
    limits: Limits
    keeper: Keeper
    watcher: Watcher

    @property
    def _any_task(self) -> Task:
        """One task: all agree on selection, backgrounds and pruning."""
        return next(iter(self.tasks.values()))

    def fit_whole(self, begun: Mapping[str, Beginning]) -> dict[str, Outcome]:
        """Fit every model to all rows and return the best outcome of each; an error if none of its fits survived."""
        trials = [
            Trial(f"{name}/all-{i}", population, self._set_up(name, population, self.seen), group=name)
            for name, beginning in begun.items()
            for i, population in enumerate(beginning.populations)
        ]
        outcomes = self._advance(trials)
        return {
            name: max(
                (outcomes[trial.key] for trial in trials if trial.group == name),
                key=lambda one: one.objective,
            )
            for name in begun
        }

    def fit_folds(self, whole: Mapping[str, Population]) -> dict[str, tuple[Outcome, ...]]:
        """Fit every model to the rows without each fold, from its optimum on all rows."""
        if self.folds is None:
            return {}
        parts = [Part(self.folds, fold) for fold in range(self.folds.count)]
        seen = seen_by(self.passes, self.seen, parts)
        trials = {
            (name, fold): Trial(
                f"{name}/without-{fold}-{fingerprint(population)}",
                population,
                self._set_up(name, population, seen[fold]),
                part,
            )
            for name, population in whole.items()
            for fold, part in enumerate(parts)
        }
        outcomes = self._advance(list(trials.values()))
        return {name: tuple(outcomes[trials[name, fold].key] for fold in range(len(parts))) for name in whole}

    def score(self, candidates: Sequence[Candidate], share: float) -> Scores:
        """Score the models by one pass; `share` of the rows have their scores kept."""
        seeing = ALL_SEEN if self.seen is None else Seeing(self._any_task.cut, self.seen.surveyor.classes)
        return self.passes.gather(Scoring(tuple(candidates), self.folds, seeing, share))

    def chances(self, task: Task, without: Sequence[Population]) -> tuple[Chances, ...]:
        """Evaluate the chances of being observed under the fit without each fold; none without a selection."""
        if task.selecting is None or self.seen is None:
            return ()
        return tuple(self._chances(task, population, self.seen) for population in without)

    def _chances(self, task: Task, population: Population, seen: Seen) -> Chances:
        assert task.selecting is not None
        observation = task.selecting.observation(seen.survey, seen.surveyor, population)
        weights, block = observation.classes.weights, BLOCK
        sources = (population.n_components + len(population.backgrounds)) * observation.classes.n_classes
        while True:
            chances = completeness(population, observation, block)
            error = float(np.sqrt(np.sum((weights * chances.errors / chances.values) ** 2)))
            enough = error <= CHANCE_ERROR * np.sqrt(weights.sum())
            if enough or 4 * block * sources * REPLICATES > MOST_CHANCE_POINTS:
                return chances
            block *= 4

    def _set_up(self, name: str, population: Population, seen: Seen | None) -> Problem:
        return set_up(self.passes, self.sample, self.tasks[name], population, seen)

    def _advance(self, trials: Sequence[Trial]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        evaluate = evaluator(self.passes, self._any_task)
        for number, outcomes in enumerate(advance(trials, evaluate, self.limits, self.keeper)):
            going = sum(not outcome.is_over for outcome in outcomes.values())
            self.watcher.on_round(number - 1, going, len(trials))
        return outcomes


def fingerprint(population: Population) -> str:
    """Tell a population from any other with the same backgrounds: 16 hexadecimal digits."""
    digest, mixture = hashlib.sha256(), population.mixture
    for array in (mixture.amplitudes, mixture.means, mixture.covariances, population.background_amplitudes):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
