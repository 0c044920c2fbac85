"""How a fit steps: whether a step is made, how long the next one is, and what is still to be gained."""

from __future__ import annotations

from dataclasses import replace
from math import hypot, inf, isfinite

from dgmmis.ascent import Ascent, Proposal
from dgmmis.convergence import ROUNDING, predicted_gain
from dgmmis.fit_pass import Pass, Stride

__all__ = ["climbs", "rejecting", "step_from", "striding"]

BURN_IN = 10
"""Updates by expectation maximization before the first step, where a fit does not begin near its optimum."""

CLIMBED = 1e-4
"""Share of its slope that a step must gain at least (Armijo 1966)."""

MOST_REJECTED = 2
"""Steps that may fail from one population before expectation maximization makes the next."""


def step_from(scan: Pass, ascent: Ascent | None) -> Proposal | None:
    """Propose the step that a fit makes after a pass; None if it goes on by expectation maximization."""
    if ascent is None or scan.stride is None or scan.stride.rejected >= MOST_REJECTED:
        return None
    return ascent.propose(scan.place)


def climbs(scan: Pass, before: Pass, step: Proposal) -> bool:
    """Tell whether a step gained enough.  On other imputed points it must not lose more than their error."""
    assert before.stride is not None
    gain = scan.objectives[-1] - before.objectives[-1]
    ours, theirs = scan.completion, before.completion
    if ours is not None and theirs is not None and ours.reference is not theirs.reference:
        return gain >= -3 * hypot(ours.log_likelihood_error, theirs.log_likelihood_error)
    noise = ROUNDING * max(abs(before.objectives[-1]), before.statistics.scale)
    return gain >= CLIMBED * before.stride.length * step.slope - noise


def rejecting(before: Pass, step: Proposal, found: Pass | None) -> Pass:
    """Stay where the fit stood, and make the next step shorter."""
    assert before.stride is not None
    length, rejected = before.stride.length, before.stride.rejected + 1
    change = -inf if found is None else found.objectives[-1] - before.objectives[-1]
    climb = length * step.slope
    fraction = climb / (2 * (climb - change)) if isfinite(change) else 0.0
    return replace(
        before,
        log_likelihoods=(*before.log_likelihoods, before.log_likelihoods[-1]),
        objectives=(*before.objectives, before.objectives[-1]),
        stride=replace(before.stride, length=length * min(max(fraction, 0.1), 0.5), rejected=rejected),
        events=(
            f"a step of length {length:.2g} would have changed the objective by {change:.3g} nats: not made",
        ),
    )


def striding(scan: Pass, ascent: Ascent | None, before: Pass | None, stepped: bool) -> Pass:
    """Say how the fit goes on from a population it has reached, and what it has still to gain."""
    if ascent is None:
        return scan
    if before is None or before.stride is None:
        begins = _begins(scan, ascent)
        return _with_gain(replace(scan, stride=Stride()), ascent) if begins else scan
    stride = before.stride
    if stepped:
        length = min(1.0, 2 * stride.length) if ascent.pilot is None else 1.0
        return _with_gain(replace(scan, stride=Stride(length)), ascent)
    length = max(stride.length, 0.1) if stride.rejected else stride.length
    return _with_gain(replace(scan, stride=Stride(length, plain=stride.plain + 1)), ascent)


def _begins(scan: Pass, ascent: Ascent) -> bool:
    """Tell whether a fit begins to climb by steps after a pass."""
    if scan.number and scan.number < BURN_IN:
        return False
    proposal = ascent.propose(scan.place)
    return proposal is not None and (scan.number >= BURN_IN or ascent.is_near(proposal))


def _with_gain(scan: Pass, ascent: Ascent) -> Pass:
    """Predict the gain by the next step, or by the updates of expectation maximization that go on in its place."""
    assert scan.stride is not None
    proposal = ascent.propose(scan.place)
    if proposal is not None:
        return replace(scan, predicted_gain=proposal.predicted_gain)
    since = max(0, scan.number - scan.stride.plain, scan.completion.since if scan.completion else 0)
    return replace(scan, predicted_gain=predicted_gain(scan.objectives[since:], scan.statistics.scale))
