"""Where rows and model differ most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri

from dgmmis.checking.cells import Cells

__all__ = ["WorstCell", "cells_beyond", "expected_beyond", "worst_cells"]


@dataclass(frozen=True)
class WorstCell:
    """A cell in which rows and model differ.

    Attributes
    ----------
    columns : tuple of int
        Its features.
    sides : tuple of (low, high)
        One per feature; infinite where the cell is an outermost one.
    observed, expected, significance : float
    """

    columns: tuple[int, ...]
    sides: tuple[tuple[float, float], ...]
    observed: float
    expected: float
    significance: float


def worst_cells(projections: Iterable[Cells], *, most: int = 6, chance: float = 0.1) -> list[WorstCell]:
    """List the cells that differ most, the worst first, as far as chance does not explain them.

    A misfit covers many cells, so of neighbours within a projection only the worst is listed, and of a projection
    at most two.

    Parameters
    ----------
    projections : iterable of Cells
    most : int
        Cells to list.
    chance : float
        Cells are listed if they differ by more than chance leaves so many of all cells together.
    """
    projections = tuple(projections)
    n_cells = sum(int(projection.filled.sum()) for projection in projections)
    least = -float(ndtri(chance / (2 * n_cells))) if n_cells else np.inf
    found = [cell for projection in projections for cell in _peaks(projection, least)]
    return sorted(found, key=lambda cell: -abs(cell.significance))[:most]


def cells_beyond(projections: Iterable[Cells], deviations: float) -> tuple[int, int]:
    """Count the judged cells that differ by more than so many standard deviations, and all judged ones."""
    beyond = judged = 0
    for projection in projections:
        values = np.abs(projection.significance[projection.judged])
        beyond += int((values > deviations).sum())
        judged += len(values)
    return beyond, judged


def expected_beyond(judged: int, deviations: float) -> float:
    """How many of so many cells differ by more than that by chance."""
    return float(2 * judged * np.exp(log_ndtr(-deviations)))


def _peaks(projection: Cells, least: float) -> list[WorstCell]:
    size = np.abs(projection.significance)
    order = np.argsort(-size, axis=None, kind="stable")
    chosen: list[tuple[int, ...]] = []
    for flat in order:
        place = tuple(int(i) for i in np.unravel_index(flat, size.shape))
        if size[place] < least or len(chosen) == 2:
            break
        if all(max(abs(a - b) for a, b in zip(place, other, strict=True)) > 2 for other in chosen):
            chosen.append(place)
    return [_cell(projection, place) for place in chosen]


def _cell(projection: Cells, place: tuple[int, ...]) -> WorstCell:
    sides = []
    for edges, i in zip(projection.edges, place, strict=True):
        low = -np.inf if i == 0 else float(edges[i])
        high = np.inf if i == len(edges) - 2 else float(edges[i + 1])
        sides.append((low, high))
    return WorstCell(
        projection.columns,
        tuple(sides),
        float(projection.observed[place]),
        float(projection.expected[place]),
        float(projection.significance[place]),
    )
