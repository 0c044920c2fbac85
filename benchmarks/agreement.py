"""Whether two contenders reached the same numbers."""

from __future__ import annotations

import numpy as np
from contenders.outcome import Outcome
from scenes import Array

__all__ = ["Disagreement", "about_old_means", "largest_difference", "require_agreement"]


class Disagreement(Exception):
    """Two contenders that must agree do not."""


def about_old_means(ours: Outcome, old_means: Array) -> Outcome:
    """Restate covariances as pyGMMis defines them: about the means before the update.

    With dm the mean's step, its covariance is the exact one plus dm dm^T.  Only the first update of a common
    start can be restated; later ones start from different covariances.
    """
    step = ours.means - old_means
    covariances = ours.covariances + step[:, :, None] * step[:, None, :]
    return Outcome(ours.mean_log_likelihood, ours.amplitudes, ours.means, covariances)


def largest_difference(ours: Outcome, theirs: Outcome) -> float:
    """Largest of |d mean log-likelihood|, |d amplitude|, |d mean| / sigma and |d covariance| / sigma^2.

    A log-likelihood that one of them does not tell is left out.
    """
    sigma = np.sqrt(np.diagonal(ours.covariances, axis1=1, axis2=2))
    parts = [
        np.abs(ours.amplitudes - theirs.amplitudes).max(),
        (np.abs(ours.means - theirs.means) / sigma).max(),
        (np.abs(ours.covariances - theirs.covariances) / (sigma[:, :, None] * sigma[:, None, :])).max(),
    ]
    if ours.mean_log_likelihood is not None and theirs.mean_log_likelihood is not None:
        parts.append(np.abs(ours.mean_log_likelihood - theirs.mean_log_likelihood))
    return float(np.max(parts))  # NaN stays NaN


def require_agreement(ours: Outcome, theirs: Outcome, tolerance: float, what: str) -> float:
    """Return the largest difference, refused above `tolerance`.

    Raises
    ------
    Disagreement
        Naming `what` and the difference.
    """
    difference = largest_difference(ours, theirs)
    if not difference <= tolerance:
        raise Disagreement(f"{what}: largest difference {difference:.3g}, allowed {tolerance:g}.")
    return difference
