"""Scores of single rows: the terms of the sums in `Statistics`, before they are summed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.densities import responsibilities
from dgmmis.packed import Array, lower_indices, pack, packed_size, sub_positions, unpack
from dgmmis.population import Population
from dgmmis.row_score_kernels import LANES, score_rows
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, is_certain, noise_covariances
from dgmmis.tilted_expectation import TiltedScores, tilted_scores

__all__ = ["SLAB_NUMBERS", "RowScores", "kernel_noise", "row_scores"]

SLAB_NUMBERS = 2**18
"""Numbers in the scores of the rows that are worked on at a time: they stay in the cache."""


@dataclass(frozen=True)
class RowScores:
    """Of n rows: responsibilities q, q u and q (u u^T - G), with the letters of `Statistics`.

    Attributes
    ----------
    rows : (n,)
        Where they lie in the samples.
    weights : (n,)
    zeroth : (n, K)
    first : (n, K, D)
    second : (n, K, P)
    background : (n, J)
    """

    rows: NDArray[np.intp]
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
    shares = responsibilities(population.component_log_densities(samples))
    step = _slab_rows(population)
    for group in samples.groups:
        if cut is not None and not is_certain(group, cut):
            for scores in tilted_scores(population, samples, group, cut):
                yield _in_all_features(population, group, scores)
            continue
        score = _projected if group.has_own_projections else _scored
        for start in range(0, len(group.rows), step):
            rows = slice(start, start + step)
            q = shares[group.rows[rows]]
            first, second = score(population, group, rows, q)
            n_components = population.n_components
            yield RowScores(
                group.rows[rows], group.weights[rows], q[:, :n_components], first, second, q[:, n_components:]
            )


def _slab_rows(population: Population) -> int:
    """Rows worked on at a time: whole lanes of the kernels, where there is room for them."""
    numbers = population.n_components * (1 + population.n_features + packed_size(population.n_features))
    rows = SLAB_NUMBERS // numbers
    return max(8, rows // LANES * LANES or rows)


def _in_all_features(population: Population, group: PatternGroup, scores: TiltedScores) -> RowScores:
    first, second = _spread(population, scores.features, scores.first, scores.second)
    q, n_components = scores.responsibilities, population.n_components
    return RowScores(
        group.rows[scores.rows],
        group.weights[scores.rows],
        q[:, :n_components],
        first,
        second,
        q[:, n_components:],
    )


def _spread(
    population: Population, features: NDArray[np.intp], first: Array, second: Array
) -> tuple[Array, Array]:
    """Put scores of some features (n, K, d), (n, K, p) where they belong among all."""
    if len(features) == population.n_features:
        return first, second
    n, n_components, n_features = len(first), population.n_components, population.n_features
    whole = np.zeros((n, n_components, n_features)), np.zeros((n, n_components, packed_size(n_features)))
    whole[0][:, :, features] = first
    whole[1][:, :, sub_positions(features)] = second
    return whole


def _scored(population: Population, group: PatternGroup, rows: slice, q: Array) -> tuple[Array, Array]:
    """Scores (n, K, D) and (n, K, P) of rows that all see the mixture in the same way."""
    mixture, observed, R = population.mixture, group.observed, group.projection
    if R is None:
        means, covariances = mixture.means[:, observed], mixture.covariances[:, observed[:, None], observed]
    else:
        means, covariances = np.einsum("id,kd->ki", R, mixture.means), R @ mixture.covariances @ R.T
    n, (n_components, d) = len(q), means.shape
    first, second = np.empty((n, n_components, d)), np.empty((n, n_components, packed_size(d)))
    score_rows(
        np.array(group.values[rows]),
        kernel_noise(group, rows),
        np.ascontiguousarray(means),
        pack(covariances),
        np.ascontiguousarray(q),
        first,
        second,
    )
    if R is None:
        return _spread(population, observed, first, second)
    back = np.einsum("id,nkij,je->nkde", R, unpack(second), R)
    return np.einsum("id,nki->nkd", R, first), pack(back)


def kernel_noise(group: PatternGroup, rows: slice) -> Array:
    """Return noise as the kernels of scores read it: (n, d), (n, p) or (1, p)."""
    d = len(group.observed)
    if group.noise is None:
        return np.zeros((1, packed_size(d)))
    if group.noise.ndim == 1:
        return np.array(group.noise[None])
    return np.array(group.noise[rows])


def _projected(population: Population, group: PatternGroup, rows: slice, q: Array) -> tuple[Array, Array]:
    """Scores of rows that each have a projection of their own."""
    assert group.projection is not None
    mixture, R = population.mixture, group.projection[rows]
    noise = noise_covariances(group.noise, len(group.observed), rows)
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
    return first, second
