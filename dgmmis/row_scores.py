"""Scores of single rows: the terms of the sums in `Statistics`, before they are summed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dgmmis.densities import log_densities
from dgmmis.packed import Array, lower_indices, packed_size, sub_positions
from dgmmis.population import Population
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, is_certain, noise_covariances
from dgmmis.tilted_expectation import TiltedScores, tilted_scores

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


def row_scores(population: Population, samples: Samples, cut: Cut | None = None) -> Iterator[RowScores]:
    """Yield the scores of all rows that have an observed feature, some rows at a time.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them.
    cut : Cut, optional
        The selection that the rows passed.
    """
    terms = population.component_log_densities(samples)
    responsibilities = np.exp(terms - log_densities(terms)[:, None])
    for group in samples.groups:
        if cut is not None and not is_certain(group, cut):
            for scores in tilted_scores(population, samples, group, cut):
                yield _in_all_features(population, group, scores)
            continue
        for start in range(0, len(group.rows), SLAB):
            rows = slice(start, start + SLAB)
            yield _scores(population, group, rows, responsibilities[group.rows[rows]])


def _in_all_features(population: Population, group: PatternGroup, scores: TiltedScores) -> RowScores:
    n, n_components = scores.first.shape[:2]
    first = np.zeros((n, n_components, population.n_features))
    second = np.zeros((n, n_components, packed_size(population.n_features)))
    first[:, :, scores.features] = scores.first
    second[:, :, sub_positions(scores.features)] = scores.second
    q = scores.responsibilities
    return RowScores(group.weights[scores.rows], q[:, :n_components], first, second, q[:, n_components:])


def _scores(population: Population, group: PatternGroup, rows: slice, q: Array) -> RowScores:
    mixture, observed = population.mixture, group.observed
    noise = noise_covariances(group.noise, len(observed), rows)
    R = _projection(group, rows, mixture.n_features)
    n, (n_components, n_features) = len(q), mixture.means.shape
    first = np.empty((n, n_components, n_features))
    second = np.empty((n, n_components, packed_size(n_features)))
    i, j = lower_indices(n_features)
    for k in range(n_components):
        inverse = np.linalg.inv(R @ mixture.covariances[k] @ R.swapaxes(1, 2) + noise)
        back = R.swapaxes(1, 2) @ inverse
        u = np.einsum("nDd,nd->nD", back, group.values[rows] - np.einsum("ndD,D->nd", R, mixture.means[k]))
        scatter = (u[:, :, None] * u[:, None, :] - back @ R)[:, i, j]
        first[:, k] = q[:, k, None] * u
        second[:, k] = q[:, k, None] * scatter
    return RowScores(group.weights[rows], q[:, :n_components], first, second, q[:, n_components:])


def _projection(group: PatternGroup, rows: slice, n_features: int) -> Array:
    """R (n, d, D) of these rows, or (1, d, D) for all; rows of the identity where they are not projected."""
    if group.projection is None:
        return np.eye(n_features)[None, group.observed]
    return group.projection[rows] if group.has_own_projections else group.projection[None]
