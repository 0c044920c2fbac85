"""A selection made of planes as a partition: disjoint regions that cover everything, each with one probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dgmmis.packed import Array
from dgmmis.selection.binding import Branch, Leaf, Node
from dgmmis.selection.shapes import Ball, Box, HalfSpace

__all__ = ["Limit", "Region", "Sight", "partition"]

MOST_PIECES = 512
"""Regions from which on a partition is given up: its selection is sampled instead."""
MOST_CROSSINGS = 4096
"""Pairs of regions that are looked at for one combination."""


@dataclass(frozen=True)
class Sight:
    """What is known of some rows.

    Attributes
    ----------
    table : (N, D + C)
        NaN at the uncertain columns.
    uncertain : tuple of int
        Columns that are uncertain, ascending.
    shape_only : bool
        Look for the regions that any rows might need, whatever their known values.
    """

    table: Array
    uncertain: tuple[int, ...]
    shape_only: bool = False

    def sees(self, node: Node) -> bool:
        """Tell whether a selection uses known columns only."""
        return not set(node.columns) & set(self.uncertain)

    def weight(self, compute: Callable[[], Array]) -> Array:
        """Give probabilities (N,) that known columns decide."""
        return np.full(len(self.table), 0.5) if self.shape_only else np.asarray(compute(), dtype=np.float64)


@dataclass(frozen=True)
class Limit:
    """One linear constraint low <= direction . z <= high on the uncertain columns.

    Attributes
    ----------
    direction : tuple of float   (u,), its largest number is 1
    low, high : (1,) or (N,)
    """

    direction: tuple[float, ...]
    low: Array
    high: Array

    def between(self, low: Array, high: Array) -> Limit:
        """Cut further."""
        return Limit(self.direction, np.maximum(self.low, low), np.minimum(self.high, high))

    def is_empty(self) -> bool:
        """Tell whether no row can have it."""
        return bool((self.low > self.high).all())


Region = tuple[Limit, ...]
Piece = tuple[Array, Region]
"""A probability, (1,) or (N,), and the region where it holds."""


def partition(node: Node, sight: Sight) -> list[Piece] | None:
    """Cut the space of the uncertain columns into regions of equal probability.

    Returns
    -------
    list of (probability, region), or None
        None if the selection is not made of planes, or of too many.
    """
    if sight.sees(node):
        return [(sight.weight(lambda: node.evaluate(sight.table)), ())]
    if isinstance(node, Leaf):
        return _of_part(node, sight)
    pieces: list[Piece] | None = None
    for member in node.members:
        others = partition(member, sight)
        pieces = others if pieces is None else _crossed(node, pieces, others)
        if pieces is None:
            return None
    if node.kind == "not" and pieces is not None:
        return [(1 - weight, region) for weight, region in pieces]
    return pieces


def _crossed(node: Branch, first: list[Piece], second: list[Piece] | None) -> list[Piece] | None:
    """Regions of two partitions laid over each other."""
    if second is None or len(first) * len(second) > MOST_CROSSINGS:
        return None
    crossed = []
    for weight, region in first:
        for other_weight, other in second:
            both = _intersection(region, other)
            if both is not None:
                crossed.append((node.combine([*np.broadcast_arrays(weight, other_weight)]), both))
    return crossed if len(crossed) <= MOST_PIECES else None


def _intersection(region: Region, other: Region) -> Region | None:
    limits = {limit.direction: limit for limit in region}
    for limit in other:
        known = limits.get(limit.direction)
        limits[limit.direction] = limit if known is None else known.between(limit.low, limit.high)
    if any(limit.is_empty() for limit in limits.values()):
        return None
    return tuple(limits.values())


def _of_part(leaf: Leaf, sight: Sight) -> list[Piece] | None:
    if isinstance(leaf.part, Box):
        return _of_box(leaf, leaf.part, sight)
    if isinstance(leaf.part, HalfSpace):
        return _of_half_space(leaf, leaf.part, sight)
    if isinstance(leaf.part, Ball):
        return _of_ball(leaf, leaf.part, sight)
    return None


def _of_box(leaf: Leaf, box: Box, sight: Sight) -> list[Piece]:
    known = [f for f, column in enumerate(leaf.columns) if column not in sight.uncertain]
    low, high = np.array(box.low), np.array(box.high)

    def inside() -> Array:
        values = sight.table[:, [leaf.columns[f] for f in known]]
        kept = ((values >= low[known]) & (values <= high[known])).all(axis=1)
        return np.asarray(kept, dtype=np.float64)

    limits = []
    for f, column in enumerate(leaf.columns):
        if column in sight.uncertain:
            direction = _axis(sight, column)
            limits.append(Limit(direction, low[f : f + 1], high[f : f + 1]))
    return _inside_and_around(limits, sight.weight(inside) if known else np.ones(1))


def _of_half_space(leaf: Leaf, half: HalfSpace, sight: Sight) -> list[Piece]:
    normal = np.array([0.0] * len(sight.uncertain))
    offset: Array = np.full(1, half.offset)
    for component, column in zip(half.normal, leaf.columns, strict=True):
        if column in sight.uncertain:
            normal[sight.uncertain.index(column)] += component
        elif component:
            offset = offset - component * sight.table[:, column]
    if not normal.any():
        return [(sight.weight(lambda: np.asarray(offset < 0, dtype=np.float64)), ())]
    scale = normal[np.argmax(np.abs(normal))]
    face = offset / scale
    everywhere = Limit(tuple((normal / scale).tolist()), np.full(1, -np.inf), np.full(1, np.inf))
    inner = (np.nextafter(face, np.inf), np.inf) if scale > 0 else (-np.inf, np.nextafter(face, -np.inf))
    return _inside_and_around([everywhere.between(*(np.asarray(side) for side in inner))], np.ones(1))


def _of_ball(leaf: Leaf, ball: Ball, sight: Sight) -> list[Piece] | None:
    """Cut one uncertain column by a ball; a ball of several is no polytope."""
    uncertain = [f for f, column in enumerate(leaf.columns) if column in sight.uncertain]
    if len(uncertain) > 1:
        return None
    known = [f for f in range(len(leaf.columns)) if f not in uncertain]
    off = sight.table[:, [leaf.columns[f] for f in known]] - np.array(ball.center)[known]
    apart = np.hypot.reduce(off, axis=1) if known else np.zeros(1)
    reach = np.sqrt(np.maximum((ball.radius - apart) * (ball.radius + apart), 0))
    centre = ball.center[uncertain[0]]
    limit = Limit(_axis(sight, leaf.columns[uncertain[0]]), centre - reach, centre + reach)
    weight = sight.weight(lambda: (apart <= ball.radius).astype(np.float64)) if known else np.ones(1)
    return _inside_and_around([limit], weight)


def _axis(sight: Sight, column: int) -> tuple[float, ...]:
    return tuple(float(column == other) for other in sight.uncertain)


def _inside_and_around(limits: list[Limit], weight: Array) -> list[Piece]:
    """Cut space into a region and the disjoint slices beside it, one or two for each limit in turn."""
    pieces: list[Piece] = []
    region: Region = ()
    for limit in limits:
        everywhere = Limit(limit.direction, np.full(1, -np.inf), np.full(1, np.inf))
        below = everywhere.between(np.array(-np.inf), np.nextafter(limit.low, -np.inf))
        above = everywhere.between(np.nextafter(limit.high, np.inf), np.array(np.inf))
        if not np.isneginf(limit.low).all():
            pieces.append((np.zeros(1), (*region, below)))
        if not np.isposinf(limit.high).all():
            pieces.append((np.zeros(1), (*region, above)))
        if not (np.isneginf(limit.low).all() and np.isposinf(limit.high).all()):
            region = (*region, limit)
    return [*pieces, (weight, region)]
