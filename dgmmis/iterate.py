"""The fit as a generator of passes; it knows nothing of storage, clusters or screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dgmmis.convergence import predicted_gain
from dgmmis.errors import InvalidData
from dgmmis.frozen import Frozen
from dgmmis.maximization import maximize, starved
from dgmmis.mixture import Mixture
from dgmmis.score_statistics import Statistics

__all__ = ["Limits", "Pass", "Summarize", "iterate", "stopping_reason"]

Summarize = Callable[[Mixture], Statistics]
"""The statistics of all rows under a mixture: one pass over the data."""


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
class Pass:
    """One scan of the data: the mixture it evaluated and what came out.

    Attributes
    ----------
    mixture : Mixture
    statistics : Statistics
        Of all rows under `mixture`.
    log_likelihoods : tuple of float
        Of this scan and all before it; the scan after n updates is number n.
    predicted_gain : float
        What further passes would add to the log-likelihood [total nats].
    reason : str
        Why the fit stops here: "converged" or "max_passes"; empty while it goes on.
    events : tuple of str
        What a person should know of this pass.
    """

    mixture: Mixture
    statistics: Statistics
    log_likelihoods: tuple[float, ...]
    predicted_gain: float
    reason: str
    events: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Parameter updates made before this scan."""
        return len(self.log_likelihoods) - 1

    @property
    def gain(self) -> float:
        """What the last update added to the log-likelihood; infinity at the first scan."""
        return self.log_likelihoods[-1] - self.log_likelihoods[-2] if self.number else float("inf")


def iterate(
    mixture: Mixture, summarize: Summarize, frozen: Frozen, limits: Limits, *, after: Pass | None = None
) -> Iterator[Pass]:
    """Yield one `Pass` per scan until converged or out of passes.

    Parameters
    ----------
    mixture : Mixture
        Where to start.
    summarize : callable
        The only line that touches data.
    frozen : Frozen
    limits : Limits
    after : Pass, optional
        Continue after this pass of an earlier attempt instead of starting from `mixture`: what follows is
        what would have followed then, bit for bit.
    """
    history: tuple[float, ...] = ()
    if after is not None:
        if stopping_reason(after, limits):
            yield _judged(after.mixture, after.statistics, after.log_likelihoods, limits)
            return
        mixture, history = maximize(after.mixture, after.statistics, frozen), after.log_likelihoods
    while True:
        statistics = summarize(mixture)
        _require_weight(statistics)
        done = _judged(mixture, statistics, (*history, statistics.log_likelihood), limits)
        yield done
        if done.reason:
            return
        mixture, history = maximize(mixture, statistics, frozen), done.log_likelihoods


def _require_weight(statistics: Statistics) -> None:
    if not statistics.weight > 0:
        raise InvalidData(
            f"none of the rows has both an observed feature and a weight above 0 ({statistics.rows} rows have a "
            "feature): there is nothing to fit.",
            array="weights",
            value=statistics.weight,
        )


def _judged(
    mixture: Mixture, statistics: Statistics, log_likelihoods: tuple[float, ...], limits: Limits
) -> Pass:
    events = tuple(
        f"component {k} holds no rows any more: its mean and covariance stay as they are"
        for k, is_starved in enumerate(starved(statistics))
        if is_starved
    )
    gain = predicted_gain(log_likelihoods, statistics.scale)
    scan = Pass(mixture, statistics, log_likelihoods, gain, "", events)
    return Pass(
        mixture, statistics, log_likelihoods, scan.predicted_gain, stopping_reason(scan, limits), events
    )


def stopping_reason(scan: Pass, limits: Limits) -> str:
    """Why a fit with these limits stops after `scan`; empty if it goes on."""
    if limits.tolerance > 0 and scan.predicted_gain <= limits.tolerance:
        return "converged"
    if scan.number >= limits.max_passes:
        return "max_passes"
    return ""
