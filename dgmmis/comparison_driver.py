"""Drives a comparison: starts, fits to all rows, fits without each fold, scores; what is kept is not made again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dgmmis.cluster import ClusterPasses
from dgmmis.compared_model import Fitted, label_of
from dgmmis.comparison import STACKING_ROWS, Comparison, compared
from dgmmis.contest import Beginning, Contest, Watcher, beginnings, fingerprint
from dgmmis.driver import model_of
from dgmmis.errors import DgmmisError
from dgmmis.fit_result import reason_in_words
from dgmmis.folds import Folds
from dgmmis.held_out import Chances
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import GOES_ON, Forgetful, Outcome
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.preparation import Prepared
from dgmmis.runs.comparison_folder import ComparisonFolder
from dgmmis.scoring import Candidate, Scores
from dgmmis.starts import PILOT_ROWS
from dgmmis.task import Passes, information_sample, look

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ComparisonDriver"]


@dataclass(frozen=True)
class ComparisonDriver:
    """One comparison: from what is kept of it to the end.

    Attributes
    ----------
    grid : dict of Prepared
        By the models' names; all of the same rows.
    folds : Folds or None
    limits : Limits
        Of each fit.
    restarts : int
        Starts of each model.
    client : distributed.Client or None
    folder : ComparisonFolder or None
        Keeps what is computed.
    watcher : Watcher
    """

    grid: Mapping[str, Prepared]
    folds: Folds | None
    limits: Limits
    restarts: int
    client: Client | None
    folder: ComparisonFolder | None
    watcher: Watcher

    @property
    def _any(self) -> Prepared:
        return next(iter(self.grid.values()))

    def drive(self) -> Comparison:
        """Fit and score all models.

        Raises
        ------
        DgmmisError
            If no model could be fitted, what ended the first.
        """
        contest = self._contest()
        begun, failures = self._begin()
        self.watcher.on_stage(f"fitting {len(begun)} models to all {self._any.chunks.n_rows:,} rows")
        whole = contest.fit_whole(begun)
        failures |= {name: outcome.error for name, outcome in whole.items() if outcome.error is not None}
        whole = {name: outcome for name, outcome in whole.items() if outcome.error is None}
        if not whole:
            raise next(iter(failures.values()))
        if self.folds is not None:
            self.watcher.on_stage(f"fitting them without each of {self.folds.count} folds")
        optima = {name: outcome.population for name, outcome in whole.items()}
        without = contest.fit_folds(optima)
        candidates, fitted, scored = [], [], []
        for name, outcome in whole.items():
            candidate, complete = self._candidate(contest, name, optima[name], without.get(name, ()))
            candidates.append(candidate)
            scored.append(complete)
            fitted.append(self._fitted(name, outcome, without.get(name, ()), candidate, begun[name]))
        self.watcher.on_stage("scoring the models on the rows they have not seen")
        scores = self._scores(contest, candidates)
        errors = [
            float(
                np.sqrt(sum(_squared_error(one, scores.class_weights[f]) for f, one in enumerate(c.chances)))
            )
            for c in candidates
        ]
        return compared(
            [replace(one, chance_error=error) for one, error in zip(fitted, errors, strict=True)],
            scores,
            scored=scored,
            folds=0 if self.folds is None else self.folds.count,
            seed=self._any.task.seed,
            failures=[
                (self._label(name), f"{type(error).__name__}: {error}") for name, error in failures.items()
            ],
        )

    def _contest(self) -> Contest:
        prepared = self._any
        passes = self._passes()
        sample = information_sample(prepared.chunks, prepared.task)
        return Contest(
            {name: one.task for name, one in self.grid.items()},
            passes,
            sample,
            look(passes, sample, prepared.task),
            self.folds,
            self.limits,
            self.folder or Forgetful(),
            self.watcher,
        )

    def _passes(self) -> Passes:
        chunks, task = self._any.chunks, self._any.task
        key = None if self.folds is None else self.folds.key
        if self.client is None:
            return LocalPasses(chunks, cut=task.cut, negligible=task.pruning, hash_key=key)
        return ClusterPasses(
            chunks,
            self.client,
            on_segment=self.watcher.on_segment,
            cut=task.cut,
            negligible=task.pruning,
            hash_key=key,
        )

    def _begin(self) -> tuple[dict[str, Beginning], dict[str, DgmmisError]]:
        """Find where each model's fits begin, or what kept them from it."""
        begun: dict[str, Beginning] = {}
        failures: dict[str, DgmmisError] = {}
        chunks, pilot = self._any.chunks, None
        for name, prepared in self.grid.items():
            kept = None if self.folder is None else self.folder.find_beginning(name)
            if kept is not None:
                begun[name] = kept
                continue
            pilot = pilot or chunks.read_pilot(PILOT_ROWS)
            self.watcher.on_stage(f"finding a start for {self._label(name)} on {len(pilot):,} random rows")
            try:
                begun[name] = beginnings(
                    pilot, prepared.task, whole=len(pilot) == chunks.n_rows, restarts=self.restarts
                )
            except GOES_ON as error:
                failures[name] = error
                continue
            if self.folder is not None:
                self.folder.keep_beginning(name, begun[name])
        if not begun:
            raise next(iter(failures.values()))
        return begun, failures

    def _label(self, name: str) -> str:
        task = self.grid[name].task
        return label_of(task.n_components, task.constraints.covariance_type)

    def _candidate(
        self, contest: Contest, name: str, whole: Population, without: Sequence[Outcome]
    ) -> tuple[Candidate, bool]:
        """Make what is scored of a model; where the fit without some fold failed, scores of it mean nothing."""
        complete = all(outcome.scan is not None and outcome.error is None for outcome in without)
        populations = tuple(outcome.population if complete else whole for outcome in without)
        chances = contest.chances(self.grid[name].task, populations)
        return Candidate(whole, populations, chances), complete

    def _fitted(
        self,
        name: str,
        outcome: Outcome,
        without: Sequence[Outcome],
        candidate: Candidate,
        beginning: Beginning,
    ) -> Fitted:
        task, chunks, scan = self.grid[name].task, self._any.chunks, outcome.scan
        assert scan is not None
        errors = [
            f"the fit without fold {f} failed: {one.error}" for f, one in enumerate(without) if one.error
        ]
        return Fitted(
            task.n_components,
            task.constraints.covariance_type,
            task.constraints.n_parameters(task.n_components, chunks.latent_features, task.backgrounds),
            model_of(candidate.whole, task, chunks),
            scan.statistics.log_likelihood,
            outcome.converged,
            reason_in_words(scan, self.limits.tolerance),
            scan.number + 1,
            beginning.scores,
            tuple(one.scan.number + 1 for one in without if one.scan is not None),
            all(one.converged for one in without),
            note="; ".join(errors[:1]),
        )

    def _scores(self, contest: Contest, candidates: Sequence[Candidate]) -> Scores:
        digest = _digest(candidates)
        kept = None if self.folder is None else self.folder.find_scores(digest)
        if kept is not None:
            return kept
        scores = contest.score(candidates, STACKING_ROWS / self._any.chunks.n_rows)
        if self.folder is not None:
            self.folder.keep_scores(digest, scores)
        return scores


def _squared_error(chances: Chances, weights: Array) -> float:
    """Square of what the Monte-Carlo errors of Z make of sum s ln Z, over rows of these weights by class."""
    return float(np.sum((weights * chances.errors / chances.values) ** 2))


def _digest(candidates: Sequence[Candidate]) -> str:
    """Tell one set of fitted models from any other."""
    every = [population for one in candidates for population in (one.whole, *one.without)]
    return hashlib.sha256("".join(map(fingerprint, every)).encode()).hexdigest()[:32]
