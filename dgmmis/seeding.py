"""Seed a mixture by k-means++ on values scaled to unit variance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.mixture import Mixture
from dgmmis.packed import Array

__all__ = ["seeded_mixture"]

LLOYD_ROUNDS = 10


def seeded_mixture(
    values: Array, n_components: int, rng: np.random.Generator, weights: Array | None = None
) -> Mixture:
    """Make a mixture from k-means++ clusters of `values` (N, D) scaled to unit variance.

    Weights (N,) count repetitions: a row of weight n seeds as n rows of weight 1 would, to the last bit,
    and in whatever order the rows come.

    The rows' noise is *not* subtracted from the clusters' covariances: that looks principled but starts
    components too small, from where expectation maximization grows them slowly.  Each covariance is shrunk
    to that of all rows with D + 2 pseudo-counts.  Missing values stand at the cluster's mean.
    """
    values, weights = _distinct(values, np.ones(len(values)) if weights is None else weights)
    location, scale = _location_and_scale(values, weights)
    scaled = (values - location) / scale
    centers = _lloyd(scaled, weights, _plus_plus(scaled, weights, n_components, rng))
    nearest = _distances(scaled, centers).argmin(axis=1)
    filled = np.where(np.isnan(scaled), centers[nearest], scaled)
    zeroed = np.where(np.isnan(scaled), 0, scaled)
    overall = np.einsum("n,nd,ne->de", weights, zeroed, zeroed) / weights.sum()
    overall += 1e-6 * np.eye(len(scale))
    counts = np.bincount(nearest, weights, minlength=n_components)
    pseudo = len(scale) + 2
    covariances = np.empty((n_components, len(scale), len(scale)))
    for k in range(n_components):
        offset = filled[nearest == k] - centers[k]
        scatter = np.einsum("n,nd,ne->de", weights[nearest == k], offset, offset)
        covariances[k] = (scatter + pseudo * overall) / (counts[k] + pseudo)
    amplitudes = (counts + 1) / (counts + 1).sum()
    return Mixture(amplitudes, centers * scale + location, covariances * np.outer(scale, scale))


def _distinct(values: Array, weights: Array) -> tuple[Array, Array]:
    """Sort rows, and join equal ones with their weights; those with nothing observed or no weight go."""
    useful = (weights > 0) & ~np.isnan(values).all(axis=1)
    values, weights = values[useful], weights[useful]
    order = np.lexsort(values.T)  # it takes NaN as the largest number
    values = values[order]
    differs = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    first = np.concatenate(([True], differs.any(axis=1)))
    group = np.cumsum(first) - 1
    return values[first], np.asarray(np.bincount(group, weights[order]), dtype=np.float64)


def _location_and_scale(values: Array, weights: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (D,) of the observed values; a feature that does not vary has scale 1."""
    observed = np.where(np.isnan(values), 0, weights[:, None])
    totals = np.maximum(observed.sum(axis=0), np.finfo(np.float64).tiny)
    location = np.einsum("nd,nd->d", observed, np.nan_to_num(values)) / totals
    offset = np.nan_to_num(values - location)
    scale = np.sqrt(np.einsum("nd,nd->d", observed, offset**2) / totals)
    rounding = 4 * np.finfo(np.float64).eps * np.abs(location)
    return location, np.where(scale > rounding, scale, 1.0)


def _distances(scaled: Array, centers: Array) -> Array:
    """Squared distance per observed feature, (N, K); by sums whose bits depend on no number of threads."""
    observed = ~np.isnan(scaled)
    zeroed = np.where(observed, scaled, 0)
    squared = (zeroed**2).sum(axis=1)[:, None] - 2 * np.einsum("nd,kd->nk", zeroed, centers)
    squared += np.einsum("nd,kd->nk", observed.astype(float), centers**2)
    return np.asarray(np.maximum(squared, 0) / observed.sum(axis=1)[:, None])


def _plus_plus(scaled: Array, weights: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Seed by distance (Arthur & Vassilvitskii 2007); a seed's missing features stand at 0, the mean."""
    filled = np.where(np.isnan(scaled), 0, scaled)
    centers = filled[[rng.choice(len(filled), p=weights / weights.sum())]]
    nearest = _distances(scaled, centers)[:, 0]
    while len(centers) < n_components:
        chance = weights * nearest
        total = chance.sum()
        center = filled[[rng.choice(len(filled), p=chance / total if total > 0 else None)]]
        centers = np.concatenate((centers, center))
        nearest = np.minimum(nearest, _distances(scaled, center)[:, 0])
    return centers


def _lloyd(scaled: Array, weights: Array, centers: Array) -> Array:
    observed = np.where(np.isnan(scaled), 0, weights[:, None])
    weighted = observed * np.nan_to_num(scaled)
    for _ in range(LLOYD_ROUNDS):
        nearest = _distances(scaled, centers).argmin(axis=1)
        counts = _sums_by_cluster(nearest, observed, len(centers))
        sums = _sums_by_cluster(nearest, weighted, len(centers))
        centers = np.where(counts > 0, sums / np.where(counts > 0, counts, 1), centers)
    return centers


def _sums_by_cluster(nearest: NDArray[np.intp], columns: Array, n_clusters: int) -> Array:
    sums = [np.bincount(nearest, weights=column, minlength=n_clusters) for column in columns.T]
    return np.stack(sums, axis=1)
