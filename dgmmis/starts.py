"""Where a fit starts: several k-means++ seedings of a random sample, short fits, the best one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from dgmmis.chunk import ArrayChunks
from dgmmis.errors import CollapsedComponent, DgmmisError, ImputationLimit, InvalidData
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.latent_start import latent_values
from dgmmis.local_pass import LocalPasses
from dgmmis.maximization import conform
from dgmmis.packed import Array, packed_size
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.seeding import seeded_mixture
from dgmmis.task import Task, information_sample, look, set_up

__all__ = ["PILOT_ROWS", "Start", "choose_start", "fit_briefly", "n_parameters", "pilot_rows", "short_fits"]

ROUNDING = 1e-10
"""Objectives of short fits that differ by less, relatively, may be those of one optimum, components permuted."""

N_STARTS = 8
SHORT_PASSES = 30
SELECTED_PASSES = 150
"""Of a short fit under a selection: what is not seen is learnt slowly."""
SHORT_POINTS = 2048
"""Imputed points per component of a short fit, to begin with."""
MOST_SHORT_POINTS = 2**20
PILOT_LIMITS = Limits(tolerance=0.1, max_passes=500)
"""Of the sample's own fit; fixed, so that a fit's start depends on no budget."""
PILOT_CHUNK = 25_000
ROWS_PER_PARAMETER = 50
LEAST_PILOT_ROWS = 5_000
PILOT_ROWS = 200_000
"""Rows of the random sample that a catalogue keeps and a fit starts on."""
GOES_ON = (CollapsedComponent, ImputationLimit, InvalidData)
"""What may happen to one start while others serve."""


@dataclass(frozen=True)
class Start:
    """Where a fit starts, and how it was found.

    Attributes
    ----------
    population : Population
    pilot_rows : int
        Rows of the random sample.
    mean_log_likelihoods : tuple of float
        On the sample, of each start after its short fit; NaN for one that collapsed.
    chosen : int
        Which of them.
    pilot_passes : int
        Further passes over the sample that the best one was given.
    """

    population: Population
    pilot_rows: int
    mean_log_likelihoods: tuple[float, ...]
    chosen: int
    pilot_passes: int


def n_parameters(n_components: int, n_features: int) -> int:
    """Free parameters of a mixture without constraints."""
    return n_components * (1 + n_features + packed_size(n_features)) - 1


def pilot_rows(n_components: int, n_features: int) -> int:
    """Rows a pilot needs: 50 for each parameter, at least 5,000."""
    return max(LEAST_PILOT_ROWS, ROWS_PER_PARAMETER * n_parameters(n_components, n_features))


def choose_start(
    pilot: Rows, task: Task, *, whole: bool, report: Callable[[Pass], None] | None = None
) -> Start:
    """Seed several populations on a random sample, fit each briefly, and fit the best to convergence there.

    Starts matter more than the last digits of a fit: the best of a few short fits is worth more than
    any one of them converged.

    Parameters
    ----------
    pilot : Rows
        A random sample in random order, so that its first rows are one too.
    task : Task
    whole : bool
        The sample is all the data: then leave the convergence to the fit itself.
    report : callable, optional
        Called with every pass over the sample.

    Raises
    ------
    InvalidData
        If fewer rows than components have a feature at all, or some feature has no value.
    CollapsedComponent, ImputationLimit
        If no start survived.
    """
    _require_enough(pilot, task.n_components)
    fits = short_fits(pilot.take(slice(0, pilot_rows(task.n_components, pilot.latent_features))), task)
    scores = tuple(
        float("nan") if isinstance(fit, DgmmisError) else fit.statistics.mean_log_likelihood for fit in fits
    )
    failure = next((fit for fit in fits if isinstance(fit, DgmmisError)), None)
    objectives = [-np.inf if isinstance(fit, DgmmisError) else fit.objectives[-1] for fit in fits]
    for chosen in _best_first(np.array(objectives)):
        fit = fits[chosen]
        if isinstance(fit, DgmmisError):
            break
        try:
            last = fit if whole else _converge(pilot, task, fit.population, report)
        except GOES_ON as error:
            failure = error
            continue
        return Start(last.population, len(pilot), scores, chosen, 0 if whole else last.number)
    assert failure is not None
    raise failure


def _best_first(objectives: Array) -> list[int]:
    """Order starts by their objectives; among those that rounding alone tells apart, the first one comes first."""
    best = objectives.max()
    ranks = np.where(objectives >= best - ROUNDING * abs(best), best, objectives)
    order: list[int] = np.argsort(-ranks, kind="stable").tolist()
    return order


def short_fits(rows: Rows, task: Task, n_starts: int = N_STARTS) -> list[Pass | DgmmisError]:
    """Fit rows briefly from several seedings; the last pass of each, or what ended it."""
    latent = rows.values if rows.projection is None else latent_values(rows)
    streams = np.random.SeedSequence(task.seed).spawn(n_starts)
    populations = []
    for stream in streams:
        mixture = seeded_mixture(latent, task.n_components, np.random.default_rng(stream), rows.weights)
        populations.append(conform(Population(mixture, task.backgrounds), task.constraints))
    return fit_briefly(rows, task, populations, SHORT_PASSES if task.selecting is None else SELECTED_PASSES)


def fit_briefly(
    rows: Rows, task: Task, populations: Sequence[Population], n_passes: int
) -> list[Pass | DgmmisError]:
    """Fit rows by so many passes from each of several populations; the last pass of each, or what ended it."""
    chunks = chunks_of(rows, chunk_rows=len(rows))
    local = LocalPasses(chunks, threads=1, cut=task.cut, negligible=task.pruning)
    sample = information_sample(chunks, task)
    shared = set_up(local, sample, task, populations[0], look(local, sample, task))
    limits = Limits(0, n_passes)

    def fit(population: Population) -> Pass | DgmmisError:
        try:
            return deque(iterate(population, _with_own_points(shared, local), limits), maxlen=1).pop()
        except GOES_ON as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(fit, populations))


def _with_own_points(problem: Problem, passes: LocalPasses) -> Problem:
    """Let a short fit draw few points of its own."""
    imputation = problem.imputation
    if imputation is None:
        return problem
    impute = passes.impute(imputation.observation)
    return replace(
        problem,
        imputation=replace(imputation, impute=impute, points=SHORT_POINTS, most_points=MOST_SHORT_POINTS),
    )


def _converge(pilot: Rows, task: Task, population: Population, report: Callable[[Pass], None] | None) -> Pass:
    chunks = chunks_of(pilot, chunk_rows=PILOT_CHUNK)
    passes = LocalPasses(chunks, cut=task.cut, negligible=task.pruning)
    sample = information_sample(chunks, task)
    problem = set_up(passes, sample, task, population, look(passes, sample, task))
    scan = None
    for scan in iterate(population, problem, PILOT_LIMITS):
        if report is not None:
            report(scan)
    assert scan is not None
    return scan


def chunks_of(rows: Rows, *, chunk_rows: int) -> ArrayChunks:
    """Rows that were checked, in chunks."""
    return ArrayChunks.from_arrays(
        rows.values,
        rows.noise,
        rows.weights,
        projection=rows.projection,
        covariates=rows.covariates,
        chunk_rows=chunk_rows,
        checked=True,
    )


def _require_enough(pilot: Rows, n_components: int) -> None:
    present = ~np.isnan(pilot.values)
    weighing = True if pilot.weights is None else pilot.weights > 0
    n_useful = int((present.any(axis=1) & weighing).sum())
    if n_components > n_useful:
        raise InvalidData(
            f"{n_components} components were asked of {n_useful} rows with weight and at least one observed feature. "
            f"Use at most {n_useful} components, or more rows.",
            array="values",
            value=n_useful,
        )
    empty = np.flatnonzero(~present.any(axis=0))
    if len(empty):
        raise InvalidData(
            f"feature {int(empty[0])} is observed in none of the {len(pilot)} rows of the pilot sample. Leave it out.",
            array="values",
            column=int(empty[0]),
        )
