"""`dgmmis.compare`: several models of the same rows, fitted and scored in shared passes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.cluster import ClusterPasses
from dgmmis.compared_model import Fitted, label_of
from dgmmis.comparison import STACKING_ROWS, Comparison, compared
from dgmmis.contest import Beginning, Contest, Watcher, beginnings
from dgmmis.driver import model_of
from dgmmis.errors import DgmmisError, InvalidSetting
from dgmmis.fit_result import reason_in_words
from dgmmis.folds import Folds
from dgmmis.held_out import Chances
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.lockstep import GOES_ON, Forgetful, Outcome
from dgmmis.planning import require_room
from dgmmis.population import Population
from dgmmis.preparation import Prepared, prepare_fit
from dgmmis.prior import Prior
from dgmmis.runs.comparison_folder import ComparisonFolder, open_comparison
from dgmmis.runs.numerics import numerics_fingerprint
from dgmmis.runs.parameters import arrays_of
from dgmmis.runs.task_record import describe_task
from dgmmis.scoring import Candidate, Scores
from dgmmis.starts import PILOT_ROWS
from dgmmis.store import Catalog
from dgmmis.task import Passes, information_sample, look

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["SilentWatcher", "compare", "file_name"]

TOLERANCE = 0.1
MAX_PASSES = 1000
NOT_OURS = ("initial", "frozen", "n_components", "covariance_type", "run")
"""Settings of `fit` that make no sense for several models."""


class SilentWatcher:
    """Watches and says nothing."""

    def on_stage(self, what: str) -> None:
        """Do nothing."""

    def on_segment(self, done: int, of: int) -> None:
        """Do nothing."""

    def on_round(self, number: int, going: int, of: int) -> None:
        """Do nothing."""


def compare(
    values: ArrayLike | Catalog | str | Path,
    *,
    n_components: Sequence[int] = (4, 8, 16),
    covariance_types: Sequence[str] = ("full",),
    folds: int = 5,
    restarts: int = 8,
    tolerance: float = TOLERANCE,
    max_passes: int = MAX_PASSES,
    seed: int = 0,
    client: Client | None = None,
    output: str | Path | None = None,
    observer: Watcher | None = None,
    **settings: Any,
) -> Comparison:
    """Fit several mixtures to the same rows and compare them.

    Every pass reads each chunk once for all models, restarts and folds.  Starts are looked for on a random sample.
    Each model is fitted to all rows, and, from the optimum found there, to the rows without each fold.

    Parameters
    ----------
    values : (N, D) array, or catalogue
    n_components : sequence of int
        The numbers of components to compare.
    covariance_types : sequence of str
        Each is combined with each number.
    folds : int
        Of the cross-validation; 0 for none.  A row's fold follows from a hash of its id (of an array: its number).
    restarts : int
        Starts of each model.
    tolerance, max_passes
        Of each single fit, as of `fit`.
    seed : int
        Of starts and folds.
    client : distributed.Client, optional
        Map the passes over its workers.  The result has the same bits as without.
    output : path, optional
        Folder that keeps every pass of every fit of a catalogue: the same call goes on from any death, and one with
        more models computes only what is new.
    observer : Watcher, optional
        Told of stages and passes.
    **settings
        The observation model, as `fit` takes it: noise, weights, selection, background, prior, floor, ...

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError, MemoryPlanExceeded, ClusterLost
        As of `fit`.
    RunConflict, RunLocked
        If the output folder holds another comparison, or another process drives it.
    DgmmisError
        If no model could be fitted, what ended the first.
    """
    _check(n_components, covariance_types, folds, restarts, settings)
    limits, watcher = Limits(tolerance, max_passes), observer or SilentWatcher()
    grid = _grid(values, n_components, covariance_types, limits, seed, settings)
    for prepared in grid.values():
        require_room(prepared, client)
    division = Folds(int(folds), int(seed)) if folds else None
    with _kept(output, grid, settings, folds, restarts) as folder:
        return _Comparing(grid, division, limits, int(restarts), client, folder, watcher).compare()


def file_name(n_components: int, covariance_type: str) -> str:
    """Name a model's files."""
    return f"K{n_components}-{covariance_type}"


