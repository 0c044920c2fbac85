"""The edge of the covariances: how far they may shrink in a step, and how a step is brought back from beyond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array

__all__ = ["LEAST_SHARE", "CovarianceEdge", "next_to_singular"]

LEAST_SHARE = 0.3
"""Share of an amplitude, and of a variance in every direction, that a step keeps."""

THIN = 1e-6
"""A covariance whose correlations have an eigenvalue below this does not shrink further: it would be singular."""

CROSSED = 1e-3
"""Share of the largest change of a covariance by which it may cross the edge."""


class CovarianceEdge:
    """What covariances keep in one step: a share of every variance, in whatever direction.

    Parameters
    ----------
    before : (K, D, D)
        V.
    observed : (K, D, D)
        V and typical noise: its dispersions are the units in which directions are told apart.
    free : (n,) of int
        Components whose covariances may move; nothing is asked of the others.
    least_share : float
        What a variance keeps of itself; 0 asks only that it stay one.
    """

    def __init__(
        self, before: Array, observed: Array, free: NDArray[np.intp], least_share: float = LEAST_SHARE
    ) -> None:
        before, observed, self._free = before[free], observed[free], free
        shares = np.where(next_to_singular(before), 1.0, least_share)
        self.least_share = least_share
        self._before, self._kept = before, shares[:, None, None] * before
        self._frames = np.linalg.inv(np.linalg.cholesky(observed))

    def crossed(self, change: Array) -> tuple[NDArray[np.intp], Array, Array]:
        """Find where a change (K, D, D), V' to first order, would leave too little.

        Returns
        -------
        components : (m,) of int
        directions : (m, D)
            w, of one dispersion as it is observed.
        bounds : (m,)
            What w^T V' w must be at least.
        """
        frames, left, change = self._frames, self._before - self._kept, change[self._free]
        values, vectors = np.linalg.eigh(_in_frames(frames, left + change))
        scales = np.sqrt(np.einsum("kde,kde->k", *[_in_frames(frames, change)] * 2))
        places, which = np.nonzero(values < -CROSSED * scales[:, None])
        directions = np.einsum("med,me->md", frames[places], vectors[places, :, which])
        return (
            self._free[places],
            directions,
            -np.einsum("md,mde,me->m", directions, left[places], directions),
        )

    def brought_back(self, k: int, after: Array) -> Array:
        """Bring the covariance (D, D) of component `k` back to where it keeps enough, as near as can be observed."""
        place = int(np.flatnonzero(self._free == k)[0])
        frame, kept = self._frames[place], self._kept[place]
        values, vectors = np.linalg.eigh(frame @ (after - kept) @ frame.T)
        if values[0] >= 0:
            return after
        back = np.linalg.solve(frame, vectors)
        raised = (back * np.maximum(values, 0.0)) @ back.T + kept
        return np.asarray((raised + raised.T) / 2)


def next_to_singular(covariances: Array) -> NDArray[np.bool_]:
    """Tell which covariances (K, D, D) may not shrink further: there is too little of them in some direction."""
    dispersions = np.sqrt(np.einsum("kdd->kd", covariances))
    correlations = covariances / (dispersions[:, :, None] * dispersions[:, None, :])
    return np.asarray(np.linalg.eigvalsh(correlations)[:, 0] < THIN)


def _in_frames(frames: Array, matrices: Array) -> Array:
    return np.asarray(frames @ matrices @ np.swapaxes(frames, 1, 2))
