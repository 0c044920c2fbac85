"""Fits of several models of the same rows, all sharing each pass: starts, all rows, all rows but one fold, scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from dgmmis.beginnings import Beginning, evaluator
from dgmmis.climbing import Pilot
from dgmmis.comparison import difference_errors
from dgmmis.folds import Folds, Part
from dgmmis.held_out import ALL_SEEN, BLOCK, Chances, Seeing, completeness
from dgmmis.iterate import Limits, Pass, Problem
from dgmmis.lockstep import CAUTION, Forgetful, Keeper, Outcome, Trial, advance
from dgmmis.many_statistics import ManySurveys, surveys_of
from dgmmis.observation import REPLICATES
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.scoring import Candidate, Scores, Scoring
from dgmmis.task import Passes, Seen, Task, set_up

__all__ = [
    "Archive",
    "Contest",
    "NoArchive",
    "SilentWatcher",
    "Watcher",
    "chance_error",
    "fingerprint",
    "is_complete",
    "seen_by",
]

FIRST_LOOK = 5
"""Updates of the fits without a fold after which models that are far behind are left as they are."""

HOPELESS = 10.0
"""Standard errors of the difference that count as far behind."""

LEAK = 0.5
"""Nats that a model's cross-validated log-likelihood may owe to its fits having begun at the optimum of all rows."""

PREDICTED_WITHIN = 2.0
"""Predictions of what is left to gain are right within this factor."""

CHANCE_ERROR = 0.02
"""Wanted Monte-Carlo error of a model's cross-validated log-likelihood, in nats per root of the rows' weight."""

MOST_CHANCE_POINTS = 2**20
"""Points of one population's completeness at most."""


@runtime_checkable
class Watcher(Protocol):
    """Whoever watches a comparison."""

    def on_stage(self, what: str) -> None:
        """Hear that another stage begins."""

    def on_segment(self, done: int, of: int) -> None:
        """Hear that `done` of the segments of the pass under way are back."""

    def on_round(self, number: int, going: int, of: int) -> None:
        """Hear that `going` of the fits go on after their pass `number`."""


class Archive(Keeper, Protocol):
    """Remembers passes and scores, so that nothing is computed twice."""

    def find_scores(self, digest: str) -> Scores | None:
        """Return the scores of a set of fitted models, or None."""

    def keep_scores(self, digest: str, scores: Scores) -> None:
        """Remember scores."""


class NoArchive(Forgetful):
    """Remembers nothing."""

    def find_scores(self, digest: str) -> None:
        """Find nothing."""

    def keep_scores(self, digest: str, scores: Scores) -> None:
        """Forget them."""


