"""The fit as a generator of passes; it knows nothing of storage, clusters or screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import hypot, inf, isfinite, isnan

from dgmmis.ascent import Ascent, Proposal, Standing
from dgmmis.constraints import Constraints
from dgmmis.convergence import ROUNDING, predicted_gain
from dgmmis.errors import ImputationLimit, InvalidData
from dgmmis.imputation import Imputed, Unresolved
from dgmmis.imputed_passes import Completion, Imputation
from dgmmis.maximization import events_of, maximize
from dgmmis.mixture import Mixture
from dgmmis.observation import Reference
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

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

BURN_IN = 10
"""Updates by expectation maximization before the first step, where a fit does not begin near its optimum."""

CLIMBED = 1e-4
"""Share of its slope that a step must gain at least (Armijo 1966)."""

MOST_REJECTED = 2
"""Steps that may fail from one population before expectation maximization makes the next."""

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
    ascent : Ascent or None
        None leaves it to expectation maximization alone.
    """

    summarize: Summarize
    constraints: Constraints
    imputation: Imputation | None = None
    ascent: Ascent | None = None


@dataclass(frozen=True)
class Stride:
    """How a fit that climbs by steps goes on from where it stands.

    Attributes
    ----------
    length : float
        Share of the proposed step that is tried next.
    rejected : int
        Steps from here that did not climb.
    plain : int
        Updates by expectation maximization that were made last, in a row.
    """

    length: float = 1.0
    rejected: int = 0
    plain: int = 0


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
    """One scan of the data, and where the fit stands after it: at the population scanned, unless that was a step that
    did not climb; then still at the population before.

    Attributes
    ----------
    population : Population
    statistics : Statistics
        Of all rows under `population`, and of the unobserved ones; `rows` and `weight` count observed ones, and
        `log_likelihood` is the exact one of the observed rows.
    log_likelihoods : tuple of float
        Of where the fit stood after each scan up to this one; the scan after n updates is number n.
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
    stride : Stride or None
        Of a fit that climbs by steps, once it does.
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
    stride: Stride | None = None

    @property
    def place(self) -> Standing:
        """Where the fit stands."""
        reference = None if self.completion is None else self.completion.reference
        return Standing(self.population, self.statistics, reference)

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
            population = following(scan, problem)
        try:
            statistics: Statistics | None = problem.summarize(population)
        except InvalidData:
            if scan is None or _step_from(scan, problem) is None:
                raise
            statistics = None  # the step led to where rows have no density
        scan = judged(population, statistics, problem, limits, scan)
        yield scan


def following(scan: Pass, problem: Problem) -> Population:
    """Say what to evaluate after a pass that did not stop."""
    proposal = _step_from(scan, problem)
    if proposal is None or scan.stride is None:
        return maximize(scan.population, scan.statistics, problem.constraints)
    return proposal.place(scan.stride.length).population


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
    step = None if before is None else _step_from(before, problem)
    if before is not None and step is not None:
        try:
            found = None if statistics is None else _evaluated(population, statistics, problem, before)
        except ImputationLimit:
            found = None
        if found is None or not _climbs(found[0], before, step):
            return _concluded(_rejecting(before, step, found), problem, limits, None)
    else:
        assert statistics is not None
        found = _evaluated(population, statistics, problem, before)
    scan, imputed = found
    return _concluded(_striding(scan, problem, before, step is not None), problem, limits, imputed)


def _step_from(scan: Pass, problem: Problem) -> Proposal | None:
    """Propose the step that a fit makes after a pass; None if it goes on by expectation maximization."""
    if problem.ascent is None or scan.stride is None or scan.stride.rejected >= MOST_REJECTED:
        return None
    return problem.ascent.propose(scan.place)


def _climbs(scan: Pass, before: Pass, step: Proposal) -> bool:
    """Tell whether a step gained enough.  On other imputed points it must not lose more than their error."""
    assert before.stride is not None
    gain = scan.objectives[-1] - before.objectives[-1]
    if scan.completion is not None and before.completion is not None:
        if scan.completion.reference is not before.completion.reference:
            error = hypot(scan.completion.log_likelihood_error, before.completion.log_likelihood_error)
            return gain >= -3 * error
    noise = ROUNDING * max(abs(before.objectives[-1]), before.statistics.scale)
    return gain >= CLIMBED * before.stride.length * step.slope - noise


def _rejecting(before: Pass, step: Proposal, found: tuple[Pass, Imputed | None] | None) -> Pass:
    """Stay where the fit stood, and make the next step shorter."""
    assert before.stride is not None
    length, rejected = before.stride.length, before.stride.rejected + 1
    change = -inf if found is None else found[0].objectives[-1] - before.objectives[-1]
    climb = length * step.slope
    fraction = climb / (2 * (climb - change)) if isfinite(change) else 0.0
    return replace(
        before,
        log_likelihoods=(*before.log_likelihoods, before.log_likelihoods[-1]),
        objectives=(*before.objectives, before.objectives[-1]),
        stride=replace(before.stride, length=length * min(max(fraction, 0.1), 0.5), rejected=rejected),
        events=(f"a step of length {length:.2g} would have changed the objective by {change:.3g} nats: not made",),
    )


def _striding(scan: Pass, problem: Problem, before: Pass | None, stepped: bool) -> Pass:
    """Say how the fit goes on from a population it has reached, and what it has still to gain."""
    if problem.ascent is None:
        return scan
    if before is None or before.stride is None:
        begins = _begins(scan, problem)
        return _with_gain(replace(scan, stride=Stride()), problem) if begins else scan
    stride = before.stride
    if stepped:
        length = min(1.0, 2 * stride.length) if problem.ascent.pilot is None else 1.0
        return _with_gain(replace(scan, stride=Stride(length)), problem)
    length = max(stride.length, 0.1) if stride.rejected else stride.length
    return _with_gain(replace(scan, stride=Stride(length, plain=stride.plain + 1)), problem)


def _begins(scan: Pass, problem: Problem) -> bool:
    """Tell whether a fit begins to climb by steps after a pass."""
    if problem.ascent is None or (scan.number and scan.number < BURN_IN):
        return False
    proposal = problem.ascent.propose(scan.place)
    return proposal is not None and (scan.number >= BURN_IN or problem.ascent.is_near(proposal))


def _with_gain(scan: Pass, problem: Problem) -> Pass:
    """Predict the gain by the next step, or by the updates of expectation maximization that go on in its place."""
    assert problem.ascent is not None
    assert scan.stride is not None
    proposal = problem.ascent.propose(scan.place)
    if proposal is not None:
        return replace(scan, predicted_gain=proposal.predicted_gain)
    since = max(0, scan.number - scan.stride.plain, scan.completion.since if scan.completion else 0)
    return replace(scan, predicted_gain=predicted_gain(scan.objectives[since:], scan.statistics.scale))


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
