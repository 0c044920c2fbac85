"""Outer products of the scores of single rows, whose sum is the information that the rows hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.block_matrix import BlockMatrix
from dgmmis.class_scores import ClassScores
from dgmmis.coordinates import Chart
from dgmmis.outer_product_kernels import add_outer_products
from dgmmis.packed import Array
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut

__all__ = ["MOST_TOGETHER", "OuterProducts", "Scorer", "outer_products", "places_of"]

MOST_TOGETHER = 5000
"""With more parameters than these only the information within each component is kept: the square of 5,000 takes
200 MB, and as many rows as it takes to fill it."""

SHARED_BY_THREADS = 128
"""With fewer parameters threads would wait for each other."""


@dataclass(frozen=True)
class OuterProducts:
    """What the scores of rows add up to; those of a whole are the sum of its parts'.

    With s the weight of a row and z its score, the gradient of its term ln p(x) - ln Z by the p coordinates:

    Attributes
    ----------
    rows : int
        Rows with an observed feature.
    weight : float
        Sum of their weights.
    score : (p,)
        sum s z.
    matrix : BlockMatrix
        sum s z z^T: weights count repetitions.
    squared : BlockMatrix or None
        sum s^2 z z^T, if asked for: the variance of the score, whatever the weights mean.
    """

    rows: int
    weight: float
    score: Array
    matrix: BlockMatrix
    squared: BlockMatrix | None = None

    def __add__(self, other: OuterProducts) -> OuterProducts:
        both = None
        if self.squared is not None and other.squared is not None:
            both = self.squared + other.squared
        return OuterProducts(
            self.rows + other.rows,
            self.weight + other.weight,
            self.score + other.score,
            self.matrix + other.matrix,
            both,
        )


@dataclass(frozen=True)
class Scorer:
    """Scores rows one chunk at a time.

    Attributes
    ----------
    chart : Chart
        Scores are gradients by its coordinates, at its origin.
    cut : Cut, optional
        The selection that the rows passed.
    of_classes : ClassScores, optional
        Gradients of -ln Z, under a selection.
    squares : bool
        Sum s^2 z z^T too.
    together : int, optional
        With more parameters than these only the products within each component are summed; default `MOST_TOGETHER`.
    """

    chart: Chart
    cut: Cut | None = None
    of_classes: ClassScores | None = None
    squares: bool = False
    together: int | None = None

    def score(self, samples: Samples, *, threads: int = 1) -> OuterProducts:
        """Sum the outer products of some rows.

        Memory is bounded: scores exist for one slab of rows at a time.  The bits do not depend on `threads`.

        Parameters
        ----------
        samples : Samples
            As `prepare` returned them.
        threads : int
            Each sums its own rows of the matrix.
        """
        n_rows, weight, places = 0, 0.0, places_of(self.chart, self.together)
        score = np.zeros(self.chart.n_parameters)
        sums = [BlockMatrix.zero(places) for _ in range(1 + self.squares)]
        for weights, scores in self._slabs(samples):
            n_rows += len(weights)
            weight += float(weights.sum())
            score += np.einsum("n,np->p", weights, scores)
            for power, matrix in enumerate(sums, start=1):
                for place, block in zip(places, matrix.blocks, strict=True):
                    _add(scores if len(places) == 1 else scores[:, place], weights**power, block, threads)
        whole = [_symmetric(matrix) for matrix in sums]
        return OuterProducts(n_rows, weight, score, whole[0], whole[1] if self.squares else None)

    def _slabs(self, samples: Samples) -> Iterator[tuple[Array, Array]]:
        """Yield weights (n,) and scores (n, p) of all rows, some at a time."""
        population = self.chart.origin
        which = None if self.of_classes is None else self.of_classes.assign(samples)
        for some in row_scores(population, samples, self.cut):
            scores = self.chart.scores(population, some.zeroth, some.background, some.first, some.second)
            if self.of_classes is not None and which is not None:
                scores = scores + self.of_classes.scores[which[some.rows]]
            yield some.weights, np.ascontiguousarray(scores)


def outer_products(
    chart: Chart,
    samples: Samples,
    cut: Cut | None = None,
    of_classes: ClassScores | None = None,
    *,
    threads: int = 1,
    together: int | None = None,
) -> OuterProducts:
    """Sum the outer products of the rows' scores at a chart's origin; parameters as of `Scorer` and its `score`."""
    return Scorer(chart, cut, of_classes, together=together).score(samples, threads=threads)


def places_of(chart: Chart, together: int | None = None) -> tuple[NDArray[np.intp], ...]:
    """Coordinates whose information is kept together: all, or those of each component if they are very many."""
    if chart.n_parameters <= (MOST_TOGETHER if together is None else together):
        return (np.arange(chart.n_parameters),)
    return tuple(np.flatnonzero(chart.owners == owner) for owner in np.unique(chart.owners))


def _add(scores: Array, weights: Array, block: Array, threads: int) -> None:
    """Add sum w z z^T to the lower triangle of a block."""
    size = scores.shape[1]
    if threads == 1 or size < SHARED_BY_THREADS:
        add_outer_products(scores, weights, 0, size, block)
        return
    edges = (size * np.sqrt(np.linspace(0, 1, threads + 1))).astype(int)  # equal shares of the triangle
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: add_outer_products(scores, weights, a, b, block), edges[:-1], edges[1:]))


def _symmetric(matrix: BlockMatrix) -> BlockMatrix:
    return BlockMatrix(matrix.places, tuple(np.tril(block) + np.tril(block, -1).T for block in matrix.blocks))
