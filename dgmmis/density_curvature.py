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
from dgmmis.hermite_kernels import add_tensors
from dgmmis.packed import Array, lower_indices, packed_size
from dgmmis.population import Population
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples

__all__ = ["HermiteMoments", "density_curvature", "hermite_moments"]

NEGLIGIBLE = 1e-10
"""Responsibility below which a component is left out of a row's curvature."""


@dataclass(frozen=True)
class HermiteMoments:
    """Sums of w q times Hermite's tensors over rows; those of a whole are the sum of its parts'.

    Attributes
    ----------
    first : (K, D)
        Of u.
    second : (K, P)
        Of u u^T - G.
    third, fourth : (K, D (D + 1) (D + 2) / 6), (K, D (D + 1) (D + 2) (D + 3) / 24)
        Entries of descending indices, the last index fastest.
    """

    first: Array
    second: Array
    third: Array
    fourth: Array

    def __add__(self, other: HermiteMoments) -> HermiteMoments:
        return HermiteMoments(
            self.first + other.first,
            self.second + other.second,
            self.third + other.third,
            self.fourth + other.fourth,
        )

    @property
    def matrices(self) -> Array:
        """Sums (K, 1 + D + P, 1 + D + P) of p'' / p by the amplitude's logarithm, the mean and the packed covariance.

        An entry is the tensor of its row's and its column's indices together; that of the amplitude alone is 0.
        """
        n_components, n_features = self.first.shape
        none = np.zeros((n_components, 1))
        entries = np.concatenate((none, self.first, self.second, self.third, self.fourth), axis=1)
        return np.asarray(entries[:, _places(n_features)])


def hermite_moments(population: Population, samples: Samples) -> HermiteMoments:
    """Sum Hermite's tensors over rows.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them; no selection cut them.
    """
    n_components, n_features = population.n_components, population.n_features
    first, second = np.zeros((n_components, n_features)), np.zeros((n_components, packed_size(n_features)))
    third, fourth = (np.zeros((n_components, _count(n_features, order))) for order in (3, 4))
    for some in row_scores(population, samples):
        first += np.einsum("n,nki->ki", some.weights, some.first)
        second += np.einsum("n,nkp->kp", some.weights, some.second)
        add_tensors(some.weights, some.zeroth, some.first, some.second, NEGLIGIBLE, third, fourth)
    return HermiteMoments(first, second, third, fourth)


def density_curvature(chart: Chart, moments: HermiteMoments) -> Array:
    """Sum (p, p) of p'' / p over rows by a chart's coordinates, at its origin and along straight lines of parameters."""
    curvature = np.zeros((chart.n_parameters, chart.n_parameters))
    for k, matrix in enumerate(moments.matrices):
        slopes = _slopes(chart, k)
        moved = np.flatnonzero(slopes.any(axis=0))
        slopes = slopes[:, moved]
        bent = np.einsum("ab,bq->aq", matrix, slopes)
        curvature[np.ix_(moved, moved)] += np.einsum("ap,aq->pq", slopes, bent)
    return np.asarray((curvature + curvature.T) / 2)


def _slopes(chart: Chart, k: int) -> Array:
    """Derivatives (1 + D + P, p) of a component's parameters by the coordinates."""
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
    place = {entry: number for number, entry in enumerate(_entries(n_features))}
    together = [[place[tuple(sorted((*a, *b), reverse=True))] for b in indices] for a in indices]
    return np.array(together, dtype=np.intp)


def _entries(n_features: int) -> list[tuple[int, ...]]:
    """Indices of the entries of all orders, descending, the last one fastest."""
    orders = (sorted(_descending(n_features, order)) for order in range(5))
    return [entry for order in orders for entry in order]


def _descending(n_features: int, order: int) -> list[tuple[int, ...]]:
    return list(combinations_with_replacement(range(n_features - 1, -1, -1), order))


def _count(n_features: int, order: int) -> int:
    return len(_descending(n_features, order))
