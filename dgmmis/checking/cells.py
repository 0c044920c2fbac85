"""Rows counted in cells of one or two features: as observed, as expected, and how far these are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dgmmis.checking.count_differences import Counts, significance
from dgmmis.checking.simulated import Simulated
from dgmmis.packed import Array
from dgmmis.rows import Rows

__all__ = ["Cells", "common_range", "count_cells", "edges_of"]

INNER = (0.003, 0.997)
"""Quantiles between which the cells lie; the outermost ones reach on without end."""
LARGEST_SHARE = 0.95
"""Of a cell's rows that may count as certain to lie there, when its scatter is worked out."""
JUDGED = 5.0
"""Rows that a cell must be expected to hold for its significance to be nearly normal."""


@dataclass(frozen=True)
class Cells:
    """Cells of one or two features.

    Attributes
    ----------
    columns : tuple of int
        The features, one or two.
    edges : tuple of (B + 1,)
        One array per feature.  Values beyond the outermost edges are counted in the outermost cells.
    observed : (B,) or (B, C)
        Sum of the weights of the rows in each cell.
    expected : (B,) or (B, C)
        The same of an average simulated catalogue.
    scatter : (B,) or (B, C)
        Standard deviation of what is observed, if the model holds.
    significance : (B,) or (B, C)
        (observed - expected) in standard deviations, those of the simulation included; in cells of few rows what a
        Gaussian would need to be as improbable.  0 where nothing was observed nor expected.
    one : (B,) or (B, C)
        What one row adds to a cell: 1 without weights.
    """

    columns: tuple[int, ...]
    edges: tuple[Array, ...]
    observed: Array
    expected: Array
    scatter: Array
    significance: Array
    one: Array

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Cells in which something was observed or expected."""
        return np.asarray((self.observed > 0) | (self.expected > 0))

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Cells that are expected to hold at least five rows."""
        return np.asarray(self.expected >= JUDGED * self.one)

    @property
    def mean_square(self) -> float:
        """Mean squared significance of the judged cells: 1 if the model holds; NaN if there are none."""
        judged = self.judged
        return float(np.mean(self.significance[judged] ** 2)) if judged.any() else float("nan")


def common_range(observed: Array, simulated: Array) -> tuple[float, float]:
    """Give a feature's range: the bulk of the rows as observed and as simulated."""
    both = np.concatenate([values[~np.isnan(values)] for values in (observed, simulated)])
    if not len(both):
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.quantile(both, INNER))
    if not high > low:
        half = 0.5 * (abs(low) or 1.0)
        low, high = low - half, high + half
    return low, high


def edges_of(n_rows: float, span: tuple[float, float], n_columns: int) -> Array:
    """Cut a range into equal cells, so many that a cell of one or two features holds about twenty rows."""
    n_cells = n_rows / 60 if n_columns == 1 else np.sqrt(n_rows / 20)
    most, least = (48, 10) if n_columns == 1 else (36, 6)
    return np.linspace(*span, int(np.clip(n_cells, least, most)) + 1)


def count_cells(rows: Rows, simulated: Simulated, columns: Sequence[int], edges: Sequence[Array]) -> Cells:
    """Count the rows that have these features, and the simulated ones, in the same cells.

    Parameters
    ----------
    rows : Rows
    simulated : Simulated
        Of these rows.
    columns : sequence of int
        One feature or two.
    edges : sequence of (B + 1,)
        One array per feature.
    """
    columns = list(columns)
    present = ~np.isnan(rows.values[:, columns]).any(axis=1)
    weights = (np.ones(len(rows)) if rows.weights is None else rows.weights)[present]
    shape = tuple(len(side) - 1 for side in edges)
    size = int(np.prod(shape))
    found = _place(rows.values[present][:, columns], edges)
    drawn = [_place(values[present][:, columns], edges) for values in simulated.values]
    m, squares = simulated.n_replicates, weights**2
    expected_squares = sum((_sums(place, squares, size) for place in drawn), np.zeros(size)) / m
    counts = Counts(
        observed=_sums(found, weights, size),
        squares=_sums(found, squares, size),
        expected=sum((_sums(place, weights, size) for place in drawn), np.zeros(size)) / m,
        expected_squares=expected_squares,
        certainty=_certainty(drawn, squares, expected_squares),
        replicates=m,
    )
    parts = (counts.observed, counts.expected, counts.scatter, significance(counts), counts.one)
    return Cells(tuple(columns), tuple(edges), *(part.reshape(shape) for part in parts))


def _sums(place: NDArray[np.intp], weights: Array, size: int) -> Array:
    return np.asarray(np.bincount(place, weights, minlength=size), dtype=np.float64)


def _place(values: Array, edges: Sequence[Array]) -> NDArray[np.intp]:
    """Give the cell of each row (n,); what lies beyond the edges is in the outermost cells."""
    place = np.zeros(len(values), dtype=np.intp)
    for j, side in enumerate(edges):
        inside = np.clip(np.searchsorted(side, values[:, j], side="right") - 1, 0, len(side) - 2)
        place = place * (len(side) - 1) + inside
    return place


def _certainty(drawn: Sequence[NDArray[np.intp]], squares: Array, expected: Array) -> Array:
    """Estimate sum s^2 P^2 / sum s^2 P of each cell, P being a row's own chance to lie there.

    A row that is certain to lie in a cell adds nothing to its scatter.  P^2 is the chance that two replicates of the
    row both lie there.

    Parameters
    ----------
    drawn : sequence of (n,)
        Cells of the rows in each replicate.
    squares : (n,)
        s^2.
    expected : (B,)
        Mean over the replicates of sum s^2.
    """
    twice = np.zeros(len(expected))
    for one, other in pairwise(drawn):
        same = one == other
        twice += _sums(one[same], squares[same], len(expected))
    shares = twice / (len(drawn) - 1) / np.where(expected > 0, expected, 1)
    return np.clip(shares, 0, LARGEST_SHARE)
