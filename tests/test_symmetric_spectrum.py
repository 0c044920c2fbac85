"""Eigenvalues in one written order: what a library finds, whatever their signs and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.symmetric_spectrum import spectrum


@given(st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([1.0, 1e3]))
def test_it_is_what_a_library_finds(p, seed, largest):
    rng = np.random.default_rng(seed)
    frame = np.linalg.qr(rng.normal(size=(p, p)))[0]
    wanted = np.sort(np.append(rng.uniform(-1, 2, p - 1), -largest))
    matrix = (frame * wanted) @ frame.T
    matrix = (matrix + matrix.T) / 2
    values, vectors = spectrum(matrix)
    assert values == pytest.approx(wanted, abs=1e-12 * largest * p)
    assert vectors.T @ vectors == pytest.approx(np.eye(p), abs=1e-12)
    assert matrix @ vectors == pytest.approx(vectors * values, abs=1e-12 * largest * p)


def test_equal_eigenvalues_have_directions_of_their_own():
    values, vectors = spectrum(np.diag([2.0, -1.0, 2.0, 2.0]))
    assert values == pytest.approx([-1.0, 2.0, 2.0, 2.0])
    assert vectors.T @ vectors == pytest.approx(np.eye(4))


def test_the_matrix_that_is_given_is_left_as_it_is():
    matrix = np.array([[1.0, 0.5], [0.5, -1.0]])
    before = matrix.copy()
    spectrum(matrix)
    assert np.array_equal(matrix, before)
