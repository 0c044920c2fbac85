"""How a fit steps: whether a step is made, how long the next one is, and what is still to be gained."""

from __future__ import annotations

from dataclasses import replace
from math import hypot, inf, isfinite

from dgmmis.ascent import Ascent
from dgmmis.convergence import ROUNDING, predicted_gain
from dgmmis.fit_pass import Pass, Stride
from dgmmis.imputed_passes import Completion
from dgmmis.proposal import Memory, Proposal

__all__ = ["MOST_SECANTS", "climbs", "rejecting", "step_from", "striding"]

BURN_IN = 10
"""Updates by expectation maximization before the first step, where a fit does not begin near its optimum."""

CREEPS = 0.1
"""Gain [total nats] predicted for expectation maximization below which steps begin before that."""

CLIMBED = 1e-4
"""Share of its slope that a step must gain at least (Armijo 1966)."""

MOST_REJECTED = 2
"""Steps that may fail from one population before expectation maximization makes the next."""

MOST_DRAWN = 32
"""Times that one pass draws points, at most: each time they become four times as many."""

TOO_SHORT = 1.5
"""A step that gains more than this share of what it promised was too short, as where the rows' scores scatter more than
the mixture would make them; one that gains less needs no memory: fresh information does better."""

KEPT = 0.25
"""Share of its promise for which the next step may be a larger share of what is proposed."""

WHOLE = 0.99
"""Share of the predicted gain that a step promises which neither a pilot nor a limit of its reach made shorter."""

MOST_SECANTS = 20
"""Pairs after which the information is taken anew and the memory is dropped."""


def step_from(scan: Pass, ascent: Ascent | None) -> Proposal | None:
    """Propose the step that a fit makes after a pass; None if it goes on by expectation maximization."""
    if ascent is None or scan.stride is None or scan.stride.rejected >= MOST_REJECTED:
        return None
    whole = ascent.propose(scan.place, scan.stride.memory)
    return None if whole is None else whole.scaled(scan.stride.length)


def climbs(scan: Pass, before: Pass, step: Proposal) -> bool:
    """Tell whether a step gained enough.  On other imputed points it must not lose more than their error."""
    assert before.stride is not None
    gain = scan.objectives[-1] - before.objectives[-1]
    ours, theirs = scan.completion, before.completion
    if ours is not None and theirs is not None and not _are_comparable(before, scan):
        return gain >= -3 * hypot(ours.log_likelihood_error, theirs.log_likelihood_error)
    noise = ROUNDING * max(abs(before.objectives[-1]), before.statistics.scale)
    return gain >= CLIMBED * step.slope - noise


def rejecting(before: Pass, step: Proposal, found: Pass | None) -> Pass:
    """Stay where the fit stood, and make the next step shorter."""
    assert before.stride is not None
    stride = before.stride
    length, change = stride.length, -inf if found is None else found.objectives[-1] - before.objectives[-1]
    shorter = length * _fraction(step.slope, change)
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
        return _with_gain(replace(scan, stride=Stride(stride.length, plain=stride.plain + 1)), ascent)
    memory = _memory_after(scan, ascent, before, stride, step)
    kept = scan.objectives[-1] - before.objectives[-1] >= KEPT * step.promised
    length = 1.0 if memory is not None else min(1.0, (2 if kept else 1) * stride.length)
    return _with_gain(replace(scan, stride=Stride(length, memory=memory)), ascent)


def _memory_after(scan: Pass, ascent: Ascent, before: Pass, stride: Stride, step: Proposal) -> Memory | None:
    """Remember a step that gained more than it promised, and those after it, until the chart is made anew."""
    if not _are_comparable(before, scan) or not step.place().inside:
        return None
    if stride.memory is None:
        gained = scan.objectives[-1] - before.objectives[-1]
        whole = stride.length == 1 and step.promised >= WHOLE * step.predicted_gain
        if not (whole and gained > TOO_SHORT * step.promised):
            return None
    memory = step.remembered(stride.memory, scan.place)
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
    """Tell whether a fit begins to climb by steps after a pass.

    It does where expectation maximization seems to be done: that it is, steps must tell.
    """
    is_time = scan.number >= BURN_IN or scan.predicted_gain <= CREEPS
    if scan.number and not is_time:
        return False
    proposal = ascent.propose(scan.place, None)
    return proposal is not None and (is_time or ascent.is_near(proposal))


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
