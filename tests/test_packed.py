"""The packed order of symmetric matrices, and tests of their definiteness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.packed import dimension, is_positive_semidefinite, pack, packed_size, sub_positions, unpack
from strategies import random_covariances

seeds = st.integers(0, 2**32 - 1)


def test_the_order_is_the_lower_triangle_row_by_row():
    matrix = np.array([[0.0, 1, 3], [1, 2, 4], [3, 4, 5]])
    assert pack(matrix).tolist() == [0, 1, 2, 3, 4, 5]


@given(seeds, st.integers(1, 9), st.integers(0, 5))
def test_unpacking_undoes_packing(seed, d, n):
    matrices = random_covariances(np.random.default_rng(seed), n, d)
    packed = pack(matrices)
    assert packed.shape == (n, packed_size(d))
    assert np.array_equal(unpack(packed), matrices)
    assert np.array_equal(pack(unpack(packed)), packed)


@given(st.integers(1, 5000))
def test_dimension_undoes_packed_size(d):
    assert dimension(packed_size(d)) == d


@given(seeds, st.lists(st.booleans(), min_size=1, max_size=9))
def test_sub_positions_pick_the_packed_sub_matrix(seed, mask):
    observed = np.flatnonzero(mask)
    matrix = random_covariances(np.random.default_rng(seed), 1, len(mask))[0]
    assert np.array_equal(pack(matrix)[sub_positions(observed)], pack(matrix[np.ix_(observed, observed)]))


@given(seeds, st.integers(1, 6), st.floats(-2, 2))
def test_definiteness_agrees_with_the_eigenvalues(seed, d, lowest):
    rng = np.random.default_rng(seed)
    matrices = random_covariances(rng, 20, d, low=lowest, high=lowest + 1)
    smallest = np.linalg.eigvalsh(matrices)[:, 0]
    clear = np.abs(smallest) > 1e-8
    told = is_positive_semidefinite(pack(matrices))
    assert np.array_equal(told[clear], smallest[clear] > 0)


@given(seeds, st.integers(2, 6), st.lists(st.integers(-30, 30), min_size=6, max_size=6))
def test_singular_covariances_pass_in_any_units(seed, d, exponents):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(20, d, d - 1))
    units = 10.0 ** np.array(exponents[:d])
    matrices = factor @ factor.swapaxes(1, 2) * np.outer(units, units)
    assert is_positive_semidefinite(pack(matrices)).all()


@given(seeds, st.integers(2, 6), st.lists(st.integers(-30, 30), min_size=6, max_size=6))
def test_indefinite_matrices_fail_in_any_units(seed, d, exponents):
    """One correlation above 1 makes the matrix indefinite, however small that feature's unit."""
    rng = np.random.default_rng(seed)
    i, j = rng.choice(d, size=2, replace=False)
    matrix = np.eye(d)
    matrix[i, j] = matrix[j, i] = 1.001
    units = 10.0 ** np.array(exponents[:d])
    assert not is_positive_semidefinite(pack(matrix * np.outer(units, units))[None])[0]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[0, 0], [0, 0]], True),
        ([[0, 0], [0, 1]], True),
        ([[0, 1e-3], [1e-3, 1]], False),
        ([[-1e-300, 0], [0, 1]], False),
        ([[1, np.nan], [np.nan, 1]], False),
        ([[np.nan, 0], [0, 1]], False),
        ([[np.inf, 0], [0, 1]], False),
    ],
)
def test_borderline_matrices_are_judged_as_they_should(matrix, expected):
    assert is_positive_semidefinite(pack(np.array(matrix, dtype=float))[None])[0] == expected
