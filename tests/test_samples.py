"""Rows as users give them: what they mean, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.chunk import ArrayChunks
from dgmmis.errors import InvalidData
from dgmmis.noise import Noise
from dgmmis.row_order import pattern_codes
from dgmmis.samples import Samples
from kd_oracle import kd_positions
from strategies import random_scene, scenes

N, D = 5, 2
ZEROS, ONES = np.zeros((N, D)), np.ones((N, D))
EYES = np.stack([np.eye(D)] * N)


def changed(array, *changes) -> np.ndarray:
    """A copy with some entries replaced."""
    copy = np.array(array, dtype=float)
    for at, value in changes:
        copy[at] = value
    return copy


def indefinite(row: int) -> np.ndarray:
    return changed(EYES, ((row, 0, 1), 2.0), ((row, 1, 0), 2.0))


@given(scenes())
def test_groups_hold_each_informative_row_once_with_what_it_observed(scene):
    groups = scene.samples.groups
    rows = np.concatenate([group.rows for group in groups]) if groups else np.array([], int)
    assert sorted(rows) == np.flatnonzero(~np.isnan(scene.values).all(axis=1)).tolist()
    whole = scene.oracle_rows[1]
    for group in groups:
        seen = ~np.isnan(scene.values[group.rows])
        assert (seen == np.isin(np.arange(scene.values.shape[1]), group.observed)).all()
        assert np.array_equal(group.values, scene.values[np.ix_(group.rows, group.observed)])
        assert np.array_equal(group.weights, scene.oracle_rows[2][group.rows])
        if group.noise is not None:
            shared = scene.noise.kind == "shared"
            kept = Noise.packed(group.noise[None]) if shared else Noise(scene.noise.kind, group.noise)
            expected = whole[group.rows][:, group.observed][:, :, group.observed]
            told = kept.covariances(1 if shared else len(group.rows), len(group.observed))
            assert np.array_equal(np.broadcast_to(told, expected.shape), expected)


def test_complete_rows_come_first_and_source_order_stays_within_a_pattern():
    values = changed(ZEROS, ((0, 1), np.nan), ((3, 0), np.nan), ((4, 1), np.nan))
    groups = Samples.from_arrays(values).groups
    assert [group.rows.tolist() for group in groups] == [[1, 2], [3], [0, 4]]


@given(scenes())
def test_groups_near_together_hold_the_same_rows_in_the_order_of_a_kd_tree(scene):
    near = Samples.from_arrays(scene.values, scene.noise, scene.weights, order="kd")
    covariances = scene.oracle_rows[1]
    own = scene.noise.kind in ("diagonal", "full")
    for group, ordered in zip(scene.samples.groups, near.groups, strict=True):
        variances = np.diagonal(covariances[group.rows], axis1=1, axis2=2)[:, group.observed]
        order = kd_positions(group.values, variances=variances if own else None)
        assert np.array_equal(ordered.rows, group.rows[order])
        assert np.array_equal(ordered.values, group.values[order])
        assert np.array_equal(ordered.weights, group.weights[order])
        if group.noise is not None:
            assert np.array_equal(ordered.noise, group.noise[order] if own else group.noise)


@given(st.integers(0, 2**32 - 1), st.integers(-20, 20))
def test_the_order_of_rows_does_not_depend_on_units_that_differ_by_a_power_of_two(seed, power):
    scene = random_scene(seed, n=300, d=3, kind="diagonal", missing=0.1)
    unit = np.array([1.0, 2.0**power, 0.5])
    noise = Noise.diagonal(scene.noise.array * unit**2)
    one = Samples.from_arrays(scene.values, scene.noise, order="kd")
    other = Samples.from_arrays(scene.values * unit, noise, order="kd")
    assert [g.rows.tolist() for g in one.groups] == [g.rows.tolist() for g in other.groups]


def test_rows_of_alike_noise_are_put_together_unless_noise_is_negligible():
    """Two kinds of rows in one place, the errors of one a thousand times those of the other.

    A node is split in the middle whatever its share of either kind, so one block of a node may be mixed.
    """
    rng = np.random.default_rng(0)
    values = rng.random((8192, 2))
    large = np.arange(8192) % 2 == 0

    def mixed_blocks(variance: float) -> int:
        noise = np.where(large, 1e6, 1.0)[:, None] * np.full(2, variance)
        rows = Samples.from_arrays(values, noise, order="kd").groups[0].rows
        return sum(0 < block.sum() < 64 for block in large[rows].reshape(-1, 64))

    assert mixed_blocks(1e-3) <= 8
    assert mixed_blocks(1e-13) == 128


def test_only_rows_that_are_seen_in_one_space_are_put_near_together():
    values = np.random.default_rng(0).normal(size=(200, 2))
    turn = np.array([[0.0, 1.0], [1.0, 0.0]])
    shared = Samples.from_arrays(values, projection=turn, order="kd").groups[0]
    own = Samples.from_arrays(values, projection=np.stack([turn] * 200), order="kd").groups[0]
    assert np.array_equal(shared.rows, kd_positions(values))
    assert np.array_equal(own.rows, np.arange(200))


def test_patterns_of_many_features_are_told_apart():
    missing = np.random.default_rng(0).random((50, 100)) < 0.5
    missing[25:] = missing[:25]
    codes = pattern_codes(missing)
    assert len(np.unique(codes)) == 25
    assert np.array_equal(codes[25:], codes[:25])


def test_masked_values_are_missing_values():
    plain = changed(ZEROS, ((1, 0), np.nan))
    masked = np.ma.masked_array(ZEROS, mask=np.isnan(plain))
    whole_numbers = np.ma.masked_array(ZEROS.astype(int), mask=np.isnan(plain))
    for given_as in (masked, whole_numbers):
        ours, theirs = Samples.from_arrays(given_as).groups, Samples.from_arrays(plain).groups
        assert [g.rows.tolist() for g in ours] == [g.rows.tolist() for g in theirs]
        assert [g.observed.tolist() for g in ours] == [g.observed.tolist() for g in theirs]


@pytest.mark.parametrize(
    "values",
    [
        np.ma.masked_array(ONES, mask=changed(ZEROS, ((2, 1), 1))),
        np.ma.masked_array(EYES, mask=changed(EYES * 0, ((2, 1, 1), 1))),
    ],
)
def test_masked_noise_is_no_noise_known_for_that_feature(values):
    """The number under the mask must not be used: of a present feature it is refused."""
    with pytest.raises(InvalidData, match="noise, row 2") as caught:
        Samples.from_arrays(ZEROS, values)
    assert (caught.value.array, caught.value.row, caught.value.column) == ("noise", 2, "x1")


def test_a_masked_weight_is_refused():
    with pytest.raises(InvalidData, match="weights") as caught:
        Samples.from_arrays(ZEROS, None, np.ma.masked_array(np.ones(N), mask=np.arange(N) == 2))
    assert (caught.value.array, caught.value.row) == ("weights", 2)


NOT_A_TABLE = {
    "one dimension": np.zeros(3),
    "a number": 1.0,
    "three dimensions": np.zeros((2, 2, 2)),
    "no rows": np.empty((0, 2)),
    "no features": np.empty((3, 0)),
    "nothing": [],
    "strings": [["a", "b"]],
    "rows of different lengths": [[1.0, 2.0], [3.0]],
    "objects": [[object(), 1.0]],
    "complex numbers": [[1j, 1.0]],
}


@pytest.mark.parametrize("values", NOT_A_TABLE.values(), ids=NOT_A_TABLE)
def test_values_that_are_no_table_of_numbers_are_refused(values):
    with pytest.raises(InvalidData, match="values") as caught:
        Samples.from_arrays(values)
    assert caught.value.array == "values"


def test_one_feature_given_flat_is_told_how_to_reshape():
    with pytest.raises(InvalidData, match=r"values\[:, None\]"):
        Samples.from_arrays(np.zeros(3))


NAN_AT_2_1 = changed(ZEROS, ((2, 1), np.nan))

FAULTS = {
    "infinite value": (changed(ZEROS, ((2, 1), np.inf)), None, None, "values", 2, "x1", np.inf),
    "minus infinity": (changed(ZEROS, ((2, 0), -np.inf)), None, None, "values", 2, "x0", -np.inf),
    "the first of two": (
        changed(ZEROS, ((2, 0), np.inf), ((1, 1), -np.inf)),
        None,
        None,
        "values",
        1,
        "x1",
        -np.inf,
    ),
    "negative variance": (ZEROS, changed(ONES, ((3, 0), -0.5)), None, "noise", 3, "x0", -0.5),
    "negative full variance": (ZEROS, changed(EYES, ((3, 1, 1), -0.5)), None, "noise", 3, "x1", -0.5),
    "negative variance of a row that lacks the other feature": (
        NAN_AT_2_1,
        changed(ONES, ((2, 0), -0.5)),
        None,
        "noise",
        2,
        "x0",
        -0.5,
    ),
    "NaN variance": (ZEROS, changed(ONES, ((0, 1), np.nan)), None, "noise", 0, "x1", np.nan),
    "infinite variance": (ZEROS, changed(ONES, ((0, 1), np.inf)), None, "noise", 0, "x1", np.inf),
    "NaN full variance": (ZEROS, changed(EYES, ((4, 0, 0), np.nan)), None, "noise", 4, "x0", np.nan),
    "NaN covariance": (
        ZEROS,
        changed(EYES, ((4, 0, 1), np.nan), ((4, 1, 0), np.nan)),
        None,
        "noise",
        4,
        "x1",
        np.nan,
    ),
    "indefinite covariance": (ZEROS, indefinite(1), None, "noise", 1, "x0", 1.0),
    "negative weight": (ZEROS, None, changed(np.ones(N), (2, -1)), "weights", 2, "weights", -1.0),
    "NaN weight": (ZEROS, None, changed(np.ones(N), (2, np.nan)), "weights", 2, "weights", np.nan),
    "infinite weight": (ZEROS, None, changed(np.ones(N), (2, np.inf)), "weights", 2, "weights", np.inf),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_row_that_cannot_be_used_is_named_with_array_feature_and_value(fault):
    values, noise, weights, array, row, column, value = fault
    with pytest.raises(InvalidData, match=f"{array}, row {row}, column '{column}'") as caught:
        Samples.from_arrays(values, noise, weights)
    error = caught.value
    assert (error.array, error.row, error.column) == (array, row, column)
    assert error.value == value or (np.isnan(error.value) and np.isnan(value))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_rows_keep_their_numbers_whatever_the_chunks(fault):
    values, noise, weights, array, row, *_ = fault
    with pytest.raises(InvalidData) as caught:
        ArrayChunks.from_arrays(values, noise, weights, chunk_rows=1, features=("a", "b"))
    assert (caught.value.array, caught.value.row) == (array, row)
    assert caught.value.column in ("a", "b", "weights")


@pytest.mark.parametrize(
    "noise",
    [
        changed(ONES, ((2, 1), -1)),
        changed(ONES, ((2, 1), np.nan)),
        changed(ONES, ((2, 1), np.inf)),
        changed(EYES, ((2, 1, 1), -1)),
        changed(EYES, ((2, 1, 1), np.nan), ((2, 0, 1), np.nan), ((2, 1, 0), np.nan)),
        indefinite(2),
    ],
)
def test_noise_of_an_absent_feature_is_not_looked_at(noise):
    plain = Samples.from_arrays(NAN_AT_2_1, Noise.of(ONES if noise.ndim == 2 else EYES, N, D))
    for ours, theirs in zip(Samples.from_arrays(NAN_AT_2_1, noise).groups, plain.groups, strict=True):
        assert np.array_equal(ours.noise, theirs.noise)


@pytest.mark.parametrize("weights", [np.ones(N + 1), np.ones((N, 1)), 1.0, "many", [[1, 2], [3]]])
def test_weights_of_another_shape_are_refused(weights):
    with pytest.raises(InvalidData, match="weights") as caught:
        Samples.from_arrays(ZEROS, None, weights)
    assert caught.value.array == "weights"


def test_the_callers_arrays_are_left_alone():
    values, noise, weights = changed(ZEROS, ((0, 0), np.nan)), np.ones((N, D)), np.ones(N)
    before = [array.copy() for array in (values, noise, weights)]
    ArrayChunks.from_arrays(values, noise, weights, chunk_rows=2)
    for array, copy in zip((values, noise, weights), before, strict=True):
        assert np.array_equal(array, copy, equal_nan=True)
        assert array.flags.writeable


def test_the_pilot_is_a_prefix_of_any_longer_pilot():
    chunks = ArrayChunks.from_arrays(np.arange(1000.0)[:, None])
    short, long = chunks.read_pilot(10).values, chunks.read_pilot(500).values
    assert np.array_equal(long[:10], short)
    assert len(np.unique(long)) == 500
    assert sorted(chunks.read_pilot(2000).values.ravel()) == list(range(1000))


def test_the_pilot_is_a_fair_sample_of_the_rows():
    """Its mean row number lies within four standard errors of the middle."""
    n_rows, n_pilot = 100_000, 5_000
    chunks = ArrayChunks.from_arrays(np.arange(float(n_rows))[:, None])
    mean = chunks.read_pilot(n_pilot).values.mean()
    assert abs(mean - (n_rows - 1) / 2) < 4 * n_rows / np.sqrt(12 * n_pilot)
