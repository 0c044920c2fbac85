"""How the densities of rows curve: what the outer products of their scores lack to be minus the Hessian.

Minus the second derivatives of ln p are the outer product of its score, less p'' / p.  Where the mixture describes the
rows, the second term tends to nothing against the first as they become more; where it does not, or where the rows
hardly tell two parameters apart, it tells plateaus and saddles from maxima.

A density is linear in the amplitudes, and a Gaussian's derivative by its covariance is half the second by its mean.  So
p'' / p is made of q times Hermite's tensors of u and G (with the letters of `Statistics`), up to the fourth order, one
component at a time (Holmquist 1996, Linear Algebra and its Applications 237/238, 155).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from dgmmis.coordinates import Chart
from dgmmis.densities import responsibilities
from dgmmis.hermite_kernels import add_given_tensors, add_tensors
from dgmmis.packed import Array, lower_indices, pack, packed_size
from dgmmis.population import Population
from dgmmis.row_scores import kernel_noise, row_scores
from dgmmis.samples import PatternGroup, Samples

__all__ = ["HermiteMoments", "density_curvature", "hermite_moments"]

NEGLIGIBLE = 1e-10
"""Responsibility below which a component is left out of a row's curvature."""


@dataclass(frozen=True)
class HermiteMoments:
    """Sums of w q times Hermite's tensors over rows; those of a whole are the sum of its parts'.

    Attributes
    ----------
    entries : (K, E)
        Of orders 0 to 4 in turn: 1, u, u u^T - G and two more, each entry of descending indices once, the last index
        fastest.
    """

    entries: Array

    def __add__(self, other: HermiteMoments) -> HermiteMoments:
        return HermiteMoments(self.entries + other.entries)

    def matrices(self, n_features: int) -> Array:
        """Return the sums (K, 1 + D + P, 1 + D + P) of p'' / p by ln a, the mean and the packed covariance.

        An entry is the tensor of its row's and its column's indices together; that of the amplitude alone is 0.
        """
        matrices = np.asarray(self.entries[:, _places(n_features)])
        matrices[:, 0, 0] = 0.0
        return matrices


def hermite_moments(population: Population, samples: Samples) -> HermiteMoments:
    """Sum Hermite's tensors over rows.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them; no selection cut them.
    """
    entries = np.zeros((population.n_components, len(_entries(population.n_features))))
    if samples.is_projected:
        for some in row_scores(population, samples):
            add_given_tensors(some.first, some.second, some.weights, some.zeroth, NEGLIGIBLE, entries)
        return HermiteMoments(entries)
    shares = responsibilities(population.component_log_densities(samples))
    for group in samples.groups:
        entries[:, _entries_of(tuple(group.observed), population.n_features)] += _of_group(
            population, group, shares[group.rows]
        )
    return HermiteMoments(entries)


def _of_group(population: Population, group: PatternGroup, q: Array) -> Array:
    """Sum (K, E) over rows that see the same features, in these."""
    mixture, observed = population.mixture, group.observed
    sums = np.zeros((population.n_components, len(_entries(len(observed)))))
    add_tensors(
        np.ascontiguousarray(group.values),
        kernel_noise(group, slice(None)),
        np.ascontiguousarray(mixture.means[:, observed]),
        pack(mixture.covariances[:, observed[:, None], observed]),
        group.weights,
        q,
        NEGLIGIBLE,
        sums,
    )
    return sums


def density_curvature(chart: Chart, moments: HermiteMoments) -> Array:
    """Sum (p, p) of p'' / p over rows by a chart's coordinates, along straight lines of parameters."""
    curvature = np.zeros((chart.n_parameters, chart.n_parameters))
    for k, matrix in enumerate(moments.matrices(chart.origin.n_features)):
        slopes = _slopes(chart, k)
        moved = np.flatnonzero(slopes.any(axis=0))
        slopes = slopes[:, moved]
        bent = np.einsum("ab,bq->aq", matrix, slopes)
        curvature[np.ix_(moved, moved)] += np.einsum("ap,aq->pq", slopes, bent)
    return np.asarray((curvature + curvature.T) / 2)


def _slopes(chart: Chart, k: int) -> Array:
    """Return the derivatives (1 + D + P, p) of a component's parameters by the coordinates."""
    population = chart.origin
    n_components, n_features = population.n_components, population.n_features
    unit = np.eye(1 + n_features + packed_size(n_features))
    alone = np.zeros((len(unit), n_components, len(unit)))
    alone[:, k] = unit
    background = np.zeros((len(unit), len(population.backgrounds)))
    parts = alone[:, :, 0], background, alone[:, :, 1 : 1 + n_features], alone[:, :, 1 + n_features :]
    return chart.scores(population, *parts)


@cache
def _places(n_features: int) -> NDArray[np.intp]:
    """Where the tensor of every pair of parameters (1 + D + P, 1 + D + P) lies among the entries of all orders."""
    i, j = lower_indices(n_features)
    indices = [(), *((a,) for a in range(n_features)), *zip(i.tolist(), j.tolist(), strict=True)]
    place = _numbered(n_features)
    together = [[place[tuple(sorted((*a, *b), reverse=True))] for b in indices] for a in indices]
    return np.array(together, dtype=np.intp)


@cache
def _entries_of(observed: tuple[int, ...], n_features: int) -> NDArray[np.intp]:
    """Where the entries of some features (ascending) lie among those of all."""
    place = _numbered(n_features)
    entries = _entries(len(observed))
    return np.array([place[tuple(observed[i] for i in entry)] for entry in entries], dtype=np.intp)


def _numbered(n_features: int) -> dict[tuple[int, ...], int]:
    return {entry: number for number, entry in enumerate(_entries(n_features))}


@cache
def _entries(n_features: int) -> tuple[tuple[int, ...], ...]:
    """List the indices of the entries of all orders, descending, the last one fastest."""
    features = range(n_features - 1, -1, -1)
    orders = (sorted(combinations_with_replacement(features, order)) for order in range(5))
    return tuple(entry for order in orders for entry in order)
