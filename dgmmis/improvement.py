"""A fit that goes on after it has converged: rounds of split and merge, which end no lower than they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from dgmmis.constraints import Constraints
from dgmmis.errors import DgmmisError, InvalidData
from dgmmis.imputation import Unresolved
from dgmmis.imputed_misfit import imputed_misfit
from dgmmis.iterate import Limits, Pass, Problem, Round, iterate, stopping_reason
from dgmmis.misfit import Examiner
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.short_fits import GOES_ON, fit_briefly
from dgmmis.split_merge import Move, movable, moves, rearranged
from dgmmis.starts import pilot_rows
from dgmmis.task import Passes, Task

__all__ = ["Search", "improve"]


TRIED, TRIED_PASSES = 8, 30
SELECTED_PASSES = 60
"""Over the pilot sample, of each move and of the fit itself; and under a selection."""


@dataclass(frozen=True)
class Search:
    """What rounds of split and merge need besides what a fit needs.

    Attributes
    ----------
    passes : Passes
        Over all rows.
    read_pilot : callable
        At most so many rows, drawn at random.
    task : Task
    tell : callable
        Called with what is done, in words, where it takes more than a pass.
    """

    passes: Passes
    read_pilot: Callable[[int], Rows]
    task: Task
    tell: Callable[[str], None]


def improve(
    population: Population, problem: Problem, limits: Limits, search: Search, *, after: Pass | None = None
) -> Iterator[Pass]:
    """Yield the passes of a fit, then those of its rounds of split and merge, in one chain of numbers.

    Where the fit has converged, the moves that one pass suggests are tried on the pilot sample.  The best of them, if
    it beats the fit there, is fitted to all rows.  If its objective is then higher than the fit's by more than the
    tolerance, and by more than the Monte-Carlo error of the difference, it takes the fit's place and the next round
    begins; else the fit stands.  All of this follows from the last pass, so that a fit can go on after any.

    Parameters
    ----------
    population : Population
        Where to start.
    problem : Problem
    limits : Limits
        Of all passes together.
    search : Search
    after : Pass, optional
        Continue after this pass of an earlier attempt, with the same bits.

    Yields
    ------
    Pass
        The last one is that whose population stands, with the reason why the fit stops.  Its number may be that of a
        pass that was yielded before; then it is no new scan.
    """
    if not search.task.split_merge:
        yield from iterate(population, problem, limits, after=after)
        return
    series: _Series | None = _Series.beginning(population, after)
    scan = after
    while series is not None:
        failure = ""
        try:
            for scan in series.passes(problem, limits):
                yield replace(scan, reason="")
        except GOES_ON as error:
            if series.incumbent is None:
                raise
            failure = f"its fit failed: {error}"
        assert scan is not None
        series, last = _next(series, scan, failure, problem, limits, search)
    yield last


@dataclass(frozen=True)
class _Series:
    """Passes from one start: the fit's own, those of a trial, or those of a fit that a trial did not beat.

    Attributes
    ----------
    population : Population
        Where it starts.
    round : Round or None
    before : Pass or None
        The last pass of the chain before the series, or `after`, to continue it.
    event : str
        What is to be said of its first pass.
    after : Pass or None
        The last pass of the series that is there already.
    """

    population: Population
    round: Round | None
    before: Pass | None
    event: str = ""
    after: Pass | None = None

    @classmethod
    def beginning(cls, population: Population, after: Pass | None) -> _Series:
        """Make the first series, or the one that a pass of an earlier attempt belongs to."""
        return cls(population, None if after is None else after.round, after, after=after)

    @property
    def began(self) -> int:
        return 0 if self.round is None else self.round.began

    @property
    def incumbent(self) -> Pass | None:
        """What the series has to beat."""
        return None if self.round is None else self.round.incumbent

    def passes(self, problem: Problem, limits: Limits) -> Iterator[Pass]:
        """Yield the passes as part of the chain, the last one of a trial with its verdict."""
        left = replace(limits, max_passes=limits.max_passes - self.began)
        for scan in iterate(self.population, self._problem(problem), left, after=self._own(self.after)):
            scan = self._in_chain(scan)
            if scan.number == self.began and self.event:
                scan = replace(scan, events=(*scan.events, self.event))
            if scan.reason == "converged" and self.incumbent is not None:
                scan = _with_verdict(scan, self.incumbent, problem, limits)
            yield scan

    def _problem(self, problem: Problem) -> Problem:
        """Let a trial's imputed points be others than the fit's, under another number."""
        completion = None if self.before is None else self.before.completion
        if problem.imputation is None or completion is None or self.after is not None:
            return problem
        return replace(
            problem,
            imputation=replace(
                problem.imputation, succeeds=replace(completion.reference, refresh=completion.drawn)
            ),
        )

    def _own(self, scan: Pass | None) -> Pass | None:
        """Take a pass out of the chain: the series counts its passes from 0."""
        return None if scan is None else _shifted(scan, (), (), -self.began)

    def _in_chain(self, scan: Pass) -> Pass:
        if not self.began or self.before is None:
            return replace(scan, round=self.round)
        earlier = self.before.log_likelihoods[: self.began], self.before.objectives[: self.began]
        return replace(_shifted(scan, *earlier, self.began), round=self.round)


def _shifted(
    scan: Pass, log_likelihoods: tuple[float, ...], objectives: tuple[float, ...], places: int
) -> Pass:
    """Put passes before a pass, or, with a negative number of places, take them away."""
    completion, cut = scan.completion, max(0, -places)
    return replace(
        scan,
        log_likelihoods=(*log_likelihoods, *scan.log_likelihoods[cut:]),
        objectives=(*objectives, *scan.objectives[cut:]),
        completion=None if completion is None else replace(completion, since=completion.since + places),
    )


def _next(
    series: _Series, scan: Pass, failure: str, problem: Problem, limits: Limits, search: Search
) -> tuple[_Series | None, Pass]:
    """Choose the series that follows on one that ended, None if none does, and the pass that stands."""
    if series.incumbent is not None and (failure or scan.standing is not scan):
        return _back(series, scan, failure, limits)
    held = scan.round or Round(0, 0)
    if scan.reason != "converged" or held.lost or held.number >= search.task.split_merge:
        return None, scan
    if scan.number >= limits.max_passes:
        return None, replace(scan, reason="max_passes")
    found = _best_on_pilot(scan, problem, search)
    if found is None:
        return None, scan
    move, population = found
    begun = Round(held.number + 1, scan.number + 1, replace(scan, reason="", round=None))
    return _Series(population, begun, scan, f"split and merge, round {begun.number}: {move}"), scan


def _back(series: _Series, scan: Pass, failure: str, limits: Limits) -> tuple[_Series | None, Pass]:
    """Return to what a trial did not beat; it goes on if the limits are narrower than those it converged under."""
    held, incumbent = series.round, series.incumbent
    assert held is not None
    assert incumbent is not None
    if failure:
        what = f"split and merge, round {held.number}: {failure}"
        incumbent = replace(incumbent, events=(*incumbent.events, what))
    if scan.reason == "max_passes" and not failure:
        return None, replace(incumbent, reason="max_passes")
    if stopping_reason(incumbent, limits) == "converged":
        return None, replace(incumbent, reason="converged")
    if scan.number >= limits.max_passes:
        return None, replace(incumbent, reason="max_passes")
    begun = Round(held.number, scan.number + 1, lost=True)
    return _Series(incumbent.population, begun, scan, "the fit before the trial goes on"), incumbent


def _best_on_pilot(scan: Pass, problem: Problem, search: Search) -> tuple[Move, Population] | None:
    """Find the move that does best on the pilot sample, and where it got there; None if none beats the fit.

    The fit itself is given as many passes over the sample as each move.
    """
    constraints, population = search.task.constraints, scan.population
    may_move = movable(constraints)
    examiner = Examiner.of(population)
    search.tell("looking for components to split and to merge")
    misfit = search.passes.examine(examiner)
    if problem.imputation is not None and scan.completion is not None:
        unobserved = imputed_misfit(examiner, problem.imputation.observation, scan.completion.reference)
        misfit = misfit.completed(unobserved)
    tried = [
        (move, start)
        for move in moves(population.mixture, misfit, may_move)[:TRIED]
        if (start := _start(population, examiner, move, constraints)) is not None
    ]
    if not tried:
        return None
    rows = search.read_pilot(pilot_rows(population.n_components, population.n_features))
    search.tell(f"trying {len(tried)} moves on a random sample of {len(rows):,} rows")
    n_passes = TRIED_PASSES if problem.imputation is None else SELECTED_PASSES
    try:
        fits = fit_briefly(rows, search.task, [population, *(start for _, start in tried)], n_passes)
    except GOES_ON:  # the sample alone cannot be fitted: it has nothing to say
        return None
    own, *others = (-np.inf if isinstance(fit, DgmmisError) else fit.objectives[-1] for fit in fits)
    best = int(np.argmax(others))
    fit = fits[best + 1]
    if isinstance(fit, DgmmisError) or not others[best] > own:
        return None
    search.tell(f"fitting all rows with {tried[best][0]}")
    return tried[best][0], fit.population


def _start(
    population: Population, examiner: Examiner, move: Move, constraints: Constraints
) -> Population | None:
    """Make a move; None if rounding leaves a half of a nearly singular component no covariance."""
    try:
        return rearranged(population, examiner.directions, move, constraints)
    except InvalidData:
        return None


def _with_verdict(trial: Pass, incumbent: Pass, problem: Problem, limits: Limits) -> Pass:
    """Say whether a trial that has converged takes the place of the fit."""
    assert trial.round is not None
    gain, error = _difference(trial, incumbent, problem)
    known = f"{gain:.3g} nats" if not error else f"{gain:.3g} +- {error:.2g} nats"
    if gain > max(limits.tolerance, error):
        outcome, held = f"{known} gained", replace(trial.round, incumbent=None)
    else:
        outcome, held = f"{known}: the fit before it stands", trial.round
    event = f"split and merge, round {held.number}: {outcome}"
    return replace(trial, round=held, events=tuple(dict.fromkeys((*trial.events, event))))


def _difference(trial: Pass, incumbent: Pass, problem: Problem) -> tuple[float, float]:
    """Objective of a trial less that of the fit, and its Monte-Carlo error [total nats].

    Under a selection both are evaluated on the points of the trial: what points of the same number have in common
    then cancels, and the scatter of the replicates' differences is the error.
    """
    gain = trial.objectives[-1] - incumbent.objectives[-1]
    ours, theirs = trial.completion, incumbent.completion
    if problem.imputation is None or ours is None or theirs is None:
        return gain, 0.0
    impute = problem.imputation.impute
    own = impute(incumbent.population, theirs.reference)
    after = impute(trial.population, ours.reference)
    try:
        before = impute(incumbent.population, ours.reference)
    except Unresolved:  # the points of the trial say nothing of the fit
        return gain, float(np.hypot(ours.log_likelihood_error, theirs.log_likelihood_error))
    gain += own.statistics.log_likelihood - before.statistics.log_likelihood
    differences = [
        one.log_likelihood - other.log_likelihood
        for one, other in zip(after.replicates, before.replicates, strict=True)
    ]
    scatter = float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    rows = ours.log_likelihood_error**2 - after.log_likelihood_error**2
    rows += theirs.log_likelihood_error**2 - own.log_likelihood_error**2
    return gain, float(np.sqrt(scatter**2 + max(0.0, rows)))
