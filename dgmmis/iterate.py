"""The fit as a generator of passes; it knows nothing of storage, clusters or screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isnan

from dgmmis.constraints import Constraints
from dgmmis.convergence import predicted_gain
from dgmmis.errors import InvalidData
from dgmmis.imputation import Imputed, Unresolved
from dgmmis.imputed_passes import Completion, Imputation
from dgmmis.maximization import events_of, maximize
from dgmmis.mixture import Mixture
from dgmmis.observation import Reference
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

__all__ = ["Limits", "Pass", "Problem", "Round", "Summarize", "iterate", "stopping_reason"]

JUDGED_AT = 0.1
"""Predicted gain [total nats] below which the imputed points are judged."""

UNRESOLVED_FACTOR = 4
"""The points grow by this factor while they leave a chance of being observed unresolved."""

Summarize = Callable[[Population], Statistics]
"""The statistics of all rows under a population: one pass over the data."""


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Attributes
    ----------
    tolerance : float
        Predicted remaining gain [total nats] that counts as converged; 0 means never.
    max_passes : int
        Parameter updates at most.
    """

    tolerance: float
    max_passes: int


@dataclass(frozen=True)
class Problem:
    """What is fitted: the data, what a fit may do, and what is known of the rows that are not there.

    Attributes
    ----------
    summarize : callable
        The only line that touches data.
    constraints : Constraints
    imputation : Imputation or None
        None if nothing was selected.
    """

    summarize: Summarize
    constraints: Constraints
    imputation: Imputation | None = None


@dataclass(frozen=True)
class Round:
    """Where a fit stands that goes on by split and merge.

    Attributes
    ----------
    number : int
        Rounds begun so far.
    began : int
        Number of the scan with which the present series of passes began.
    incumbent : Pass or None
        What a trial under way has to beat; None where none is under way, or it has won.
    lost : bool
        A trial has lost: there will be no more.
    """

    number: int
    began: int
    incumbent: Pass | None = None
    lost: bool = False


@dataclass(frozen=True)
class Pass:
    """One scan of the data: the population it evaluated and what came out.

    Attributes
    ----------
    population : Population
    statistics : Statistics
        Of all rows under `population`, and of the unobserved ones; `rows` and `weight` count observed ones, and
        `log_likelihood` is the exact one of the observed rows.
    log_likelihoods : tuple of float
        Of this scan and all before it; the scan after n updates is number n.
    objectives : tuple of float
        The same plus the logarithm of the prior: what the fit climbs.
    predicted_gain : float
        What further passes would add to the objective [total nats].
    reason : str
        Why the fit stops here: "converged" or "max_passes"; empty while it goes on.
    events : tuple of str
        What a person should know of this pass.
    completion : Completion or None
        Of the unobserved rows, if rows were selected.
    round : Round or None
        Of split and merge, once the first has begun.
    """

    population: Population
    statistics: Statistics
    log_likelihoods: tuple[float, ...]
    objectives: tuple[float, ...]
    predicted_gain: float
    reason: str
    events: tuple[str, ...] = ()
    completion: Completion | None = None
    round: Round | None = None

    @property
    def standing(self) -> Pass:
        """The pass whose population is the best so far: this one, unless it belongs to a trial that has not won."""
        return self if self.round is None or self.round.incumbent is None else self.round.incumbent

    @property
    def mixture(self) -> Mixture:
        """The mixture of the population."""
        return self.population.mixture

    @property
    def number(self) -> int:
        """Parameter updates made before this scan."""
        return len(self.log_likelihoods) - 1

    @property
    def gain(self) -> float:
        """What the last update added to the log-likelihood; infinity at the first scan."""
        return self.log_likelihoods[-1] - self.log_likelihoods[-2] if self.number else float("inf")


def iterate(
    population: Population, problem: Problem, limits: Limits, *, after: Pass | None = None
) -> Iterator[Pass]:
    """Yield one `Pass` per scan until converged or out of passes.

    Parameters
    ----------
    population : Population
        Where to start.
    problem : Problem
    limits : Limits
    after : Pass, optional
        Continue after this pass of an earlier attempt instead of starting from `population`: what follows is
        what would have followed then, bit for bit.
    """
    if after is not None and stopping_reason(after, limits):
        yield _concluded(replace(after, reason=""), problem, limits, None)
        return
    scan = None if after is None else replace(after, reason="")
    while scan is None or not scan.reason:
        if scan is not None:
            population = maximize(scan.population, scan.statistics, problem.constraints)
        scan = _scan(population, problem, limits, scan)
        yield scan


