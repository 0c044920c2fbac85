"""Symmetric matrices kept as blocks: their spectrum is that of the whole."""

from __future__ import annotations

import numpy as np

from dgmmis.block_matrix import BlockMatrix


def two_blocks(seed: int, rank: int = 3) -> BlockMatrix:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(4, 4)), rng.normal(size=(3, rank))
    return BlockMatrix((np.array([0, 2, 5, 6]), np.array([1, 3, 4])), (a @ a.T, b @ b.T))


def test_a_factor_gives_the_inverse_of_the_whole() -> None:
    matrix = two_blocks(0)
    factor = matrix.spectrum.factor.whole
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(matrix.whole), rtol=1e-8)
    values = np.linalg.eigvalsh(matrix.whole)
    np.testing.assert_allclose(matrix.spectrum.condition, values[-1] / values[0], rtol=1e-8)


def test_directions_without_information_are_set_apart() -> None:
    matrix = two_blocks(1, rank=2)
    spectrum = matrix.spectrum
    assert (spectrum.factor.number, spectrum.flat.number) == (6, 1)
    assert spectrum.condition == np.inf
    np.testing.assert_allclose(matrix.whole @ spectrum.flat.whole, 0, atol=1e-12)
    factor = spectrum.factor.whole
    np.testing.assert_allclose(
        factor @ factor.T, np.linalg.pinv(matrix.whole, rcond=1e-9), rtol=1e-6, atol=1e-9
    )


def test_products_block_by_block_are_those_of_the_whole() -> None:
    columns = two_blocks(2).spectrum.factor
    rng = np.random.default_rng(3)
    vectors, numbers = rng.normal(size=(5, 7)), rng.normal(size=7)
    np.testing.assert_allclose(columns.onto(vectors), vectors @ columns.whole, atol=1e-10)
    np.testing.assert_allclose(columns.times(numbers), columns.whole @ numbers, atol=1e-10)


def test_sums_and_multiples_are_those_of_the_whole() -> None:
    one, other = two_blocks(4), two_blocks(5)
    np.testing.assert_array_equal((one + other.scaled(2.0)).whole, one.whole + 2 * other.whole)
    np.testing.assert_array_equal((BlockMatrix.zero(one.places) + one).whole, one.whole)
