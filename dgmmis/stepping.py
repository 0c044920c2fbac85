"""How a fit steps: whether a step is made, how long the next one is, and what is still to be gained."""

from __future__ import annotations

from dataclasses import replace
from math import hypot, inf, isfinite

from dgmmis.ascent import Ascent
from dgmmis.convergence import ROUNDING, predicted_gain
from dgmmis.fit_pass import Pass, Stride
from dgmmis.imputed_passes import Completion
from dgmmis.proposal import Memory, Proposal
from dgmmis.secants import Secants

__all__ = ["MOST_SECANTS", "climbs", "rejecting", "step_from", "striding"]

BURN_IN = 10
"""Updates by expectation maximization before the first step, where a fit does not begin near its optimum."""

CLIMBED = 1e-4
"""Share of its slope that a step must gain at least (Armijo 1966)."""

MOST_REJECTED = 2
"""Steps that may fail from one population before expectation maximization makes the next."""

MOST_DRAWN = 32
"""Times that one pass draws points, at most: each time they become four times as many."""

KEPT_PROMISE = 0.5, 1.5
"""A step that gains about what it promised, or that a pilot has tried, needs no memory: fresh information does better.
One that gains less went too far; one that gains more was too short, as where the rows' scores scatter more than the
mixture would make them."""

WHOLE = 0.99
"""Share of the predicted gain that a step promises which neither a pilot nor a limit of its reach made shorter."""

MOST_SECANTS = 20
"""Pairs after which the information is taken anew and the memory is dropped."""


def step_from(scan: Pass, ascent: Ascent | None) -> Proposal | None:
    """Propose the step that a fit makes after a pass; None if it goes on by expectation maximization."""
    if ascent is None or scan.stride is None or scan.stride.rejected >= MOST_REJECTED:
        return None
    return ascent.propose(scan.place, scan.stride.memory)


def climbs(scan: Pass, before: Pass, step: Proposal) -> bool:
    """Tell whether a step gained enough.  On other imputed points it must not lose more than their error."""
    assert before.stride is not None
    gain = scan.objectives[-1] - before.objectives[-1]
    ours, theirs = scan.completion, before.completion
    if ours is not None and theirs is not None and not _are_comparable(before, scan):
        return gain >= -3 * hypot(ours.log_likelihood_error, theirs.log_likelihood_error)
    noise = ROUNDING * max(abs(before.objectives[-1]), before.statistics.scale)
    return gain >= CLIMBED * before.stride.length * step.slope - noise


def rejecting(before: Pass, step: Proposal, found: Pass | None) -> Pass:
    """Stay where the fit stood, and make the next step shorter."""
    assert before.stride is not None
    stride = before.stride
    length, change = stride.length, -inf if found is None else found.objectives[-1] - before.objectives[-1]
    shorter = length * _fraction(length * step.slope, change)
    event = f"a step of length {length:.2g} would have changed the objective by {change:.3g} nats: not made"
    return replace(
        before,
        log_likelihoods=(*before.log_likelihoods, before.log_likelihoods[-1]),
        objectives=(*before.objectives, before.objectives[-1]),
        stride=replace(stride, length=shorter, rejected=stride.rejected + 1),
        events=(event,),
        completion=_with_drawn(before.completion, None if found is None else found.completion),
    )


def _with_drawn(completion: Completion | None, trial: Completion | None) -> Completion | None:
    """Note the points that a step drew, so that no others get their number."""
    if completion is None:
        return None
    last = completion.drawn + MOST_DRAWN if trial is None else trial.reference.refresh
    return replace(completion, drawn=max(completion.drawn, last))


def striding(scan: Pass, ascent: Ascent | None, before: Pass | None, step: Proposal | None) -> Pass:
    """Say how the fit goes on from a population it has reached, and what it has still to gain."""
    if ascent is None:
        return scan
    if before is None or before.stride is None:
        begins = _begins(scan, ascent)
        return _with_gain(replace(scan, stride=Stride()), ascent) if begins else scan
    stride = before.stride
    if step is None:
        memory = _forgetful(scan, ascent) if stride.rejected else None
        return _with_gain(replace(scan, stride=Stride(plain=stride.plain + 1, memory=memory)), ascent)
    memory = _memory_after(scan, ascent, before, stride, step)
    length = 1.0 if memory is not None else min(1.0, 2 * stride.length)
    return _with_gain(replace(scan, stride=Stride(length, memory=memory)), ascent)


def _forgetful(scan: Pass, ascent: Ascent) -> Memory | None:
    """Begin anew with the information of complete data, where that of the sample misled; None where nothing steps."""
    proposal = ascent.propose(scan.place, None)
    if proposal is None:
        return None
    chart = proposal.chart
    return Memory(chart.origin, chart.counts, proposal.at, Secants.none(chart.n_parameters), plain=True)


def _memory_after(scan: Pass, ascent: Ascent, before: Pass, stride: Stride, step: Proposal) -> Memory | None:
    """Remember a step that did not gain what it promised, and those after it, until the chart is made anew."""
    length, held = stride.length, stride.memory
    if not _are_comparable(before, scan) or not step.place(length).inside:
        return None
    if held is None:
        gained = scan.objectives[-1] - before.objectives[-1]
        least, most = KEPT_PROMISE
        whole = length == 1 and step.promised >= WHOLE * step.predicted_gain
        too_short = whole and gained > most * step.promised  # which a pilot cannot make longer
        kept = length == 1 and gained >= least * step.promised
        if not too_short and (kept or ascent.pilot is not None):
            return None
    memory = step.remembered(held, length, scan.place)
    return None if len(memory.secants) >= MOST_SECANTS else memory


def _are_comparable(before: Pass, scan: Pass) -> bool:
    """Tell whether two passes saw the same imputed points."""
    ours, theirs = scan.completion, before.completion
    return ours is None or theirs is None or ours.reference is theirs.reference


def _fraction(climb: float, change: float) -> float:
    """Share of a step at which a parabola through its slope and its change has its maximum, within limits."""
    fraction = climb / (2 * (climb - change)) if isfinite(change) else 0.0
    return min(max(fraction, 0.1), 0.5)


def _begins(scan: Pass, ascent: Ascent) -> bool:
    """Tell whether a fit begins to climb by steps after a pass."""
    if scan.number and scan.number < BURN_IN:
        return False
    proposal = ascent.propose(scan.place, None)
    return proposal is not None and (scan.number >= BURN_IN or ascent.is_near(proposal))


def _with_gain(scan: Pass, ascent: Ascent) -> Pass:
    """Predict the gain by the next step, or by the updates of expectation maximization that go on in its place."""
    stride = scan.stride
    assert stride is not None
    proposal = ascent.propose(scan.place, stride.memory)
    if proposal is None and stride.memory is not None:
        stride = replace(stride, memory=None)
        proposal = ascent.propose(scan.place, None)
    if proposal is not None:
        return replace(scan, stride=stride, predicted_gain=proposal.predicted_gain)
    since = max(0, scan.number - stride.plain, scan.completion.since if scan.completion else 0)
    scan = replace(scan, stride=stride)
    return replace(scan, predicted_gain=predicted_gain(scan.objectives[since:], scan.statistics.scale))
