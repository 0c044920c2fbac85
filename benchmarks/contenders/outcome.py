"""What every contender hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenes import Array, Scene

__all__ = ["Fit", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """A mixture after some updates of a scene's start.

    Attributes
    ----------
    mean_log_likelihood : float or None
        Per row, of the mixture *before* the last update: what the last expectation step saw; None if the
        program does not tell.
    amplitudes, means, covariances : (K,), (K, D), (K, D, D)
        After the last update.
    """

    mean_log_likelihood: float | None
    amplitudes: Array
    means: Array
    covariances: Array


Fit = Callable[[Scene, int], Outcome]
"""Make so many updates of a scene's start."""
