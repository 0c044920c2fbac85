"""An order of points in which neighbours in memory are neighbours in space: the leaves of a kd-tree, left to right.

The tree is left-complete: a node of n points is split after the first leaf * 2^j of them, the most that is
less than n.  So every run of leaf * 2^l points that starts at a multiple of its length is one node of the tree,
at any level l, and whoever wants boxes of such runs needs no index but the order itself.

Points are compared by their coordinate on the axis that is split, and by their position in the input where
that is the same.  This leaves no choice of which points come left, so the order is a function of the points
and not of how they are selected; inside a leaf they keep the order of the input.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAF", "axis_scales", "kd_order"]

Floats = NDArray[np.float64]

LEAF = 64
"""Points of a leaf: blocks of the kernels have one or two of them."""

SCALE_POINTS = 4096
"""Points of the subsample that tells the scale of each axis."""

NINTHER = 256
"""Points from which on a pivot is the median of nine instead of three."""

DEPTH = 64
"""Nodes that can wait at once: no more than there are sizes leaf * 2^j."""

_compile = numba.njit(cache=True, nogil=True, error_model="numpy")


def kd_order(values: Floats, leaf: int = LEAF, scales: Floats | None = None) -> NDArray[np.intp]:
    """Order points by a kd-tree.

    Nodes are split on the axis on which their points extend furthest, in units of that axis' scale.  With the default
    scales, a power of two that an axis is scaled by changes nothing.

    Parameters
    ----------
    values : (n, d)
        Without NaN.
    leaf : int
        Most points of a node that is not split, at least 1.
    scales : (d,), optional
        By default `axis_scales(values)`.

    Returns
    -------
    (n,) intp
        Positions in the input.
    """
    n_points, n_axes = values.shape
    order = np.arange(n_points)
    if n_axes and n_points > leaf:
        scales = axis_scales(values) if scales is None else scales
        _arrange(np.ascontiguousarray(values), scales, order, np.empty(n_points), leaf)
    return order


def axis_scales(values: Floats) -> Floats:
    """Interquartile range (d,) of each axis in a subsample, or its whole extent where that is 0."""
    sample = values[:: max(1, len(values) // SCALE_POINTS)]
    quarter, three = len(sample) // 4, 3 * len(sample) // 4
    ranked = np.partition(sample, (quarter, three), axis=0)
    spread = ranked[three] - ranked[quarter]
    return np.asarray(np.where(spread > 0, spread, values.max(axis=0) - values.min(axis=0)))


@_compile
def _arrange(values, scales, order, keys, leaf):  # type: ignore[no-untyped-def]
    """Sort `order` into the leaves of the tree; `keys` (n,) is scratch."""
    waiting = np.empty((DEPTH, 2), np.intp)
    waiting[0, 0], waiting[0, 1] = 0, len(order)
    n_waiting = 1
    while n_waiting:
        n_waiting -= 1
        first, end = waiting[n_waiting]
        if end - first <= leaf:
            _sort_positions(order, first, end)
            continue
        left = leaf
        while 2 * left < end - first:
            left *= 2
        axis = _widest_axis(values, scales, order, first, end)
        for i in range(first, end):
            keys[i] = values[order[i], axis]
        _select(keys, order, first, end, first + left)
        waiting[n_waiting, 0], waiting[n_waiting, 1] = first + left, end
        waiting[n_waiting + 1, 0], waiting[n_waiting + 1, 1] = first, first + left
        n_waiting += 2


@_compile
def _widest_axis(values, scales, order, first, end):  # type: ignore[no-untyped-def]
    """Find the axis of the widest extent; 0 if all points are the same, which then go by position."""
    widest, best = 0.0, 0
    for axis in range(values.shape[1]):
        low = high = values[order[first], axis]
        for i in range(first + 1, end):
            value = values[order[i], axis]
            low, high = min(low, value), max(high, value)
        if high > low and (high - low) / scales[axis] > widest:
            widest, best = (high - low) / scales[axis], axis
    return best


@_compile
def _select(keys, order, first, end, split):  # type: ignore[no-untyped-def]
    """Bring the points of lowest (key, position) before `split`; each round leaves the pivot out, so it ends.

    Pivots are medians of points at scrambled places: no natural order of the input makes them bad.
    """
    state = np.uint64(end - first)
    while end - first > 1:
        pivot, state = _pivot(keys, order, first, end, state)
        _swap(keys, order, pivot, end - 1)
        key, position = keys[end - 1], order[end - 1]
        store = first
        for i in range(first, end - 1):  # every step swaps: no branch to mispredict
            less = (keys[i] < key) | ((keys[i] == key) & (order[i] < position))
            _swap(keys, order, store, i)
            store += less
        _swap(keys, order, store, end - 1)
        if store == split:
            return
        if store < split:
            first = store + 1
        else:
            end = store


@_compile
def _pivot(keys, order, first, end, state):  # type: ignore[no-untyped-def]
    """Median of three points of first..end, or of three such medians if there are many."""
    if end - first < NINTHER:
        return _median_at_random(keys, order, first, end, state)
    a, state = _median_at_random(keys, order, first, end, state)
    b, state = _median_at_random(keys, order, first, end, state)
    c, state = _median_at_random(keys, order, first, end, state)
    return _median(keys, order, a, b, c), state


@_compile
def _median_at_random(keys, order, first, end, state):  # type: ignore[no-untyped-def]
    size = np.uint64(end - first)
    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    a = first + np.intp((state >> np.uint64(33)) % size)
    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    b = first + np.intp((state >> np.uint64(33)) % size)
    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    c = first + np.intp((state >> np.uint64(33)) % size)
    return _median(keys, order, a, b, c), state


@_compile
def _median(keys, order, a, b, c):  # type: ignore[no-untyped-def]
    if _less(keys, order, b, a):
        a, b = b, a
    if _less(keys, order, c, b):
        b = a if _less(keys, order, c, a) else c
    return b


@_compile
def _less(keys, order, a, b):  # type: ignore[no-untyped-def]
    return keys[a] < keys[b] or (keys[a] == keys[b] and order[a] < order[b])


@_compile
def _swap(keys, order, a, b):  # type: ignore[no-untyped-def]
    keys[a], keys[b] = keys[b], keys[a]
    order[a], order[b] = order[b], order[a]


@_compile
def _sort_positions(order, first, end):  # type: ignore[no-untyped-def]
    """Sort a leaf's positions, by insertion if they are few."""
    if end - first > LEAF:
        order[first:end].sort()
        return
    for i in range(first + 1, end):
        position, place = order[i], i
        while place > first and order[place - 1] > position:
            order[place] = order[place - 1]
            place -= 1
        order[place] = position
