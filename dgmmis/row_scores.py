"""Scores of single rows: the terms of the sums in `Statistics`, before they are summed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dgmmis.densities import log_densities
from dgmmis.packed import Array, lower_indices, packed_size, sub_positions, unpack
from dgmmis.population import Population
from dgmmis.samples import PatternGroup, Samples

__all__ = ["RowScores", "row_scores"]

SLAB = 4096
"""Rows worked on at a time."""


@dataclass(frozen=True)
class RowScores:
    """Of n rows: responsibilities q, q u and q (u u^T - G), with the letters of `Statistics`.

    Attributes
    ----------
    weights : (n,)
    zeroth : (n, K)
    first : (n, K, D)
    second : (n, K, P)
    background : (n, J)
    """

    weights: Array
    zeroth: Array
    first: Array
    second: Array
    background: Array


def row_scores(population: Population, samples: Samples) -> Iterator[RowScores]:
    """Yield the scores of all rows that have an observed feature, some rows at a time; unprojected rows only."""
    terms = population.component_log_densities(samples)
    responsibilities = np.exp(terms - log_densities(terms)[:, None])
    for group in samples.groups:
        for start in range(0, len(group.rows), SLAB):
            rows = slice(start, start + SLAB)
            yield _scores(population, group, rows, responsibilities[group.rows[rows]])


def _scores(population: Population, group: PatternGroup, rows: slice, q: Array) -> RowScores:
    mixture, observed = population.mixture, group.observed
    noise = _noise(group, rows)
    n, (n_components, n_features) = len(q), mixture.means.shape
    first = np.zeros((n, n_components, n_features))
    second = np.zeros((n, n_components, packed_size(n_features)))
    places, (i, j) = sub_positions(observed), lower_indices(len(observed))
    for k in range(n_components):
        inverse = np.linalg.inv(mixture.covariances[k][np.ix_(observed, observed)] + noise)
        u = np.einsum("nde,ne->nd", inverse, group.values[rows] - mixture.means[k, observed])
        scatter = (u[:, :, None] * u[:, None, :] - inverse)[:, i, j]
        first[:, k, observed] = q[:, k, None] * u
        second[:, k, places] = q[:, k, None] * scatter
    return RowScores(group.weights[rows], q[:, :n_components], first, second, q[:, n_components:])


def _noise(group: PatternGroup, rows: slice) -> Array:
    """Noise covariances that broadcast against (n, d, d)."""
    d, noise = len(group.observed), group.noise
    if noise is None:
        return np.zeros((1, d, d))
    if noise.ndim == 1:
        return unpack(noise)[None]
    if noise.shape[1] == d and packed_size(d) != d:
        return noise[rows, :, None] * np.eye(d)
    return unpack(noise[rows])
