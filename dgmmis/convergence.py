"""How much a fit has still to gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["passes_left", "predicted_gain"]

ROUNDING = 8 * float(np.finfo(float).eps)
"""Relative noise of a log-likelihood summed over a tree."""


def predicted_gain(log_likelihoods: Sequence[float], scale: float = 0.0) -> float:
    """Predict what expectation maximization will still add to the log-likelihood [total nats].

    Near an optimum the gains of successive passes fall by a constant rate r, so that all later gains sum
    to gain r / (1 - r) (Aitken's extrapolation).  The largest of the last three rates is taken: early
    gains fall fast while the slow directions are still hidden.

    Parameters
    ----------
    log_likelihoods : sequence of float
        Of every pass so far.
    scale : float
        Size of the sums behind them (row weights times features), which sets their rounding where positive and
        negative terms cancel.

    Returns
    -------
    float
        Infinity while the passes do not tell (fewer than five, or gains that grow); 0 once gains are
        below the rounding of the log-likelihood itself.
    """
    if len(log_likelihoods) < 3:
        return float("inf")
    gains = np.diff(np.asarray(log_likelihoods[-5:]))
    noise = ROUNDING * max(abs(log_likelihoods[-1]), scale)
    if (np.abs(gains[-2:]) <= noise).all():
        return 0.0
    if len(gains) < 4 or (gains <= 0).any():
        return float("inf")
    rate = float((gains[1:] / gains[:-1]).max())
    return float(gains[-1] * rate / (1 - rate)) if rate < 1 else float("inf")


def passes_left(predicted_gains: Sequence[float], tolerance: float) -> float:
    """Estimate how many more passes bring the predicted gain to `tolerance`; infinity if unknown.

    It is taken to go on falling by the rate of the last passes.

    Parameters
    ----------
    predicted_gains : sequence of float
        After every pass so far [total nats].
    tolerance : float
    """
    last = predicted_gains[-4:]
    if last and last[-1] <= tolerance:
        return 0.0
    if len(last) < 2 or not np.isfinite(last).all() or tolerance <= 0 or not last[-1] < last[0]:
        return float("inf")
    rate = (last[-1] / last[0]) ** (1 / (len(last) - 1))
    return float(np.ceil(np.log(tolerance / last[-1]) / np.log(rate)))