def _scan(population: Population, problem: Problem, limits: Limits, before: Pass | None) -> Pass:
    """Evaluate a population on all rows, observed and not."""
    statistics = problem.summarize(population)
    _require_weight(statistics)
    number = 0 if before is None else before.number + 1
    completion, imputed = None, None
    if problem.imputation is not None:
        reference, since = _reference(population, problem.imputation, before, number)
        reference, since, imputed = _imputed(population, problem.imputation, reference, since, number)
        completion = Completion.of(reference, since, imputed, statistics)
        statistics = problem.imputation.together(statistics, imputed)
    return _judged(population, statistics, problem, limits, before, completion, imputed)


def _imputed(
    population: Population, imputation: Imputation, reference: Reference, since: int, number: int
) -> tuple[Reference, int, Imputed]:
    """Impute with as many points as it takes to tell every chance of being observed from 0."""
    while True:
        try:
            return reference, since, imputation.impute(population, reference)
        except Unresolved:
            grown = reference.refined(population, UNRESOLVED_FACTOR)
            if grown.n_points(imputation.observation) > imputation.most_points:
                raise
            reference, since = grown, number


def _reference(
    population: Population, imputation: Imputation, before: Pass | None, number: int
) -> tuple[Reference, int]:
    """Choose the reference of the imputed points; and the pass from which it has served."""
    if before is None or before.completion is None:
        return imputation.first_reference(population), number
    reference, factor = before.completion.reference, before.completion.refinement
    if factor > 1:
        return reference.refined(population, factor), number
    if not reference.covers(population, imputation.observation):
        return reference.moved_to(population), number
    return reference, before.completion.since


def _require_weight(statistics: Statistics) -> None:
    if not statistics.weight > 0:
        raise InvalidData(
            f"none of the rows has both an observed feature and a weight above 0 ({statistics.rows} rows have a "
            "feature): there is nothing to fit.",
            array="weights",
            value=statistics.weight,
        )


def _judged(
    population: Population,
    statistics: Statistics,
    problem: Problem,
    limits: Limits,
    before: Pass | None,
    completion: Completion | None,
    imputed: Imputed | None,
) -> Pass:
    log_likelihoods = (*(before.log_likelihoods if before else ()), statistics.log_likelihood)
    objective = statistics.log_likelihood + problem.constraints.log_prior(population)
    objectives = (*(before.objectives if before else ()), objective)
    since = completion.since if completion else 0
    gain = predicted_gain(objectives[since:], statistics.scale)
    events = events_of(population, statistics, problem.constraints)
    scan = Pass(population, statistics, log_likelihoods, objectives, gain, "", events, completion)
    return _concluded(scan, problem, limits, imputed)


def _concluded(scan: Pass, problem: Problem, limits: Limits, imputed: Imputed | None) -> Pass:
    """Say why a fit stops after a pass, if it does; its imputed points are judged where it seems to stand."""
    scan = _judged_points(scan, problem, limits, imputed)
    reason = stopping_reason(scan, limits)
    if reason == "converged" and problem.imputation is not None and scan.completion is not None:
        completion = problem.imputation.with_binning_error(scan.population, scan.completion)
        scan = replace(scan, completion=completion)
    return replace(scan, reason=reason)


def _judged_points(scan: Pass, problem: Problem, limits: Limits, imputed: Imputed | None) -> Pass:
    """Judge the imputed points where little is predicted to be gained.

    Whether points grow must not depend on an attempt's tolerance.  A fit that stops earlier, by a loose tolerance,
    learns the points' error and leaves them as they are.
    """
    reason, completion = stopping_reason(scan, limits), scan.completion
    stands = imputed is not None and scan.predicted_gain <= JUDGED_AT
    unknown = completion is not None and isnan(completion.score_error)
    if (
        problem.imputation is None
        or completion is None
        or not (stands or (reason == "converged" and unknown))
    ):
        return scan
    if imputed is None:
        imputed = problem.imputation.impute(scan.population, completion.reference)
    verdict = problem.imputation.judge(scan.population, scan.statistics, completion, imputed)
    if not stands:
        left = replace(verdict, completion=replace(verdict.completion, refinement=1))
        return replace(scan, completion=left.completion, events=scan.events + left.events)
    return replace(
        scan,
        completion=verdict.completion,
        predicted_gain=max(scan.predicted_gain, verdict.predicted_gain),
        events=scan.events + verdict.events,
    )


def stopping_reason(scan: Pass, limits: Limits) -> str:
    """Why a fit with these limits stops after `scan`; empty if it goes on."""
    settled = scan.completion is None or scan.completion.refinement == 1
    if settled and limits.tolerance > 0 and scan.predicted_gain <= limits.tolerance:
        return "converged"
    if scan.number >= limits.max_passes:
        return "max_passes"
    return ""
