"""The maximization step: the mixture that statistics ask for."""

from __future__ import annotations

import numpy as np

from dgmmis.errors import CollapsedComponent
from dgmmis.frozen import Frozen
from dgmmis.mixture import Mixture
from dgmmis.packed import Array, unpack
from dgmmis.score_statistics import Statistics

__all__ = ["maximize", "starved"]

STARVED = 1e-10
"""A component that holds less than this share of a row's weight keeps its mean and covariance."""


def maximize(mixture: Mixture, statistics: Statistics, frozen: Frozen) -> Mixture:
    """Update a mixture by exact expectation maximization.

    With A, h, H the statistics: shift = V h / A; m' = m + shift; V' = V + V (H / A) V - shift shift^T;
    a' = A / sum A.  This is the update of Bovy, Hogg & Roweis 2011 (arXiv:0905.2979), eqs. 17-19, in score
    form.  A frozen mean has no shift.  With frozen amplitudes the free ones share what is left in
    proportion to A.  A starved component keeps mean and covariance;
    free amplitudes stay as they are while no free component holds any row.

    Raises
    ------
    CollapsedComponent
        If a new covariance is not positive definite.
    """
    fed = ~starved(statistics)
    counts = np.where(fed, statistics.zeroth, 1.0)
    shifts = np.einsum("kde,ke->kd", mixture.covariances, statistics.first) / counts[:, None]
    shifts[frozen.means | ~fed] = 0
    curvature = unpack(statistics.second) / counts[:, None, None]
    growth = mixture.covariances @ curvature @ mixture.covariances
    covariances = mixture.covariances + growth - shifts[:, :, None] * shifts[:, None, :]
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    kept = frozen.covariances | ~fed
    covariances[kept] = mixture.covariances[kept]
    _require_definite(covariances, kept, statistics)
    return Mixture(_amplitudes(mixture, statistics, frozen), mixture.means + shifts, covariances)


def starved(statistics: Statistics) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which components hold no rows any more (K,)."""
    share = statistics.weight / max(statistics.rows, 1)
    return np.asarray(statistics.zeroth <= STARVED * share)


def _amplitudes(mixture: Mixture, statistics: Statistics, frozen: Frozen) -> Array:
    free = ~frozen.amplitudes
    if not free.any():
        return mixture.amplitudes
    amplitudes = mixture.amplitudes.copy()
    left, held = max(0.0, 1 - amplitudes[~free].sum()), statistics.zeroth[free].sum()
    if held > 0:
        amplitudes[free] = statistics.zeroth[free] / held * left
    return amplitudes


def _require_definite(
    covariances: Array, kept: np.ndarray[tuple[int], np.dtype[np.bool_]], statistics: Statistics
) -> None:
    """Refuse covariances without a finite Cholesky factor in units of their own dispersions."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    for k in np.flatnonzero(~kept):
        good = bool((variances[k] > 0).all() and np.isfinite(covariances[k]).all())
        if good:
            scale = np.sqrt(variances[k])
            good = bool(np.linalg.eigvalsh(covariances[k] / np.outer(scale, scale))[0] > 0)
        if not good:
            raise CollapsedComponent(int(k), float(statistics.zeroth[k]))
