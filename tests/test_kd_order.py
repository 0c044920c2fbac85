"""Points in the order of a kd-tree whose nodes are the aligned runs of that order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.kd_order import kd_order
from kd_oracle import kd_positions, left_size


@st.composite
def points(draw, few_values: bool | None = None) -> np.ndarray:
    """Up to 700 points in up to 4 dimensions; with few values there are many ties and constant axes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(0, 700)), draw(st.integers(1, 4)))
    if draw(st.booleans()) if few_values is None else few_values:
        return rng.integers(0, rng.integers(1, 9, size=shape[1]), size=shape).astype(float)
    return rng.standard_t(2, size=shape) * rng.uniform(0.01, 100, size=shape[1])


LEAVES = st.sampled_from((1, 3, 16, 64, 150))


@given(points(), LEAVES)
def test_the_order_is_that_of_the_tree_by_its_definition(values, leaf):
    order = kd_order(values, leaf)
    assert order.dtype == np.intp
    assert np.array_equal(order, kd_positions(values, leaf))


@given(points(), LEAVES)
def test_the_order_is_a_permutation(values, leaf):
    assert np.array_equal(np.sort(kd_order(values, leaf)), np.arange(len(values)))


@given(points(), LEAVES)
def test_every_aligned_run_is_cut_off_from_its_sibling_on_some_axis(values, leaf):
    ordered = values[kd_order(values, leaf)]

    def check(node: np.ndarray) -> None:
        if len(node) > leaf:
            left, right = np.split(node, [left_size(len(node), leaf)])
            assert (left.max(axis=0) <= right.min(axis=0)).any()
            check(left)
            check(right)

    check(ordered)
    for level in range(4):
        size = leaf << level
        for first in range(0, len(values) - size + 1, 2 * size):
            left, right = ordered[first : first + size], ordered[first + size : first + 2 * size]
            assert not len(right) or (left.max(axis=0) <= right.min(axis=0)).any()


@given(points(), LEAVES)
def test_the_same_points_have_the_same_order_in_any_layout_and_thread(values, leaf):
    order = kd_order(values, leaf)
    with ThreadPoolExecutor(2) as threads:
        for again in threads.map(lambda v: kd_order(v, leaf), [np.asfortranarray(values), values[:, :]]):
            assert np.array_equal(again, order)


@given(points(few_values=True), LEAVES, st.integers(-40, 40), st.integers(-8, 8))
def test_scaling_and_shifting_an_axis_by_powers_of_two_changes_nothing(values, leaf, power, shift):
    """Whole numbers are shifted without rounding."""
    moved = values.copy()
    moved[:, 0] = (moved[:, 0] + 2.0**shift * (shift != 0)) * 2.0**power
    assert np.array_equal(kd_order(moved, leaf), kd_order(values, leaf))


@given(points(few_values=False), LEAVES, st.integers(-40, 40))
def test_scaling_any_axis_by_a_power_of_two_changes_nothing(values, leaf, power):
    scaled = values.copy()
    scaled[:, -1] *= 2.0**power
    assert np.array_equal(kd_order(scaled, leaf), kd_order(values, leaf))


@given(st.integers(0, 1000), st.integers(0, 3))
def test_equal_points_keep_their_order(n_points, n_axes):
    assert np.array_equal(kd_order(np.full((n_points, n_axes), 0.3)), np.arange(n_points))


@given(st.integers(0, 64))
def test_no_more_points_than_a_leaf_keep_their_order(n_points):
    values = np.random.default_rng(n_points).normal(size=(n_points, 2))
    assert np.array_equal(kd_order(values), np.arange(n_points))


def test_neighbours_in_the_order_are_neighbours_in_space():
    """The boxes of 64 of 64,000 uniform points in a square cover it about once, those of the given order 1000 times."""
    values = np.random.default_rng(0).random((64_000, 2))

    def area(ordered: np.ndarray) -> float:
        return float(np.ptp(ordered.reshape(-1, 64, 2), axis=1).prod(axis=1).sum())

    assert area(values[kd_order(values)]) < 1.0
    assert area(values) > 800


A = np.arange(400_000.0)
SHAPES = {
    "sorted": A,
    "reversed": -A,
    "constant": 0 * A,
    "organ pipe": np.minimum(A, A[::-1]),
    "saw": A % 7,
    "sorted twice": np.concatenate([A[::2], A[::2]]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_natural_order_of_the_input_is_slow(shape):
    """A selection that took quadratic time would take minutes; a fair share of two cores takes 0.1 s."""
    values = SHAPES[shape][:, None]
    kd_order(values[:1000])
    start = time.process_time()
    order, coarse = kd_order(values), kd_order(values, 100_000)
    assert time.process_time() - start < 5
    assert np.array_equal(order, kd_positions(values))
    assert np.array_equal(coarse, kd_positions(values, 100_000))
