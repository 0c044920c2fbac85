"""The expectation step of rows whose ln Omega is no constant, because the selection saw what they do not tell.

Such a row's term is ln sum_k a_k N_k(x) P_k with P_k = E[Omega(z) | x, k], z being the uncertain values that the
selection saw: features that the row lacks, or the noise-free values.  With T = R V R^T + S, r = x - R m and the
law z | x, k ~ N(c, C),

    q_k = a_k N_k P_k / sum,      delta = C^-1 (E*[z] - c),      W = E_z - R^T T^-1 (R V E_z + S_xz),
    u* = R^T T^-1 r + W delta,    h = sum s q u*,    H = sum s q (u* u*^T - G + W C^-1 (C* - C) C^-1 W^T),

E* and C* being moments under N(c, C) Omega / P, and cov(t, z | x) = V W.  These are the expected statistics of t
given x and that the row was kept: the update climbs, and h and H / 2 are exact gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dgmmis.errors import InvalidData, SelectionError
from dgmmis.packed import Array, pack, packed_size, sub_positions
from dgmmis.population import Population
from dgmmis.samples import PatternGroup, Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut, column_values, joint_covariances, uncertain_columns
from dgmmis.selection import tilt
from dgmmis.uncertain_law import Slab, law_of, pseudo_inverse

__all__ = ["TiltedScores", "summarize_uncertain", "tilted_scores"]

SLAB_NUMBERS = 2**20
"""Numbers in the largest working array: rows are taken in slabs of this many."""


@dataclass(frozen=True)
class TiltedScores:
    """Of n consecutive rows of a group, in the J features that they observed or leave uncertain.

    Attributes
    ----------
    rows : slice
        Of the group.
    features : (j,)
        J, ascending.
    log_density : (n,)
        ln sum_k a_k N_k P_k, backgrounds included [nats].
    error : (n,)
        Standard error of it; 0 where the selection is integrated exactly.
    responsibilities : (n, K + J)
        Components, then backgrounds.
    first, second : (n, K, j), (n, K, packed)
        q u*, and q times the matrix that H sums.
    """

    rows: slice
    features: NDArray[np.intp]
    log_density: Array
    error: Array
    responsibilities: Array
    first: Array
    second: Array


@dataclass(frozen=True)
class _Score:
    """ln N P of each row, its relative error, u* (n, j) and the matrix that H sums (n, packed)."""

    log_term: Array
    error: Array
    first: Array
    second: Array


def summarize_uncertain(
    population: Population, samples: Samples, group: PatternGroup, cut: Cut, *, first_row: int = 0
) -> Statistics:
    """Statistics of a group whose rows leave columns of the selection uncertain.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them for this cut.
    group : PatternGroup
        One of the samples'.
    cut : Cut
    first_row : int
        What row 0 of the samples is called in messages.

    Raises
    ------
    SelectionError
        If the selection fails, or leaves a row no chance of having been kept.
    InvalidData
        If a component as rows see it is singular.
    """
    total = Statistics.zero(population.n_components, population.n_features, len(population.backgrounds))
    for scores in tilted_scores(population, samples, group, cut, first_row=first_row):
        total = total + _summed(population, group, scores)
    return replace(total, rows=len(group.rows), weight=float(group.weights.sum()))


def _summed(population: Population, group: PatternGroup, scores: TiltedScores) -> Statistics:
    n_components, weights = population.n_components, group.weights[scores.rows]
    whole = Statistics.zero(n_components, population.n_features)
    whole.first[:, scores.features] = np.einsum("n,nkj->kj", weights, scores.first)
    whole.second[:, sub_positions(scores.features)] = np.einsum("n,nkp->kp", weights, scores.second)
    counts = np.einsum("n,nk->k", weights, scores.responsibilities)
    return Statistics(
        len(weights),
        float(weights.sum()),
        float(np.sum(weights * scores.log_density)),
        counts[:n_components],
        whole.first,
        whole.second,
        counts[n_components:],
        float(np.sum(weights * scores.error)),
        pairs=len(weights) * n_components,
    )


def tilted_scores(
    population: Population, samples: Samples, group: PatternGroup, cut: Cut, *, first_row: int = 0
) -> Iterator[TiltedScores]:
    """Yield the terms of single rows, some rows at a time; parameters as of `summarize_uncertain`."""
    uncertain = uncertain_columns(group, cut)
    features = np.union1d(group.observed, uncertain)
    numbers = population.n_components * (len(features) + packed_size(len(features)))
    step = max(16, SLAB_NUMBERS // max(numbers, len(features) ** 2))
    table = column_values(group, samples.n_features)
    table[:, uncertain] = np.nan
    for start in range(0, len(group.rows), step):
        rows = slice(start, start + step)
        noise = joint_covariances(group, uncertain, rows, cut)
        values = group.values[rows]
        slab = Slab(values, table[rows][:, cut.columns], *noise, group.observed, uncertain)
        backgrounds = (
            population.weighted(group.densities[rows]) if population.backgrounds else group.densities[rows]
        )
        try:
            yield _scored(population, slab, cut, backgrounds, rows, features)
        except InvalidData as error:
            raise _renamed(error, group, start, first_row) from error


def _scored(
    population: Population, slab: Slab, cut: Cut, backgrounds: Array, rows: slice, features: NDArray[np.intp]
) -> TiltedScores:
    mixture = population.mixture
    found = [
        _score(slab, mean, covariance, cut, k)
        for k, (mean, covariance) in enumerate(zip(mixture.means, mixture.covariances, strict=True))
    ]
    with np.errstate(divide="ignore"):
        logs = np.log(population.amplitudes)
    terms = np.stack([one.log_term for one in found], axis=1) + logs
    terms = np.concatenate((terms, backgrounds), axis=1)
    log_density = np.asarray(logsumexp(terms, axis=1))
    _require_chance(log_density)
    q = np.exp(terms - log_density[:, None])
    return TiltedScores(
        rows,
        features,
        log_density,
        np.sum([q[:, k] * one.error for k, one in enumerate(found)], axis=0),
        q,
        np.stack([q[:, k, None] * one.first for k, one in enumerate(found)], axis=1),
        np.stack([q[:, k, None] * one.second for k, one in enumerate(found)], axis=1),
    )


def _score(slab: Slab, mean: Array, covariance: Array, cut: Cut, component: int) -> _Score:
    """Score one component's view of a slab."""
    law = law_of(slab, mean, covariance)
    n, z = law.center.shape
    spread = np.broadcast_to(law.spread, (n, z, z))
    seed = cut.seed + component
    tilted = tilt(cut.selection, slab.table, law.center, spread, seed=seed)
    inverse = pseudo_inverse(law.spread, law.scale)
    delta = np.einsum("nyz,nz->ny", inverse, tilted.means - law.center)
    change = np.einsum("nxy,nyz,nzw->nxw", inverse, tilted.covariances - law.spread, inverse)
    features = np.union1d(slab.observed, slab.uncertain)
    seen = np.searchsorted(features, slab.observed)
    first = np.einsum("njz,nz->nj", law.weights, delta)
    first[:, seen] += law.first
    second = first[:, :, None] * first[:, None, :]
    second += np.einsum("njz,nzy,niy->nji", law.weights, change, law.weights)
    second[:, seen[:, None], seen] -= law.inverse
    possible = tilted.probability > 0
    error = np.divide(tilted.standard_error, tilted.probability, out=np.zeros(n), where=possible)
    return _Score(law.log_normal + tilted.log_probability, error, first, pack(second))


def _require_chance(log_density: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(log_density))
    if len(bad):
        raise SelectionError(
            f"the row has log-density {log_density[bad[0]]}: under every component the selection leaves it no chance "
            "of having been kept, whatever it lacks. Leave the row out, or mend the selection.",
            array="values",
            row=int(bad[0]),
            value=float(log_density[bad[0]]),
        )


def _renamed(error: InvalidData, group: PatternGroup, start: int, first_row: int) -> InvalidData:
    """Say which row an error is about that counted in a slab."""
    entry = start + (0 if error.row is None else error.row)
    row = int(group.rows[min(entry, len(group.rows) - 1)]) + first_row
    return type(error)(
        f"row {row}, for which the selection is integrated over what is uncertain: {error.message}",
        array=error.array,
        row=row,
        column=error.column,
        value=error.value,
    )
