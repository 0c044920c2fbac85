"""Seed a mixture by k-means++ on values scaled to unit variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.mixture import Mixture
from dgmmis.packed import Array

__all__ = ["seeded_mixture"]

LLOYD_ROUNDS = 10


def seeded_mixture(values: Array, n_components: int, rng: np.random.Generator) -> Mixture:
    """Make a mixture from k-means++ clusters of `values` (N, D) scaled to unit variance.

    The rows' noise is *not* subtracted from the clusters' covariances: that looks principled but starts
    components too small, from where expectation maximization grows them slowly.  Each covariance is shrunk
    to that of all rows with D + 2 pseudo-counts.  Missing values stand at the cluster's mean.
    """
    values = values[~np.isnan(values).all(axis=1)]
    location, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale[scale == 0] = 1
    scaled = (values - location) / scale
    centers = _lloyd(scaled, _plus_plus(scaled, n_components, rng))
    nearest = _distances(scaled, centers).argmin(axis=1)
    filled = np.where(np.isnan(scaled), centers[nearest], scaled)
    zeroed = np.where(np.isnan(scaled), 0, scaled)
    overall = np.einsum("nd,ne->de", zeroed, zeroed) / len(zeroed)
    overall += 1e-6 * np.eye(len(scale))
    counts = np.bincount(nearest, minlength=n_components)
    pseudo = len(scale) + 2
    covariances = np.empty((n_components, len(scale), len(scale)))
    for k in range(n_components):
        offset = filled[nearest == k] - centers[k]
        covariances[k] = (np.einsum("nd,ne->de", offset, offset) + pseudo * overall) / (counts[k] + pseudo)
    amplitudes = (counts + 1) / (counts + 1).sum()
    return Mixture(amplitudes, centers * scale + location, covariances * np.outer(scale, scale))


def _distances(scaled: Array, centers: Array) -> Array:
    """Squared distance per observed feature, (N, K); by sums whose bits depend on no number of threads."""
    observed = ~np.isnan(scaled)
    zeroed = np.where(observed, scaled, 0)
    squared = (zeroed**2).sum(axis=1)[:, None] - 2 * np.einsum("nd,kd->nk", zeroed, centers)
    squared += np.einsum("nd,kd->nk", observed.astype(float), centers**2)
    return np.asarray(np.maximum(squared, 0) / observed.sum(axis=1)[:, None])


def _plus_plus(scaled: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Seed by distance (Arthur & Vassilvitskii 2007); a seed's missing features stand at 0, the mean."""
    filled = np.where(np.isnan(scaled), 0, scaled)
    centers = filled[[rng.integers(len(filled))]]
    nearest = _distances(scaled, centers)[:, 0]
    while len(centers) < n_components:
        total = nearest.sum()
        chance = nearest / total if total > 0 else None
        center = filled[[rng.choice(len(filled), p=chance)]]
        centers = np.concatenate((centers, center))
        nearest = np.minimum(nearest, _distances(scaled, center)[:, 0])
    return centers


def _lloyd(scaled: Array, centers: Array) -> Array:
    observed = ~np.isnan(scaled)
    zeroed = np.where(observed, scaled, 0)
    for _ in range(LLOYD_ROUNDS):
        nearest = _distances(scaled, centers).argmin(axis=1)
        counts = _sums_by_cluster(nearest, observed.astype(float), len(centers))
        sums = _sums_by_cluster(nearest, zeroed, len(centers))
        centers = np.where(counts > 0, sums / np.maximum(counts, 1), centers)
    return centers


def _sums_by_cluster(nearest: NDArray[np.intp], columns: Array, n_clusters: int) -> Array:
    sums = [np.bincount(nearest, weights=column, minlength=n_clusters) for column in columns.T]
    return np.stack(sums, axis=1)
