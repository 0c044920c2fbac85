"""Drives a comparison: starts, fits to all rows, fits without each fold, scores; what is kept is not made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgmmis.beginnings import Beginning, beginnings
from dgmmis.climbing import Pilot
from dgmmis.cluster import ClusterPasses
from dgmmis.compared_model import Fitted, label_of
from dgmmis.comparison import STACKING_ROWS, Comparison, compared
from dgmmis.contest import Contest, NoArchive, Watcher, chance_error, is_complete
from dgmmis.errors import DgmmisError
from dgmmis.fit_result import reason_in_words
from dgmmis.fitted_model import model_of
from dgmmis.folds import Folds
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import GOES_ON, Outcome
from dgmmis.preparation import Prepared
from dgmmis.runs.comparison_folder import ComparisonFolder
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
        candidates = [contest.candidate(name, optima[name], without.get(name, ())) for name in whole]
        self.watcher.on_stage("scoring the models on the rows they have not seen")
        scores = contest.score(candidates)
        fitted = [
            replace(
                self._fitted(name, whole[name], without.get(name, ()), begun[name]),
                chance_error=chance_error(candidate, scores),
                leak=contest.leak(name, without.get(name, ())),
            )
            for name, candidate in zip(whole, candidates, strict=True)
        ]
        return compared(
            fitted,
            scores,
            scored=[is_complete(without.get(name, ())) for name in whole],
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
            Pilot.of(prepared.chunks, prepared.task),
            look(passes, sample, prepared.task),
            self.folds,
            self.limits,
            self.folder or NoArchive(),
            self.watcher,
            STACKING_ROWS / prepared.chunks.n_rows,
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

    def _fitted(
        self,
        name: str,
        outcome: Outcome,
        without: Sequence[Outcome],
        beginning: Beginning,
    ) -> Fitted:
        task, chunks, scan = self.grid[name].task, self._any.chunks, outcome.scan
        assert scan is not None
        return Fitted(
            task.n_components,
            task.constraints.covariance_type,
            task.constraints.n_parameters(task.n_components, chunks.latent_features, task.backgrounds),
            model_of(scan.population, task, chunks),
            scan.statistics.log_likelihood,
            outcome.converged,
            reason_in_words(scan, self.limits.tolerance),
            scan.number + 1,
            beginning.scores,
            tuple(one.scan.number + 1 for one in without if one.scan is not None),
            all(one.converged for one in without),
            note=_note(without),
        )


def _note(without: Sequence[Outcome]) -> str:
    """Say what a person should know of the fits without each fold."""
    for fold, outcome in enumerate(without):
        if outcome.error is not None:
            return f"the fit without fold {fold} failed: {outcome.error}"
    if any(outcome.given_up for outcome in without):
        return "far behind, left early"
    return ""
