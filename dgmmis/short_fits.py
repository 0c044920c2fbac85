"""Short fits of a random sample from several seedings, and rearranging what one of them found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.chunk import chunks_of
from dgmmis.errors import CollapsedComponent, DgmmisError, ImputationLimit, InvalidData
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.latent_start import latent_values
from dgmmis.local_pass import LocalPasses
from dgmmis.maximization import conform
from dgmmis.misfit import Examiner, Misfit
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.seeding import seeded_mixture
from dgmmis.split_merge import movable, moves
from dgmmis.split_merge import rearranged as moved_population
from dgmmis.task import Task, information_sample, look, set_up

__all__ = [
    "GOES_ON", "LEAST_GAIN", "ShortFit",
    "advanced", "begun", "best_first", "fit_briefly", "halved", "moved_from", "rearranged", "seeded", "short_fits",
]  # fmt: skip

GOES_ON = (CollapsedComponent, ImputationLimit, InvalidData)
"""What may happen to one start while others serve."""

ROUNDING = 1e-10
"""Objectives of short fits that differ by less, relatively, may be those of one optimum, components permuted."""

SHORT_PASSES = 30
SELECTED_PASSES = 150
"""Of a short fit under a selection: what is not seen is learnt slowly."""
HALVED_AFTER = (6, 12)
"""Updates after which the better half of the short fits goes on."""
SEED_ROWS, SEED_ROWS_PER_COMPONENT = 2000, 100
"""Rows that are seeded on: at least so many, and so many per component."""

SHORT_POINTS = 2048
"""Imputed points per component of a short fit, to begin with."""
MOST_SHORT_POINTS = 2**20

MOVES, MOVES_AT_ONCE, MOVED_PASSES = 5, 4, 20
"""Moves at most, proposals tried for each, and updates that a proposal is given."""
LEAST_GAIN = 0.5
"""Gain [total nats of the sample] for which a move is kept; less may be what further updates would give too."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ShortFit:
    """One start on its way.

    Attributes
    ----------
    problem : Problem
    passes : LocalPasses
        Over the sample.
    population : Population
        Where the fit began, or its last move left it.
    last : Pass or None
        Its last pass.
    error : DgmmisError or None
        What ended it.
    earlier : tuple of float
        Mean log-likelihoods of the passes before the last move.
    moved_at : tuple of int
        Places in `path` where a moved population begins.
    """

    problem: Problem
    passes: LocalPasses
    population: Population
    last: Pass | None = None
    error: DgmmisError | None = None
    earlier: tuple[float, ...] = ()
    moved_at: tuple[int, ...] = ()

    @property
    def objective(self) -> float:
        """Log-likelihood plus logarithm of the prior [total nats of the sample]; -inf for one that failed."""
        return -np.inf if self.last is None or self.error is not None else self.last.objectives[-1]

    @property
    def path(self) -> tuple[float, ...]:
        """Mean log-likelihood of every pass."""
        if self.last is None:
            return self.earlier
        weight = self.last.statistics.weight
        return self.earlier + tuple(value / weight for value in self.last.log_likelihoods)

    def advanced(self, updates: int) -> ShortFit:
        """Go on until so many updates are made; a failed one stays as it is."""
        if self.error is not None:
            return self
        fit = self
        try:
            for scan in iterate(self.population, self.problem, Limits(0, updates), after=self.last):
                fit = replace(self, last=scan)
        except GOES_ON as error:
            return replace(fit, error=error)
        return fit


def short_fits(rows: Rows, task: Task, n_starts: int) -> list[Pass | DgmmisError]:
    """Fit rows briefly from several seedings; the last pass of each, or what ended it."""
    return [_outcome(fit) for fit in advanced(seeded(rows, task, n_starts), passes_of(task))]


def fit_briefly(
    rows: Rows, task: Task, populations: Sequence[Population], n_passes: int
) -> list[Pass | DgmmisError]:
    """Fit rows by so many passes from each of several populations; the last pass of each, or what ended it."""
    return [_outcome(fit) for fit in advanced(begun(rows, task, populations), n_passes)]


def _outcome(fit: ShortFit) -> Pass | DgmmisError:
    if fit.error is not None:
        return fit.error
    assert fit.last is not None
    return fit.last


def passes_of(task: Task) -> int:
    """Return the updates of a short fit that goes the whole way."""
    return SHORT_PASSES if task.selecting is None else SELECTED_PASSES