class SilentWatcher:
    """Watches and says nothing."""

    def on_stage(self, what: str) -> None:
        """Do nothing."""

    def on_segment(self, done: int, of: int) -> None:
        """Do nothing."""

    def on_round(self, number: int, going: int, of: int) -> None:
        """Do nothing."""


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
    pilot : Pilot
        A larger one, by which fits climb.
    seen : Seen or None
        What one look at all rows showed, under a selection.
    folds : Folds or None
    limits : Limits
        Of each fit.
    archive : Archive
    watcher : Watcher
    share : float
        Of the rows, whose held-out scores are kept one by one.
    """

    tasks: Mapping[str, Task]
    passes: Passes
    sample: Samples
    pilot: Pilot
    seen: Seen | None
    folds: Folds | None
    limits: Limits
    archive: Archive
    watcher: Watcher
    share: float

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
        outcomes = self._advance(trials, self.limits)
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
                tolerance=self._fold_tolerance(name, population),
            )
            for name, population in whole.items()
            for fold, part in enumerate(parts)
        }
        first = replace(self.limits, max_passes=min(FIRST_LOOK, self.limits.max_passes))
        outcomes = self._advance(list(trials.values()), first)

        def by_model() -> dict[str, tuple[Outcome, ...]]:
            return {
                name: tuple(outcomes[trials[name, fold].key] for fold in range(len(parts))) for name in whole
            }

        lost = self._far_behind(whole, by_model())
        going = [trial for (name, _), trial in trials.items() if name not in lost]
        for key in [trial.key for (name, _), trial in trials.items() if name in lost]:
            outcomes[key] = replace(outcomes[key], given_up=not outcomes[key].converged)
        outcomes |= self._advance(going, self.limits, outcomes)
        return by_model()

    def _far_behind(
        self, whole: Mapping[str, Population], without: Mapping[str, tuple[Outcome, ...]]
    ) -> set[str]:
        """Name the models that go on and whose left-out rows already say that they cannot win."""
        complete = [name for name in whole if is_complete(without[name])]
        going = {name for name in complete if not all(outcome.converged for outcome in without[name])}
        if self.limits.max_passes <= FIRST_LOOK or len(complete) < 2 or not going:
            return set()
        candidates = [self.candidate(name, whole[name], without[name]) for name in complete]
        scores = self.score(candidates)
        errors = difference_errors(scores, np.array([chance_error(one, scores) for one in candidates]))
        best = int(np.argmax(scores.totals))
        gains = [sum(one.scan.predicted_gain for one in without[name] if one.scan) for name in complete]
        behind = scores.totals[best] - scores.totals - self.leak(complete[best], without[complete[best]])
        far = behind > HOPELESS * errors[:, best] + CAUTION * np.array(gains)
        return {name for name, is_far in zip(complete, far.tolist(), strict=True) if is_far and name in going}

    def leak(self, name: str, without: Sequence[Outcome]) -> float:
        """Estimate what a model's cross-validated log-likelihood owes to where its fits began [total nats].

        At the optimum of all rows the gradient of those left out is about sqrt(p / (F - 1)) in units of the standard
        errors of the p parameters; a fit with g nats left to gain is sqrt(2 g) of these away from its own optimum.
        What is left may be `PREDICTED_WITHIN` times what is predicted.
        """
        if self.folds is None or not is_complete(without):
            return 0.0
        p = self._n_parameters(name, without[0].population)
        gains = [_left_to_gain(one.scan) for one in without if one.scan is not None]
        return float(sum(np.sqrt(2 * PREDICTED_WITHIN * gain * p / (self.folds.count - 1)) for gain in gains))

    def _fold_tolerance(self, name: str, population: Population) -> float:
        """Tolerance of the fits without a fold with which all of them together leak no more than `LEAK`."""
        assert self.folds is not None
        folds, p = self.folds.count, max(1, self._n_parameters(name, population))
        return min(self.limits.tolerance, LEAK**2 * (folds - 1) / (2 * PREDICTED_WITHIN * p * folds**2))

    def _n_parameters(self, name: str, population: Population) -> int:
        task = self.tasks[name]
        return task.constraints.n_parameters(task.n_components, population.n_features, task.backgrounds)

    def candidate(self, name: str, whole: Population, without: Sequence[Outcome]) -> Candidate:
        """Make what is scored of a model; where the fit without some fold failed, scores of it mean nothing."""
        complete = is_complete(without)
        populations = tuple(outcome.population if complete else whole for outcome in without)
        return Candidate(whole, populations, self._all_chances(self.tasks[name], populations))

    def score(self, candidates: Sequence[Candidate]) -> Scores:
        """Score the models by one pass, unless their scores are known."""
        digest = _digest(candidates)
        found = self.archive.find_scores(digest)
        if found is None:
            seeing = ALL_SEEN if self.seen is None else Seeing(self._any_task.cut, self.seen.surveyor.classes)
            found = self.passes.gather(Scoring(tuple(candidates), self.folds, seeing, self.share))
            self.archive.keep_scores(digest, found)
        return found

    def _all_chances(self, task: Task, without: Sequence[Population]) -> tuple[Chances, ...]:
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
        task = self.tasks[name]
        problem = set_up(self.passes, self.sample, task, population, seen)
        return self.pilot.climbing(problem, task, population)

    def _advance(
        self, trials: Sequence[Trial], limits: Limits, begun: Mapping[str, Outcome] | None = None
    ) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        evaluate = evaluator(self.passes, self._any_task)
        for outcomes in advance(trials, evaluate, limits, self.archive, begun):
            number = max((one.scan.number for one in outcomes.values() if one.scan is not None), default=-1)
            going = sum(not outcome.is_over for outcome in outcomes.values())
            self.watcher.on_round(number, going, len(trials))
        return outcomes


def _left_to_gain(scan: Pass) -> float:
    """Estimate what a fit has still to gain [total nats]; where passes predict nothing, as if gains fell by 1/n^2."""
    if np.isfinite(scan.predicted_gain):
        return max(0.0, scan.predicted_gain)
    return max(0.0, scan.objectives[-1] - scan.objectives[-2]) * scan.number if scan.number else float("inf")


def is_complete(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether none of the fits failed."""
    return all(outcome.scan is not None and outcome.error is None for outcome in outcomes)


def chance_error(candidate: Candidate, scores: Scores) -> float:
    """Give what the Monte-Carlo errors of ln Z make of a model's cross-validated log-likelihood [total nats]."""
    each = [
        np.sum((weights * one.errors / one.values) ** 2)
        for one, weights in zip(candidate.chances, scores.class_weights, strict=False)
    ]
    return float(np.sqrt(np.sum(each)))


def fingerprint(population: Population) -> str:
    """Tell a population from any other with the same backgrounds: 16 hexadecimal digits."""
    digest, mixture = hashlib.sha256(), population.mixture
    for array in (mixture.amplitudes, mixture.means, mixture.covariances, population.background_amplitudes):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _digest(candidates: Sequence[Candidate]) -> str:
    """Tell one set of fitted models from any other."""
    every = [population for one in candidates for population in (one.whole, *one.without)]
    return hashlib.sha256("".join(map(fingerprint, every)).encode()).hexdigest()[:32]
