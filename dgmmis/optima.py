"""Whether two fits of the same rows reached the same optimum."""

from __future__ import annotations

import numpy as np

from dgmmis.mixture import Mixture

__all__ = ["same_optimum"]

SAME_OBJECTIVE = 0.5
"""Optima of the same rows whose objectives differ by less [nats] may be one ..."""

SAME_DISPERSION = 0.25
"""... if each component of one lies this near to one of the other, in dispersions and in relative amplitude."""


def same_optimum(left: Mixture, right: Mixture, gap: float) -> bool:
    """Tell whether two mixtures are one optimum, whatever the order of their components.

    Parameters
    ----------
    left, right : Mixture
    gap : float
        How far their objectives on the same rows are apart [total nats].
    """
    if abs(gap) > SAME_OBJECTIVE:
        return False
    scale = np.sqrt(np.diagonal(right.covariances, axis1=1, axis2=2))
    apart = np.abs(left.means[:, None] - right.means[None]) / scale[None]
    wider = np.abs(np.log(np.diagonal(left.covariances, axis1=1, axis2=2)[:, None] / scale[None] ** 2)) / 2
    rarer = np.abs(left.amplitudes[:, None] - right.amplitudes[None]) / right.amplitudes[None]
    near = (apart.max(axis=2) < SAME_DISPERSION) & (wider.max(axis=2) < SAME_DISPERSION)
    near &= rarer < SAME_DISPERSION
    return bool(near.any(axis=1).all() and near.any(axis=0).all())