def seeded(rows: Rows, task: Task, n_starts: int) -> list[ShortFit]:
    """Seed starts on rows that are a random sample in random order, without a pass yet."""
    some = rows.take(slice(0, max(SEED_ROWS, SEED_ROWS_PER_COMPONENT * task.n_components)))
    latent = some.values if some.projection is None else latent_values(some)
    populations = []
    for stream in np.random.SeedSequence(task.seed).spawn(n_starts):
        mixture = seeded_mixture(latent, task.n_components, np.random.default_rng(stream), some.weights)
        populations.append(conform(Population(mixture, task.backgrounds), task.constraints))
    return begun(rows, task, populations)


def begun(rows: Rows, task: Task, populations: Sequence[Population]) -> list[ShortFit]:
    """Begin a short fit of rows from each of several populations, without a pass yet."""
    chunks = chunks_of(rows, chunk_rows=len(rows))
    local = LocalPasses(chunks, threads=1, cut=task.cut, negligible=task.pruning)
    sample = information_sample(chunks, task)
    shared = set_up(local, sample, task, populations[0], look(local, sample, task))
    return [ShortFit(_with_own_points(shared, local), local, population) for population in populations]


def halved(fits: list[ShortFit], task: Task, keep: int) -> tuple[list[ShortFit], list[int]]:
    """Give all starts a few passes, the better half more, and so on.

    Under a selection all go the whole way: there, early passes do not tell which will be the best.

    Parameters
    ----------
    fits : list of ShortFit
    task : Task
    keep : int
        Starts that go the whole way at least.

    Returns
    -------
    list of ShortFit
        All of them, as far as each went.
    list of int
        Which of them went the whole way, the best first.
    """
    fits, alive = list(fits), list(range(len(fits)))
    for updates in HALVED_AFTER if task.selecting is None else ():
        _advance(fits, alive, updates)
        alive = sorted(_best_of(fits, alive)[: max(-(-len(alive) // 2), keep)])
    _advance(fits, alive, passes_of(task))
    return fits, _best_of(fits, alive)


def _advance(fits: list[ShortFit], which: list[int], updates: int) -> None:
    for place, fit in zip(which, advanced([fits[place] for place in which], updates), strict=True):
        fits[place] = fit


def advanced(fits: Iterable[ShortFit], updates: int) -> list[ShortFit]:
    """Go on with all of them, two at a time."""
    return _two_at_a_time(lambda fit: fit.advanced(updates), fits)


def _best_of(fits: list[ShortFit], which: list[int]) -> list[int]:
    order = best_first([fits[place].objective for place in which])
    return [which[place] for place in order if fits[which[place]].error is None]


def best_first(objectives: ArrayLike) -> list[int]:
    """Order starts by their objectives; among those that rounding alone tells apart, the first one comes first."""
    values = np.asarray(objectives, dtype=np.float64)
    best = values.max(initial=-np.inf)
    ranks = np.where(values >= best - ROUNDING * abs(best), best, values)
    order: list[int] = np.argsort(-ranks, kind="stable").tolist()
    return order


def rearranged(fit: ShortFit, task: Task) -> ShortFit:
    """Split one component and merge two others while that raises the objective of the sample.

    Each move is fitted briefly, and the best is kept only if it then beats what it came from.

    Parameters
    ----------
    fit : ShortFit
        One that has made a pass.
    task : Task
        Under a selection nothing is moved: imputed points of different populations differ by more than a move gains.
    """
    if task.selecting is not None:
        return fit
    for _ in range(MOVES):
        moved = _best_move(fit, _moved(fit, task))
        if moved is None:
            return fit
        fit = moved
    return fit


def moved_from(
    population: Population, examiner: Examiner, misfit: Misfit, task: Task, most: int
) -> list[Population]:
    """Make the most promising moves; one that rounding leaves no covariance is left out."""
    made = []
    for move in moves(population.mixture, misfit, movable(task.constraints))[:most]:
        with suppress(InvalidData):
            made.append(moved_population(population, examiner.directions, move, task.constraints))
    return made


def _moved(fit: ShortFit, task: Task) -> list[Population]:
    assert fit.last is not None
    population = fit.last.population
    examiner = Examiner.of(population)
    return moved_from(population, examiner, fit.passes.examine(examiner), task, MOVES_AT_ONCE)


def _best_move(fit: ShortFit, proposed: list[Population]) -> ShortFit | None:
    path = fit.path
    moved = replace(fit, last=None, earlier=path, moved_at=(*fit.moved_at, len(path)))
    tried = advanced([replace(moved, population=population) for population in proposed], MOVED_PASSES)
    objectives = [one.objective for one in tried]
    if not tried or max(objectives) <= fit.objective + LEAST_GAIN:
        return None
    return tried[best_first(objectives)[0]]


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


def _two_at_a_time(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))
