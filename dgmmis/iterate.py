"""The fit as a generator of passes; it knows nothing of storage, clusters or screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isnan

from dgmmis.ascent import Ascent
from dgmmis.constraints import Constraints
from dgmmis.convergence import predicted_gain
from dgmmis.errors import ImputationLimit, InvalidData
from dgmmis.fit_pass import Limits, Pass, Round, Stride
from dgmmis.imputation import Imputed, Unresolved
from dgmmis.imputed_passes import Completion, Imputation
from dgmmis.maximization import events_of, maximize
from dgmmis.observation import Reference
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.stepping import climbs, rejecting, step_from, striding

__all__ = [
    "Limits",
    "Pass",
    "Problem",
    "Round",
    "Stride",
    "Summarize",
    "following",
    "iterate",
    "judged",
    "stopping_reason",
]

JUDGED_AT = 0.1
"""Predicted gain [total nats] below which the imputed points are judged."""

UNRESOLVED_FACTOR = 4
"""The points grow by this factor while they leave a chance of being observed unresolved."""

Summarize = Callable[[Population], Statistics]
"""The statistics of all rows under a population: one pass over the data."""


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
    ascent : Ascent or None
        None leaves it to expectation maximization alone.
    """

    summarize: Summarize
    constraints: Constraints
    imputation: Imputation | None = None
    ascent: Ascent | None = None


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
            population = following(scan, problem)
        try:
            statistics: Statistics | None = problem.summarize(population)
        except InvalidData:
            if scan is None or step_from(scan, problem.ascent) is None:
                raise
            statistics = None  # the step led to where rows have no density
        scan = judged(population, statistics, problem, limits, scan)
        yield scan


def following(scan: Pass, problem: Problem) -> Population:
    """Say what to evaluate after a pass that did not stop."""
    proposal = step_from(scan, problem.ascent)
    if proposal is None:
        return maximize(scan.population, scan.statistics, problem.constraints)
    return proposal.place().population


def judged(
    population: Population,
    statistics: Statistics | None,
    problem: Problem,
    limits: Limits,
    before: Pass | None,
) -> Pass:
    """Make a pass of what the observed rows said of a population; the unobserved ones are added here.

    Parameters
    ----------
    population : Population
        What `following` said, or where the fit starts.
    statistics : Statistics or None
        Of the observed rows; None if a step led to where they have no density.
    problem : Problem
    limits : Limits
    before : Pass or None
    """
    step = None if before is None else step_from(before, problem.ascent)
    if before is not None and step is not None:
        try:
            found = None if statistics is None else _evaluated(population, statistics, problem, before)
        except ImputationLimit:
            found = None
        if found is None or not climbs(found[0], before, step):
            return _concluded(
                rejecting(before, step, None if found is None else found[0]),
                problem,
                limits,
                None,
            )
    else:
        assert statistics is not None
        found = _evaluated(population, statistics, problem, before)
    scan, imputed = found
    return _concluded(striding(scan, problem.ascent, before, step), problem, limits, imputed)


def _evaluated(
    population: Population, statistics: Statistics, problem: Problem, before: Pass | None
) -> tuple[Pass, Imputed | None]:
    """Add the unobserved rows, and predict the gain as expectation maximization would."""
    _require_weight(statistics)
    number = 0 if before is None else before.number + 1
    completion, imputed = None, None
    if problem.imputation is not None:
        reference, since = _reference(population, problem.imputation, before, number)
        reference, since, imputed = _imputed(population, problem.imputation, reference, since, number)
        completion = Completion.of(reference, since, imputed, statistics)
        if before is not None and before.completion is not None:
            completion = replace(completion, drawn=max(completion.drawn, before.completion.drawn))
        statistics = problem.imputation.together(statistics, imputed)
    log_likelihoods = (*(before.log_likelihoods if before else ()), statistics.log_likelihood)
    objective = statistics.log_likelihood + problem.constraints.log_prior(population)
    objectives = (*(before.objectives if before else ()), objective)
    gain = predicted_gain(objectives[completion.since if completion else 0 :], statistics.scale)
    events = events_of(population, statistics, problem.constraints)
    return Pass(population, statistics, log_likelihoods, objectives, gain, "", events, completion), imputed


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
    last = replace(reference, refresh=before.completion.drawn)
    if factor > 1:
        return last.refined(population, factor), number
    if not reference.covers(population, imputation.observation):
        return last.moved_to(population), number
    return reference, before.completion.since


def _require_weight(statistics: Statistics) -> None:
    if not statistics.weight > 0:
        raise InvalidData(
            f"none of the rows has both an observed feature and a weight above 0 ({statistics.rows} rows have a "
            "feature): there is nothing to fit.",
            array="weights",
            value=statistics.weight,
        )


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