def _check(
    n_components: Sequence[int],
    covariance_types: Sequence[str],
    folds: int,
    restarts: int,
    settings: Mapping[str, Any],
) -> None:
    for name in NOT_OURS:
        if settings.get(name) is not None:
            raise InvalidSetting(
                f"{name} belongs to `fit`, one model at a time; compare takes n_components=(...), "
                "covariance_types=(...), and looks for its starts itself."
            )
    for name, number, least in (("folds", folds, 0), ("restarts", restarts, 1)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least or number == folds == 1:
            expected = "0 (no cross-validation) or at least 2" if name == "folds" else "at least 1"
            raise InvalidSetting(f"{name} is {number!r}; expected {expected}, a whole number.")
    for name, many in (("n_components", n_components), ("covariance_types", covariance_types)):
        if isinstance(many, str) or not isinstance(many, Sequence) or not len(many):
            raise InvalidSetting(
                f"{name} is {many!r}; expected several, for instance (4, 8, 16) or ('full',)."
            )
        if len(set(many)) < len(many):
            raise InvalidSetting(f"{name} is {tuple(many)!r}; each may be named once.")


def _grid(
    values: Any,
    n_components: Sequence[int],
    covariance_types: Sequence[str],
    limits: Limits,
    seed: int,
    settings: Mapping[str, Any],
) -> dict[str, Prepared]:
    """Prepare every model; an array is checked and cut once."""
    grid: dict[str, Prepared] = {}
    for kind in covariance_types:
        for number in n_components:
            rows = next(iter(grid.values())).chunks if grid else values
            prepared = prepare_fit(
                rows, n_components=number, covariance_type=kind, limits=limits, seed=seed, **settings
            )
            name = file_name(number, prepared.task.constraints.covariance_type)
            if name in grid:
                raise InvalidSetting(f"covariance_types names {kind!r} twice.")
            grid[name] = prepared
    return grid


@contextmanager
def _kept(
    output: str | Path | None,
    grid: Mapping[str, Prepared],
    settings: Mapping[str, Any],
    folds: int,
    restarts: int,
) -> Iterator[ComparisonFolder | None]:
    """Hold the folder that keeps what is computed, or nothing."""
    if output is None:
        yield None
        return
    prepared = next(iter(grid.values()))
    catalog = prepared.chunks
    if not isinstance(catalog, Catalog):
        raise InvalidSetting(
            "a folder keeps the comparison of a catalogue: ingest the array first (dgmmis.ingest)."
        )
    task = describe_task(prepared.task)
    prior = settings.get("prior", "auto")
    config = {
        **{
            name: said
            for name, said in task.items()
            if name not in ("n_components", "frozen", "covariance_type")
        },
        "prior": prior.describe() if isinstance(prior, Prior) else prior,
        "folds": int(folds),
        "restarts": int(restarts),
        "tolerance": prepared.limits.tolerance,
        "max_passes": prepared.limits.max_passes,
        "method": settings.get("method", "auto"),
    }
    data = {"path": str(catalog.path.resolve()), "fingerprint": catalog.fingerprint, "rows": catalog.n_rows}
    folder = open_comparison(Path(output), config, data, numerics_fingerprint(), prepared.task.backgrounds)
    with folder.driven():
        yield folder


@dataclass(frozen=True)
class _Comparing:
    """One comparison under way."""

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

    def compare(self) -> Comparison:
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
        optima = {name: _population(outcome) for name, outcome in whole.items()}
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
        populations = tuple(_population(outcome) if complete else whole for outcome in without)
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


def _population(outcome: Outcome) -> Population:
    assert outcome.scan is not None
    return outcome.scan.population


def _squared_error(chances: Chances, weights: np.ndarray) -> float:
    """Square of what the Monte-Carlo errors of Z make of sum s ln Z, over rows of these weights by class."""
    return float(np.sum((weights * chances.errors / chances.values) ** 2))


def _digest(candidates: Sequence[Candidate]) -> str:
    """Tell one set of fitted models from any other."""
    digest = hashlib.sha256()
    for candidate in candidates:
        for population in (candidate.whole, *candidate.without):
            for array in arrays_of(population).values():
                digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
