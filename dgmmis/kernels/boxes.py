"""Boxes around runs of rows: the tree that decides which components a run of rows need not look at.

Level l of the tree has one node for each run of LEAF << l rows, the last one perhaps shorter; rows that were ordered
by `kd_order` lie close together in each run.  Rows are in the order of the arrays; nothing is stored of the tree but
the boxes, level after level, and where each level begins.
"""

from __future__ import annotations

import math

import numpy as np

from dgmmis.kd_order import LEAF
from dgmmis.kernels.elementary import compile_rows

__all__ = ["level_starts", "merge_levels", "noise_boxes", "row_boxes"]


def level_starts(n_rows: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Where each level begins among the nodes, finest first, and where the last one ends; it has one node."""
    n_nodes, starts = -(-n_rows // LEAF), [0]
    while n_nodes > 1:
        starts.append(starts[-1] + n_nodes)
        n_nodes = (n_nodes + 1) // 2
    return np.array([*starts, starts[-1] + n_nodes], dtype=np.intp)


@compile_rows
def row_boxes(values, low, high):  # type: ignore[no-untyped-def]
    """Smallest and largest of the columns (n, d) in each run of LEAF rows, into the first rows of (nodes, d)."""
    for first in range(0, len(values), LEAF):
        leaf = first // LEAF
        for j in range(values.shape[1]):
            least, largest = values[first, j], values[first, j]
            for row in range(first + 1, min(first + LEAF, len(values))):
                least = min(least, values[row, j])
                largest = max(largest, values[row, j])
            low[leaf, j], high[leaf, j] = least, largest


@compile_rows
def merge_levels(starts, low, high):  # type: ignore[no-untyped-def]
    """Fill the coarser levels: the box of a node holds those of its one or two children."""
    for level in range(1, len(starts) - 1):
        for node in range(starts[level], starts[level + 1]):
            left = starts[level - 1] + 2 * (node - starts[level])
            right = min(left + 1, starts[level] - 1)
            for j in range(low.shape[1]):
                low[node, j] = min(low[left, j], low[right, j])
                high[node, j] = max(high[left, j], high[right, j])


@compile_rows
def _radii(noise, row, ratio, radius):  # type: ignore[no-untyped-def]
    """Sum the sizes of a row's covariances in each line, in units of the line."""
    radius[:] = 0.0
    position = 0
    for i in range(len(radius)):
        for j in range(i):
            size = abs(noise[row, position])
            radius[i] += size * ratio[i, j]
            radius[j] += size * ratio[j, i]
            position += 1
        position += 1


@compile_rows
def noise_boxes(noise, scale, low, high):  # type: ignore[no-untyped-def]
    """Bound each run's packed covariances S by diagonal matrices, in the order of Loewner.

    By Gershgorin's circles of S in units of `scale` (d,): the radius of feature j is the sum of |S_ij| scale_j /
    scale_i over the others.  The lower matrix is the least of the circles' left ends times scale^2, 0 if that is
    negative: shortening single entries to 0 would not stay below S.
    """
    d = len(scale)
    unit = 1.0 / (scale * scale)
    radius, ratio = np.empty(d), np.empty((d, d))
    for i in range(d):
        for j in range(d):
            ratio[i, j] = scale[i] / scale[j]
    for first in range(0, len(noise), LEAF):
        leaf, smallest = first // LEAF, math.inf
        high[leaf] = 0.0
        for row in range(first, min(first + LEAF, len(noise))):
            _radii(noise, row, ratio, radius)
            position = 0
            for i in range(d):
                variance = noise[row, position]
                high[leaf, i] = max(high[leaf, i], variance + radius[i])
                smallest = min(smallest, (variance - radius[i]) * unit[i])
                position += i + 2
        for i in range(d):
            low[leaf, i] = max(smallest, 0.0) / unit[i]
