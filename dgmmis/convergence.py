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


def passes_left(log_likelihoods: Sequence[float], tolerance: float) -> float:
    """Estimate how many more passes bring the predicted gain below `tolerance`; infinity if unknown.

    The predicted gain falls by the same rate per pass as the gains do.
    """
    predicted = predicted_gain(log_likelihoods)
    if predicted <= tolerance:
        return 0.0
    if not np.isfinite(predicted) or tolerance <= 0:
        return float("inf")
    gains = np.diff(np.asarray(log_likelihoods[-5:]))
    rate = float((gains[1:] / gains[:-1]).max())
    return float(np.ceil(np.log(tolerance / predicted) / np.log(rate)))
