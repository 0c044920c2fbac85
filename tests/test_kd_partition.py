"""A kd-tree over a sample sends every other point to one of its leaves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.kd_partition import KdPartition, Points


def make_points(seed: int, n_points: int, n_axes: int, missing: float, few_values: bool) -> Points:
    """Points of a kind each, which tells the coordinates they lack."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_points, n_axes))
    values = np.round(values) if few_values else values
    lacks = rng.random((4, n_axes)) < missing
    kinds = rng.choice(4, size=n_points, p=[0.6, 0.3, 0.08, 0.02])
    values[lacks[kinds]] = np.nan
    return Points(values, kinds.astype(np.int64), rng.permutation(n_points))


def subset(points: Points, which: np.ndarray | slice) -> Points:
    return Points(points.values[which], points.kinds[which], points.serials[which])


POINTS = st.builds(
    make_points,
    st.integers(0, 2**32 - 1),
    st.integers(1, 2000),
    st.integers(1, 4),
    st.sampled_from((0.0, 0.4, 1.0)),
    st.booleans(),
)


@given(POINTS, st.integers(1, 40))
def test_the_points_a_tree_was_made_of_fill_all_its_leaves(points, n_leaves):
    tree = KdPartition.of(points, n_leaves)
    counts = np.bincount(tree.leaf_of(points), minlength=tree.n_leaves)
    assert len(counts) == tree.n_leaves <= min(n_leaves, len(points))
    assert counts.min() >= 1
    assert tree.n_leaves == n_leaves or len(points) < 3 * n_leaves or len(np.unique(points.kinds)) > 1


@given(POINTS, st.integers(2, 40), st.integers(1, 300))
def test_the_leaf_of_a_point_depends_on_nothing_but_the_point_and_the_tree(points, n_leaves, batch):
    tree = KdPartition.of(subset(points, slice(0, 100)), n_leaves)
    whole = tree.leaf_of(points)
    assert whole.min() >= 0
    assert whole.max() < tree.n_leaves
    parts = [tree.leaf_of(subset(points, slice(i, i + batch))) for i in range(0, len(points), batch)]
    assert np.array_equal(np.concatenate(parts), whole)
    shuffled = np.random.default_rng(0).permutation(len(points))
    assert np.array_equal(tree.leaf_of(subset(points, shuffled)), whole[shuffled])
    again = KdPartition.of(subset(points, np.arange(min(100, len(points)))[::-1]), n_leaves)
    assert np.array_equal(again.leaf_of(points), whole)


@given(POINTS)
def test_any_two_points_can_be_told_apart(points):
    tree = KdPartition.of(points, len(points))
    assert tree.n_leaves == len(points)
    assert len(np.unique(tree.leaf_of(points))) == len(points)


def test_leaves_hold_even_shares_of_what_the_sample_stands_for():
    """The sample's 200 points a leaf scatter by 7 %."""
    points = make_points(1, 80_000, 3, 0.0, False)
    alike = Points(points.values, points.kinds * 0, points.serials)
    tree = KdPartition.of(subset(alike, slice(0, 3200)), 16)
    counts = np.bincount(tree.leaf_of(alike), minlength=16)
    np.testing.assert_allclose(counts, 5000, rtol=5 * 0.07)


def test_kinds_come_before_places():
    points = make_points(2, 5000, 3, 0.0, False)
    tree = KdPartition.of(points, 20)
    leaves = tree.leaf_of(points)
    for leaf in range(tree.n_leaves - 1):
        assert points.kinds[leaves == leaf].max() <= points.kinds[leaves == leaf + 1].min()
