"""One feature's density under a mixture, with and without the rows' noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array
from dgmmis.rows import Rows

__all__ = ["NoiseClasses", "convolved_density", "density", "median_noise", "noise_classes"]

N_CLASSES = 256
ROWS_OF_MEDIAN = 20_000
"""Rows that the typical noise is taken from; a median of more says the same."""


@dataclass(frozen=True)
class NoiseClasses:
    """Noise variances of many rows, gathered into few.

    Attributes
    ----------
    variances : (C,)
    shares : (C,)
        Of the rows' total weight; they sum to 1.
    """

    variances: Array
    shares: Array


def noise_classes(variances: Array, weights: Array, *, n_classes: int = N_CLASSES) -> NoiseClasses:
    """Gather rows of similar noise.

    Up to `n_classes` different variances are kept as they are; more are cut into classes of equal weight,
    each with its mean variance, so that the total variance stays exact.

    Parameters
    ----------
    variances, weights : (N,)
    n_classes : int
    """
    distinct, inverse = np.unique(variances, return_inverse=True)
    totals = np.bincount(inverse, weights)
    kept = totals > 0
    distinct, totals = distinct[kept], totals[kept]
    if len(distinct) > n_classes:
        middle = np.cumsum(totals) - totals / 2
        member = np.minimum((middle / totals.sum() * n_classes).astype(np.intp), n_classes - 1)
        summed = np.bincount(member, totals * distinct, minlength=n_classes)
        totals = np.bincount(member, totals, minlength=n_classes)
        filled = totals > 0
        totals, distinct = totals[filled], summed[filled] / totals[filled]
    return NoiseClasses(distinct, totals / totals.sum())


def density(points: Array, amplitudes: Array, means: Array, variances: Array) -> Array:
    """Sum of one-dimensional Gaussians at `points` (G,): amplitudes, means and variances are (K,)."""
    squared = (points[:, None] - means) ** 2 / variances
    return np.asarray(np.exp(-0.5 * squared) @ (amplitudes / np.sqrt(2 * np.pi * variances)))


def convolved_density(
    points: Array, amplitudes: Array, means: Array, variances: Array, noise: NoiseClasses
) -> Array:
    """Density of noisy values at `points` (G,), averaged over the rows' noise: what a histogram shows."""
    total = np.zeros(len(points))
    for variance, share in zip(noise.variances, noise.shares, strict=True):
        total += share * density(points, amplitudes, means, variances + variance)
    return total


def median_noise(rows: Rows) -> Array | None:
    """Typical noise covariance (D, D): median variances, tied by the median correlations; None without noise.

    Medians are taken over rows that observed the features in question, so every pair's block is a
    covariance.
    """
    if rows.noise.kind == "none":
        return None
    if rows.noise.kind == "shared":
        return rows.noise.array
    some = rows.take(slice(0, ROWS_OF_MEDIAN))
    observed = ~np.isnan(some.values)
    covariances = some.noise.covariances(len(some), some.n_features)
    deviations = np.sqrt(np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0))
    typical = np.array([_median(deviations[observed[:, j], j]) for j in range(some.n_features)])
    correlation = np.eye(some.n_features)
    for i in range(some.n_features):
        for j in range(i):
            usable = observed[:, i] & observed[:, j] & (deviations[:, i] > 0) & (deviations[:, j] > 0)
            scale = deviations[usable, i] * deviations[usable, j]
            correlation[i, j] = correlation[j, i] = _median(covariances[usable, i, j] / scale)
    return np.asarray(correlation * np.outer(typical, typical))


def _median(numbers: Array) -> float:
    return float(np.median(numbers)) if len(numbers) else 0.0


def noise_variances(rows: Rows, feature: int, which: NDArray[np.bool_]) -> Array:
    """Noise variances of one feature for the rows `which` (N,), without forming whole covariances."""
    noise, count = rows.noise, int(which.sum())
    if noise.array is None:
        return np.zeros(count)
    if noise.kind == "shared":
        return np.full(count, noise.array[feature, feature])
    column = feature if noise.kind == "diagonal" else feature * (feature + 1) // 2 + feature
    return np.asarray(noise.array[which, column])
