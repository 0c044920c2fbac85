"""The law of what a row leaves uncertain, given what it observed and the component that made it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.densities import LOG_TWO_PI
from dgmmis.errors import InvalidData
from dgmmis.packed import Array

__all__ = ["Law", "Slab", "law_of", "pseudo_inverse"]

KNOWN = 1e-14
"""Variance left, relative to the component's own, below which a direction of z counts as known."""


@dataclass(frozen=True)
class Slab:
    """Some rows of a group, and the noise that they and their uncertain columns had.

    Attributes
    ----------
    values : (n, d)
    table : (n, f)                     in the selection's columns, NaN at the uncertain ones
    own, cross, unseen : (n or 1, d, d), (n or 1, z, d), (n or 1, z, z)
        Noise of what was observed, of the uncertain columns with it, and of these.
    observed, uncertain : (d,), (z,)   ascending; they overlap where the selection acted before the noise
    """

    values: Array
    table: Array
    own: Array
    cross: Array
    unseen: Array
    observed: NDArray[np.intp]
    uncertain: NDArray[np.intp]


@dataclass(frozen=True)
class Law:
    """One component's view of a slab.

    Attributes
    ----------
    log_normal : (n,)                  ln N(x | m, T)
    first : (n, d)                     T^-1 r
    inverse : (n or 1, d, d)           T^-1
    center, spread : (n, z), (n or 1, z, z)
    scale : (n or 1, z)                dispersions of z before x is known
    weights : (n or 1, j, z)           W in the features J
    """

    log_normal: Array
    first: Array
    inverse: Array
    center: Array
    spread: Array
    scale: Array
    weights: Array


def law_of(slab: Slab, mean: Array, covariance: Array) -> Law:
    """Condition a component (mean (D,), covariance (D, D)) on what a slab's rows observed.

    Raises
    ------
    InvalidData
        If it is singular as a row sees it; `row` counts in the slab.
    """
    observed, uncertain = slab.observed, slab.uncertain
    total = covariance[np.ix_(observed, observed)] + slab.own
    inverse, log_determinant = _inverted(total)
    r = slab.values - mean[observed]
    first = np.einsum("nde,ne->nd", inverse, r)
    log_normal = -0.5 * (len(observed) * LOG_TWO_PI + log_determinant + np.einsum("nd,nd->n", r, first))
    cross = covariance[np.ix_(uncertain, observed)] + slab.cross
    gain = np.einsum("nzd,nde->nze", cross, inverse)
    own = covariance[np.ix_(uncertain, uncertain)] + slab.unseen
    spread = own - np.einsum("nze,nye->nzy", gain, cross)
    features = np.union1d(observed, uncertain)
    weights = np.zeros((len(gain), len(features), len(uncertain)))
    weights[:, np.searchsorted(features, observed)] = -gain.swapaxes(1, 2)
    weights[:, np.searchsorted(features, uncertain), np.arange(len(uncertain))] += 1
    scale = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    center = mean[uncertain] + np.einsum("nzd,nd->nz", cross, first)
    center, spread = _with_known(slab, center, (spread + spread.swapaxes(1, 2)) / 2)
    return Law(log_normal, first, inverse, center, spread, scale, weights)


def _with_known(slab: Slab, center: Array, spread: Array) -> tuple[Array, Array]:
    """Set what a row observed without noise to just that, free of rounding."""
    for place, column in enumerate(slab.uncertain):
        for seen in np.flatnonzero(slab.observed == column):
            exact = slab.own[:, seen, seen] == 0
            spread = np.where(exact[:, None, None] & _cross_at(place, spread.shape[1]), 0.0, spread)
            center[:, place] = np.where(exact, slab.values[:, seen], center[:, place])
    return center, spread


def _cross_at(place: int, size: int) -> NDArray[np.bool_]:
    """Row and column `place` of a square matrix."""
    at = np.arange(size) == place
    return np.asarray(at[:, None] | at)


def _inverted(total: Array) -> tuple[Array, Array]:
    """Inverses (n, d, d) and ln determinants (n,) of total covariances.

    Raises
    ------
    InvalidData
        If one is singular; `row` counts in the slab.
    """
    try:
        lower = np.linalg.cholesky(total)
    except np.linalg.LinAlgError as error:
        row = int(np.argmin(np.linalg.eigvalsh(total)[:, 0]))
        raise InvalidData(
            "a component's covariance plus the row's noise is singular, so its density is infinite. State the noise "
            "of the rows, leave out features that others determine, or use fewer components.",
            array="covariances",
            row=row,
        ) from error
    log_determinant = 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return np.asarray(np.linalg.inv(total)), np.asarray(log_determinant)


def pseudo_inverse(spread: Array, scale: Array) -> Array:
    """Invert spreads (n, z, z) in the directions that are uncertain.

    In a direction n that is known Omega cannot shift z, and cov(t, n z | x) = V W n vanishes: it adds nothing.  One
    with a share v of the component's variance adds at most of the order of sqrt(v), so the cut at `KNOWN` is
    below 1e-7 of a row's score.
    """
    safe = np.where(scale > 0, scale, 1.0)
    units = safe[:, :, None] * safe[:, None, :]
    if spread.shape[1] == 1:
        variance = spread / units
        return np.asarray(
            np.where(variance > KNOWN, 1 / np.where(variance > KNOWN, variance, 1.0), 0.0) / units
        )
    values, vectors = np.linalg.eigh(spread / units)
    inverse = np.where(values > KNOWN, 1 / np.where(values > KNOWN, values, 1.0), 0.0)
    return np.asarray(np.einsum("nxv,nv,nyv->nxy", vectors, inverse, vectors) / units)
