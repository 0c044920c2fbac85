"""Which rows lie near which component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from dgmmis.mixture import Mixture
from dgmmis.packed import Array, unpack
from dgmmis.samples import PatternGroup, Samples

__all__ = ["chi2_cutoff", "neighborhoods", "squared_distances"]


def chi2_cutoff(D: int, cutoff: float = 3.0) -> float:
    """Give the chi-squared in D dimensions that holds as much as `cutoff` sigma to both sides do in one.

    Parameters
    ----------
    D : int
    cutoff : float
        In units of sigma.
    """
    return float(chi2.isf(2 * norm.sf(cutoff), D))


def neighborhoods(mixture: Mixture, samples: Samples, cutoff: float | None) -> list[NDArray[np.intp]]:
    """List the rows within `cutoff` sigma of each component.

    Parameters
    ----------
    mixture : Mixture
    samples : Samples
        N rows; a row's distance is over its observed features, with its noise, and so is its `chi2_cutoff`.
    cutoff : float or None
        None: every row is near every component.

    Returns
    -------
    list of K arrays of row numbers, ascending
    """
    if cutoff is None:
        return [np.arange(samples.n_rows)] * mixture.n_components
    limits = np.zeros(samples.n_rows)
    for group in samples.groups:
        limits[group.rows] = chi2_cutoff(len(group.observed), cutoff)
    return [
        np.flatnonzero(squared_distances(mean, covariance, samples) < limits)
        for mean, covariance in zip(mixture.means, mixture.covariances, strict=True)
    ]


def squared_distances(mean: Array, covariance: Array, samples: Samples) -> Array:
    """Evaluate (x - R m)^T (R V R^T + S)^-1 (x - R m) of each row (N,); infinity where nothing was observed."""
    distances = np.full(samples.n_rows, np.inf)
    for group in samples.groups:
        if group.projection is None:
            location, spread = mean[group.observed], covariance[np.ix_(group.observed, group.observed)]
        else:
            location = group.projection @ mean
            spread = group.projection @ covariance @ group.projection.swapaxes(-1, -2)
        offsets = group.values - location
        solved = np.linalg.solve(spread + _noise(group, samples.noise_kind), offsets[..., None])[..., 0]
        distances[group.rows] = np.einsum("nd,nd->n", offsets, solved)
    return distances


def _noise(group: PatternGroup, kind: str) -> Array:
    """Covariances that broadcast against (n, d, d)."""
    n_observed = len(group.observed)
    if group.noise is None:
        return np.zeros((n_observed, n_observed))
    if kind == "diagonal":
        return np.asarray(group.noise[:, :, None] * np.eye(n_observed))
    return unpack(group.noise)
