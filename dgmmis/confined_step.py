"""The step that a quadratic form asks for, confined to where amplitudes and covariances stay positive.

Where noise is broader than a component, the rows hardly tell its dispersion from nothing, and the maximum often lies at
the very edge: at a covariance that is singular, or an amplitude that is 0.  A quadratic form does not know of the edge.
Its own maximum, beyond, promises what cannot be had, and a step towards it that is shortened as a whole leaves all
other parameters behind.  So the form is maximised where changes to first order keep a share of every amplitude and of
every variance, in whatever direction.  Planes are laid where the step would cross that edge (Kelley 1960, Journal of
the Society for Industrial and Applied Mathematics 8, 703), and the form is maximised between them as a least distance
(Lawson & Hanson 1974, Solving Least Squares Problems, chapter 23).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from dgmmis.block_matrix import BlockMatrix
from dgmmis.coordinates import Chart
from dgmmis.covariance_edge import CovarianceEdge
from dgmmis.packed import Array, lower_indices
from dgmmis.positive_systems import Factor, factorize

__all__ = ["Information"]

MOST_ROUNDS = 20
"""Times that planes are laid; what still crosses the edge then is brought back by whoever makes the step."""

ROUNDED = 1e-9
"""Least excess of a least distance, relative to its unit: below, the planes lie too far away to be told."""

CROSSED = 1e-3
"""Share of an amplitude by which a step may cross its edge."""


@dataclass(frozen=True)
class Information:
    """Information by the coordinates of a chart, decomposed.

    Attributes
    ----------
    matrix : BlockMatrix
    factors : tuple of Factor
        Of each block.
    """

    matrix: BlockMatrix
    factors: tuple[Factor, ...]

    @classmethod
    def of(cls, matrix: BlockMatrix, damping: Array | None = None) -> Information | None:
        """Decompose a matrix with more (p,) on its diagonal; None if it is not positive definite."""
        factors = []
        for place, block in zip(matrix.places, matrix.blocks, strict=True):
            damped = block.copy()
            if damping is not None:
                damped[np.diag_indices(len(block))] += damping[place]
            factor = factorize(damped)
            if factor is None:
                return None
            factors.append(factor)
        return cls(matrix, tuple(factors))

    def divide(self, gradient: Array) -> Array | None:
        """Divide a gradient (p,) by the information; None if that is no number."""
        step = self._backward(self._forward(gradient[:, None]))[:, 0]
        return step if np.isfinite(step).all() else None

    def confined(self, gradient: Array, chart: Chart, edge: CovarianceEdge | None = None) -> Array | None:
        """Maximise g x - x I x / 2 where amplitudes and covariances keep a share; None if that is no number.

        The share is that of `edge`, by default what a step may leave, `chart.edge`.
        """
        edge = chart.edge if edge is None else edge
        free = self.divide(gradient)
        if free is None:
            return None
        step, slopes, wanted = free, np.zeros((len(free), 0)), np.zeros(0)
        for _ in range(MOST_ROUNDS):
            normals, least = _crossed(chart, step, edge)
            if not len(least):
                break
            more = self._forward(normals.T)
            lengths = np.sqrt(np.einsum("pm,pm->m", more, more))
            slopes = np.concatenate((slopes, more / lengths), axis=1)
            wanted = np.concatenate((wanted, (least - np.einsum("mp,p->m", normals, free)) / lengths))
            nearest = _least_distance(slopes, wanted)
            if nearest is None:
                break
            step = free + self._backward(nearest[:, None])[:, 0]
        return step

    def _forward(self, columns: Array) -> Array:
        return self._blockwise(columns, Factor.forward)

    def _backward(self, columns: Array) -> Array:
        return self._blockwise(columns, Factor.backward)

    def _blockwise(self, columns: Array, solve: Callable[[Factor, Array], Array]) -> Array:
        solution = np.zeros_like(columns)
        for place, factor in zip(self.matrix.places, self.factors, strict=True):
            solution[place] = solve(factor, columns[place])
        return solution


def _least_distance(slopes: Array, wanted: Array) -> Array | None:
    """Find the shortest z (p,) with slopes^T z >= wanted, for slopes (p, m) of length 1; None if rounding hides it."""
    unit = float(wanted.max())
    target = np.zeros(len(slopes) + 1)
    target[-1] = 1.0
    shares, _ = nnls(np.concatenate((slopes, wanted[None] / unit)), target)
    excess = 1.0 - float(np.einsum("m,m->", wanted / unit, shares))
    return np.asarray(np.einsum("pm,m->p", slopes, shares) * (unit / excess)) if excess > ROUNDED else None


def _crossed(chart: Chart, step: Array, edge: CovarianceEdge) -> tuple[Array, Array]:
    """Planes (m, p) that a step crosses, and what their products with it must be at least (m,)."""
    origin, change = chart.origin, chart.tangent(step)
    before = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    falls = np.array(chart.freedom.amplitudes) & (
        change.amplitudes < (edge.least_share - 1 - CROSSED) * before
    )
    components, directions, bounds = edge.crossed(change.covariances)
    if not falls.any() and not len(bounds):
        return np.zeros((0, len(step))), np.zeros(0)
    n_fallen, n_shrunk, n_components = int(falls.sum()), len(bounds), origin.n_components
    counts = np.concatenate((np.eye(len(before))[falls], np.zeros((n_shrunk, len(before)))))
    i, j = lower_indices(origin.n_features)
    second = np.zeros((n_fallen + n_shrunk, n_components, len(i)))
    second[n_fallen + np.arange(n_shrunk), components] = 2 * directions[:, i] * directions[:, j]
    first = np.zeros((len(counts), n_components, origin.n_features))
    normals = chart.scores(origin, counts[:, :n_components], counts[:, n_components:], first, second)
    return normals, np.concatenate((np.full(n_fallen, edge.least_share - 1), bounds))
