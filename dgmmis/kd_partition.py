"""A kd-tree made of a sample of points, and into which of its leaves other points fall.

Points are of a kind each, and those of one kind have the same coordinates (the others are NaN): the upper nodes
split by kind, those with one kind only by coordinate.  Points that are equal there are told apart by a serial number,
so that any crowd of points can be split, and the leaf of a point depends on nothing but the point and the tree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["KdPartition", "Points"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BY_KIND, BY_SERIAL, LEAF = -1, -2, -3
"""What a node has in place of an axis if it splits on none."""


@dataclass(frozen=True)
class Points:
    """Some points.

    Attributes
    ----------
    values : (n, d)
        NaN for coordinates that a kind of points does not have.
    kinds : (n,)
    serials : (n,)
        Different for each point.
    """

    values: Floats
    kinds: Integers
    serials: Integers

    def __len__(self) -> int:
        return len(self.serials)


@dataclass(frozen=True)
class KdPartition:
    """A tree of splits; nodes are numbered, 0 is the root.

    Attributes
    ----------
    n_leaves : int
    axes : (M,)
        The axis that a node splits on, or one of the three that are none.
    values : (M,)
        A point whose coordinate is lower goes left, as does one with the same coordinate and a lower serial.
    limits : (M,)
        That serial; the kind that goes right; or the number of the leaf, from left to right.
    rights : (M,)
        The right child; the left one is the next node.
    """

    n_leaves: int
    axes: Integers
    values: Floats
    limits: Integers
    rights: Integers

    @classmethod
    def of(cls, sample: Points, n_leaves: int) -> KdPartition:
        """Split a sample into `n_leaves` parts of about as many points, or fewer if the sample has too few."""
        return _Growth(sample).grown(n_leaves)

    def leaf_of(self, points: Points) -> NDArray[np.intp]:
        """Find the leaf (n,) of each point."""
        leaves = np.empty(len(points), np.intp)
        _descend(
            np.ascontiguousarray(points.values), points.kinds, points.serials,
            self.axes, self.values, self.limits, self.rights, leaves,
        )  # fmt: skip
        return leaves


class _Growth:
    """The nodes of a tree while it grows, left before right."""

    def __init__(self, sample: Points) -> None:
        self._sample = sample
        self._scales = _scales(sample.values)
        self._nodes: list[list[float | int]] = []
        self._n_leaves = 0

    def grown(self, n_leaves: int) -> KdPartition:
        self._grow(np.arange(len(self._sample)), n_leaves)
        axes, values, limits, rights = zip(*self._nodes, strict=True)
        return KdPartition(
            self._n_leaves,
            np.array(axes, np.int64),
            np.array(values, np.float64),
            np.array(limits, np.int64),
            np.array(rights, np.int64),
        )

    def _grow(self, points: NDArray[np.intp], n_leaves: int) -> None:
        if n_leaves < 2 or len(points) < 2:
            self._nodes.append([LEAF, 0.0, self._n_leaves, 0])
            self._n_leaves += 1
            return
        axis, value, limit, left, right = self._split(points, n_leaves)
        share = round(n_leaves * len(left) / len(points))
        share = min(max(share, 1), n_leaves - 1)
        node: list[float | int] = [axis, value, limit, 0]
        self._nodes.append(node)
        self._grow(left, share)
        node[3] = len(self._nodes)
        self._grow(right, n_leaves - share)

    def _split(
        self, points: NDArray[np.intp], n_leaves: int
    ) -> tuple[int, float, int, NDArray[np.intp], NDArray[np.intp]]:
        kinds = self._sample.kinds[points]
        if kinds.min() < kinds.max():
            ranked = points[np.argsort(kinds, kind="stable")]
            kinds = self._sample.kinds[ranked]
            borders = np.flatnonzero(np.diff(kinds)) + 1
            middle = int(borders[np.argmin(np.abs(2 * borders - len(points)))])
            return BY_KIND, 0.0, int(kinds[middle]), ranked[:middle], ranked[middle:]
        axis = self._widest_axis(points)
        column = np.zeros(len(points)) if axis == BY_SERIAL else self._sample.values[points, axis]
        ranked = np.lexsort((self._sample.serials[points], column))
        middle = max(1, len(points) * (n_leaves // 2) // n_leaves)
        at = ranked[middle]
        limit = int(self._sample.serials[points[at]])
        return axis, float(column[at]), limit, points[ranked[:middle]], points[ranked[middle:]]

    def _widest_axis(self, points: NDArray[np.intp]) -> int:
        """Find the axis of the widest extent of those that all points have, BY_SERIAL if there is none."""
        values = self._sample.values[points]
        extents = values.max(axis=0) - values.min(axis=0)  # NaN if a point lacks the coordinate
        widths = np.where(extents > 0, extents / self._scales, 0.0)
        return int(np.argmax(widths)) if len(widths) and widths.max() > 0 else BY_SERIAL


def _scales(values: Floats) -> Floats:
    """Interquartile range (d,) of the coordinates that points have, or the extent, or 1."""
    scales = np.ones(values.shape[1])
    for axis, column in enumerate(values.T):
        ranked = np.sort(column[~np.isnan(column)])
        if len(ranked) and ranked[-1] > ranked[0]:
            spread = ranked[3 * len(ranked) // 4] - ranked[len(ranked) // 4]
            scales[axis] = spread if spread > 0 else ranked[-1] - ranked[0]
    return scales


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _descend(values, kinds, serials, axes, cuts, limits, rights, leaves):  # type: ignore[no-untyped-def]
    """Take each point down the tree; what a point lacks (NaN) is not below any cut."""
    for i in range(len(leaves)):
        node = 0
        while axes[node] != LEAF:
            axis, limit = axes[node], limits[node]
            if axis == BY_KIND:
                left = kinds[i] < limit
            elif axis == BY_SERIAL:
                left = serials[i] < limit
            else:
                value = values[i, axis]
                left = value < cuts[node] or (value == cuts[node] and serials[i] < limit)
            node = node + 1 if left else rights[node]
        leaves[i] = limits[node]
