"""Where a fit starts: several seedings of a random sample, short fits, moves, and the best of them converged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dgmmis.chunk import chunks_of
from dgmmis.climbing import PILOT_CHUNK, Pilot
from dgmmis.errors import InvalidData
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.optima import same_optimum
from dgmmis.packed import packed_size
from dgmmis.pilot_moves import climb_higher
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.short_fits import GOES_ON, ShortFit, best_first, halved, passes_of, rearranged, seeded
from dgmmis.task import N_STARTS, Task, information_sample, look, set_up

__all__ = [
    "PILOT_ROWS", "Start", "Trial",
    "choose_start", "n_parameters", "objective_on", "pilot_rows",
]  # fmt: skip

SELECTED_STARTS = 8
"""Under a selection, where all go the whole way."""
FINALISTS = 3
"""Starts that go the whole way."""
PILOT_LIMITS = Limits(tolerance=0.1, max_passes=500)
"""Of the sample's own fit; fixed, so that a fit's start depends on no budget."""
ROWS_PER_PARAMETER = 50
LEAST_PILOT_ROWS = 5_000
PILOT_ROWS = 200_000
"""Rows of the random sample that a catalogue keeps and a fit starts on."""


@dataclass(frozen=True)
class Trial:
    """One start and how it went.

    Attributes
    ----------
    path : tuple of float
        Mean log-likelihood on the sample of every pass of its short fit [nats per unit of weight].
    fate : str
        "finished"; "behind": left after its last pass because others were ahead; or "failed".
    reason : str
        Why it failed, in words; else empty.
    moved_at : tuple of int
        Places in `path` where one component had been split and two others merged.
    optimum : int or None
        Which distinct optimum of the sample it led to, in the order they were found; None if it was not followed.
    """

    path: tuple[float, ...]
    fate: str
    reason: str = ""
    moved_at: tuple[int, ...] = ()
    optimum: int | None = None


@dataclass(frozen=True)
class Start:
    """Where a fit starts, and how it was found.

    Attributes
    ----------
    population : Population
    pilot_rows : int
        Rows of the random sample.
    mean_log_likelihoods : tuple of float
        On the sample, where each start's short fit ended; NaN for one that failed.
    chosen : int
        Which of them.
    pilot_passes : int
        Further updates on the sample that the best one was given, those of moves tried there among them.
    trials : tuple of Trial
        All starts, as far as each went; empty if the start was given.
    carried : tuple of float
        Objective on all rows [total nats] of each distinct optimum that was carried there; empty if only one was.
    """

    population: Population
    pilot_rows: int
    mean_log_likelihoods: tuple[float, ...]
    chosen: int
    pilot_passes: int
    trials: tuple[Trial, ...] = ()
    carried: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Optimum:
    """An optimum of the sample that a start led to; `passes` were made after its short fit."""

    trial: int
    population: Population
    objective: float
    passes: int


def n_parameters(n_components: int, n_features: int) -> int:
    """Free parameters of a mixture without constraints."""
    return n_components * (1 + n_features + packed_size(n_features)) - 1


def pilot_rows(n_components: int, n_features: int) -> int:
    """Rows a pilot needs: 50 for each parameter, at least 5,000."""
    return max(LEAST_PILOT_ROWS, ROWS_PER_PARAMETER * n_parameters(n_components, n_features))


def choose_start(
    pilot: Rows,
    task: Task,
    *,
    whole: bool,
    report: Callable[[Pass], None] | None = None,
    on_all_rows: Callable[[Population], float] | None = None,
) -> Start:
    """Seed several populations on a random sample, fit each briefly, and fit the best to convergence there.

    Starts matter more than the last digits of a fit: the best of a few short fits is worth more than
    any one of them converged.

    Parameters
    ----------
    pilot : Rows
        A random sample in random order, so that its first rows are one too.
    task : Task
        It says how many distinct optima of the sample are carried to all rows.
    whole : bool
        The sample is all the data: then leave the convergence of a single start to the fit itself, if its short fit
        saw all of them.
    report : callable, optional
        Called with every pass over the sample.
    on_all_rows : callable, optional
        The objective of a population on all rows [total nats], by which the optima carried there are compared;
        without it, their objective on the sample decides.

    Raises
    ------
    InvalidData
        If fewer rows than components have a feature at all, or some feature has no value.
    CollapsedComponent, ImputationLimit
        If no start survived.
    """
    _require_enough(pilot, task.n_components)
    sample = pilot.take(slice(0, pilot_rows(task.n_components, pilot.latent_features)))
    n_starts = N_STARTS if task.selecting is None else SELECTED_STARTS
    fits, order = halved(seeded(sample, task, n_starts), task, max(FINALISTS, task.carried))
    goes_on = whole and task.carried == 1 and len(sample) == len(pilot)
    search = _Search(fits, pilot, task, None if goes_on else report or _say_nothing)
    for place in order:
        if len(search.optima) < task.carried:
            search.follow(place)
    for place in best_first([fit.objective for fit in fits]):
        if not search.optima and place not in order:
            search.follow(place)
    if not search.optima:
        raise next(fit.error for fit in search.fits if fit.error is not None)
    return search.start(on_all_rows)


def objective_on(problem: Problem, population: Population) -> float:
    """Objective of a population [total nats]: one scan of the rows; -inf if it cannot be fitted to them."""
    try:
        return next(iterate(population, problem, Limits(0, 0))).objectives[-1]
    except GOES_ON:
        return -np.inf


class _Search:
    """Follows starts to optima, one after the other.

    Parameters
    ----------
    fits : list of ShortFit
    pilot : Rows
    task : Task
    report : callable or None
        Told of every pass over the pilot; None if nothing is fitted there.
    """

    def __init__(
        self,
        fits: list[ShortFit],
        pilot: Rows,
        task: Task,
        report: Callable[[Pass], None] | None,
    ) -> None:
        self.fits, self.optima = fits, list[_Optimum]()
        self._pilot, self._task, self._report = pilot, task, report
        self._led_to: dict[int, int] = {}

    def follow(self, place: int) -> None:
        """Follow one start to its end, and keep the optimum if it is another than those before."""
        fit = self.fits[place].advanced(passes_of(self._task))
        if fit.error is None:
            fit = rearranged(fit, self._task)
        self.fits[place] = fit
        if fit.last is None or fit.error is not None:
            return
        try:
            found = self._optimum(place, fit.last)
        except GOES_ON as error:
            self.fits[place] = replace(fit, error=error)
            return
        self._led_to[place] = self._number_of(found)

    def _optimum(self, place: int, last: Pass) -> _Optimum:
        if self._report is None:
            return _Optimum(place, last.population, last.objectives[-1], 0)
        counted = _Counted(self._report)
        climb = _climber(self._pilot, self._task, counted)
        coarsely = partial(climb, coarse=True)
        last = climb_higher(self._pilot, self._task, last.population, coarsely, climb)
        return _Optimum(place, last.population, last.objectives[-1], counted.updates)

    def _number_of(self, found: _Optimum) -> int:
        for number, other in enumerate(self.optima):
            gap = found.objective - other.objective
            if same_optimum(found.population.mixture, other.population.mixture, gap):
                return number
        self.optima.append(found)
        return len(self.optima) - 1

    def start(self, on_all_rows: Callable[[Population], float] | None) -> Start:
        """Take the best of the optima, and tell how all starts went."""
        objectives = [optimum.objective for optimum in self.optima]
        if len(self.optima) > 1 and on_all_rows is not None:
            objectives = [on_all_rows(optimum.population) for optimum in self.optima]
        best = self.optima[best_first(objectives)[0]]
        trials = tuple(
            _trial(fit, self._led_to.get(place), self._task) for place, fit in enumerate(self.fits)
        )
        return Start(
            best.population,
            len(self._pilot),
            tuple(float("nan") if trial.fate == "failed" else trial.path[-1] for trial in trials),
            best.trial,
            best.passes,
            trials,
            tuple(objectives) if len(objectives) > 1 else (),
        )


def _trial(fit: ShortFit, optimum: int | None, task: Task) -> Trial:
    if fit.error is not None:
        return Trial(fit.path, "failed", f"{type(fit.error).__name__}: {fit.error}", fit.moved_at)
    whole_way = bool(fit.moved_at) or (fit.last is not None and fit.last.number >= passes_of(task))
    return Trial(fit.path, "finished" if whole_way else "behind", "", fit.moved_at, optimum)


def _say_nothing(scan: Pass) -> None:
    """Hear of a pass that nobody asked about."""


class _Counted:
    """Hears of passes, counts the updates among them, and tells of them further."""

    def __init__(self, report: Callable[[Pass], None]) -> None:
        self.updates, self._report = 0, report

    def __call__(self, scan: Pass) -> None:
        self.updates += scan.number > 0
        self._report(scan)


def _climber(pilot: Rows, task: Task, report: Callable[[Pass], None]) -> Callable[..., Iterator[Pass]]:
    """Make what yields the passes of a fit to the whole sample from a population, coarsely if asked to."""
    chunks = chunks_of(pilot, chunk_rows=PILOT_CHUNK)
    passes = LocalPasses(chunks, cut=task.cut, negligible=task.pruning)
    sample = information_sample(chunks, task)
    seen, tried_on = look(passes, sample, task), Pilot.of(chunks, task)
    finely = tried_on.knowing_curvature(task)

    def climb(population: Population, *, coarse: bool = False) -> Iterator[Pass]:
        problem = set_up(passes, sample, task, population, seen)
        problem = (tried_on if coarse else finely).climbing(problem, task, population, coarse=coarse)
        for scan in iterate(population, problem, PILOT_LIMITS):
            report(scan)
            yield scan

    return climb


def _require_enough(pilot: Rows, n_components: int) -> None:
    present = ~np.isnan(pilot.values)
    weighing = True if pilot.weights is None else pilot.weights > 0
    n_useful = int((present.any(axis=1) & weighing).sum())
    if n_useful == 0:
        raise InvalidData(
            f"none of the {len(pilot)} rows looked at has both an observed feature and a weight above 0: there is "
            "nothing to fit. Give rows with values.",
            array="values",
            value=0,
        )
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
