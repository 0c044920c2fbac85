"""Several fits that share every pass over the rows, each a state machine that is asked what to evaluate next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dgmmis.errors import CollapsedComponent, DgmmisError, ImputationLimit, InvalidData
from dgmmis.folds import ALL_ROWS, Part
from dgmmis.iterate import Limits, Pass, Problem, following, judged, stopping_reason
from dgmmis.many_statistics import Job, Spoiled
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.stepping import step_from

__all__ = ["CAUTION", "GOES_ON", "Evaluate", "Forgetful", "Keeper", "Outcome", "Trial", "advance"]

GOES_ON = (CollapsedComponent, ImputationLimit, InvalidData)
"""What may end one fit while the others go on."""

TRUSTED_AFTER = 5
"""Updates before what a fit is predicted to gain is believed."""

CAUTION = 10.0
"""A fit is given up when even so many times what it is predicted to gain would leave it behind a rival."""

Evaluate = Callable[[Sequence[Job]], Sequence[Statistics | Spoiled]]
"""The statistics of several jobs, by one pass over the rows."""


@dataclass(frozen=True)
class Trial:
    """One fit of several.

    Attributes
    ----------
    key : str
        Its name among them, fit for a folder.
    population : Population
        Where it starts.
    problem : Problem
    part : Part
        The rows it is fitted to.
    group : str
        Fits of the same group are rivals: all but the best are given up once they cannot win; "" has no rivals.
    tolerance : float, optional
        Its own, instead of that of all.
    """

    key: str
    population: Population
    problem: Problem
    part: Part = ALL_ROWS
    group: str = ""
    tolerance: float | None = None

    def within(self, limits: Limits) -> Limits:
        """Return the limits of all with its own tolerance."""
        return limits if self.tolerance is None else replace(limits, tolerance=self.tolerance)


@dataclass(frozen=True)
class Outcome:
    """How far a fit has come.

    Attributes
    ----------
    scan : Pass or None
        Its last pass.
    error : DgmmisError or None
        What ended it.
    given_up : bool
        A rival is further ahead than `CAUTION` times what this fit is predicted to gain.
    """

    scan: Pass | None = None
    error: DgmmisError | None = None
    given_up: bool = False

    @property
    def objective(self) -> float:
        """Log-likelihood plus logarithm of the prior [total nats]; minus infinity for a fit that failed."""
        if self.scan is None or self.error is not None:
            return float("-inf")
        return self.scan.objectives[-1]

    @property
    def population(self) -> Population:
        """The population of the last pass; raises `AttributeError` for a fit that made none."""
        if self.scan is None:
            raise AttributeError("the fit made no pass")
        return self.scan.population

    @property
    def is_over(self) -> bool:
        """Whether it makes no further pass."""
        return self.error is not None or self.given_up or (self.scan is not None and bool(self.scan.reason))

    @property
    def converged(self) -> bool:
        """Whether it reached its tolerance."""
        return self.scan is not None and self.scan.reason == "converged"


class Keeper(Protocol):
    """Remembers the passes of fits, so that none is made twice."""

    def find(self, key: str, number: int) -> Pass | None:
        """Return pass `number` of a fit, or None."""

    def keep(self, key: str, scan: Pass) -> None:
        """Remember a pass."""


class Forgetful:
    """Remembers nothing."""

    def find(self, key: str, number: int) -> None:
        """Find nothing."""

    def keep(self, key: str, scan: Pass) -> None:
        """Forget it."""


def advance(
    trials: Sequence[Trial],
    evaluate: Evaluate,
    limits: Limits,
    keeper: Keeper | None = None,
    begun: Mapping[str, Outcome] | None = None,
) -> Iterator[dict[str, Outcome]]:
    """Yield the outcomes by key after each round, until all fits are over.

    In a round every fit that goes on makes one pass, all of them sharing one load of each chunk.  What was kept of an
    earlier process is read instead of made again; so a fit has the same bits whenever processes died.

    Parameters
    ----------
    trials : sequence of Trial
    evaluate : callable
    limits : Limits
        Of each fit.
    keeper : Keeper, optional
    begun : dict of Outcome, optional
        By key, where fits go on from; these limits decide anew whether one is over.
    """
    keeper, begun = keeper or Forgetful(), begun or {}
    outcomes = {
        trial.key: _reopened(begun.get(trial.key, Outcome()), trial.within(limits)) for trial in trials
    }
    yield dict(outcomes)
    while going := [trial for trial in trials if not outcomes[trial.key].is_over]:
        outcomes |= _round(going, outcomes, evaluate, limits, keeper)
        outcomes |= _without_hope(going, outcomes, trials)
        yield dict(outcomes)


def _reopened(outcome: Outcome, limits: Limits) -> Outcome:
    if outcome.scan is None or outcome.error is not None:
        return outcome
    return replace(outcome, scan=replace(outcome.scan, reason=stopping_reason(outcome.scan, limits)))


def _round(
    going: Sequence[Trial],
    outcomes: dict[str, Outcome],
    evaluate: Evaluate,
    limits: Limits,
    keeper: Keeper,
) -> dict[str, Outcome]:
    """Make one pass for each of the fits that go on."""
    after: dict[str, Outcome] = {}
    asked: list[tuple[Trial, Population]] = []
    for trial in going:
        before = outcomes[trial.key].scan
        found = keeper.find(trial.key, 0 if before is None else before.number + 1)
        if found is not None:
            after[trial.key] = Outcome(replace(found, reason=stopping_reason(found, trial.within(limits))))
            continue
        try:
            asked.append((trial, _next(trial, before)))
        except GOES_ON as error:
            after[trial.key] = replace(outcomes[trial.key], error=error)
    found_all = evaluate([(population, trial.part) for trial, population in asked]) if asked else ()
    for (trial, population), statistics in zip(asked, found_all, strict=True):
        after[trial.key] = _absorbed(trial, population, statistics, trial.within(limits), outcomes[trial.key])
        scan = after[trial.key].scan
        if scan is not None and after[trial.key].error is None:
            keeper.keep(trial.key, scan)
    return after


def _next(trial: Trial, before: Pass | None) -> Population:
    return trial.population if before is None else following(before, trial.problem)


def _absorbed(
    trial: Trial, population: Population, statistics: Statistics | Spoiled, limits: Limits, before: Outcome
) -> Outcome:
    found = None if isinstance(statistics, Spoiled) else statistics
    if isinstance(statistics, Spoiled) and not _is_wild_step(trial, statistics, before):
        return replace(before, error=statistics.error)
    try:
        return Outcome(judged(population, found, trial.problem, limits, before.scan))
    except GOES_ON as error:
        return replace(before, error=error)


def _is_wild_step(trial: Trial, spoiled: Spoiled, before: Outcome) -> bool:
    """Tell whether a step led to where rows have no density: then a shorter one is made."""
    stepped = before.scan is not None and step_from(before.scan, trial.problem.ascent) is not None
    return stepped and isinstance(spoiled.error, InvalidData)


def _without_hope(
    going: Sequence[Trial], outcomes: dict[str, Outcome], trials: Sequence[Trial]
) -> dict[str, Outcome]:
    """Give up the fits that a rival has left behind further than they are likely to come."""
    best: dict[str, float] = {}
    for trial in trials:
        best[trial.group] = max(best.get(trial.group, float("-inf")), outcomes[trial.key].objective)
    lost = {}
    for trial in going:
        outcome = outcomes[trial.key]
        if outcome.is_over or outcome.scan is None or outcome.scan.number < TRUSTED_AFTER:
            continue
        reach = outcome.objective + CAUTION * outcome.scan.predicted_gain
        if trial.group and reach < best[trial.group]:
            lost[trial.key] = replace(outcome, given_up=True)
    return lost
