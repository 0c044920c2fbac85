"""The mixture: what it accepts, and its densities and draws."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis.errors import InvalidData
from dgmmis.mixture import Mixture
from strategies import random_mixture

A, M, V = np.array([0.25, 0.75]), np.zeros((2, 3)), np.stack([np.eye(3)] * 2)


def changed(array, *changes) -> np.ndarray:
    """A copy with some entries replaced."""
    copy = np.array(array, dtype=float)
    for at, value in changes:
        copy[at] = value
    return copy


SHAPES = {
    "flat means": (A, M[0], V),
    "scalar amplitudes": (1.0, M, V),
    "flat covariances": (A, M, np.eye(3)),
    "too few amplitudes": ([1.0], M, V),
    "too many means": (A, np.zeros((3, 3)), V),
    "other features": (A, np.zeros((2, 2)), V),
    "not square": (A, M, np.zeros((2, 3, 2))),
    "no component": ([], np.zeros((0, 3)), np.zeros((0, 3, 3))),
    "no feature": (A, np.zeros((2, 0)), np.zeros((2, 0, 0))),
    "strings": (["a", "b"], M, V),
    "ragged": (A, [[1.0, 2.0], [3.0]], V),
}


@pytest.mark.parametrize("parts", SHAPES.values(), ids=SHAPES)
def test_arrays_that_do_not_fit_each_other_are_refused(parts):
    with pytest.raises(InvalidData):
        Mixture(*parts)


COMPONENTS = {
    "negative amplitude": ([-0.25, 1.25], M, V, "amplitudes", 0),
    "NaN amplitude": ([0.25, np.nan], M, V, "amplitudes", 1),
    "NaN mean": (A, changed(M, ((1, 2), np.nan)), V, "means", 1),
    "infinite mean": (A, changed(M, ((0, 2), np.inf)), V, "means", 0),
    "infinite covariance": (A, M, changed(V, ((1, 0, 0), np.inf)), "covariances", 1),
    "asymmetric covariance": (A, M, changed(V, ((1, 0, 1), 0.1)), "covariances", 1),
    "negative variance": (A, M, changed(V, ((1, 2, 2), -1)), "covariances", 1),
    "indefinite covariance": (A, M, changed(V, ((0, 0, 1), 2), ((0, 1, 0), 2)), "covariances", 0),
}


@pytest.mark.parametrize("case", COMPONENTS.values(), ids=COMPONENTS)
def test_a_component_that_is_none_is_named(case):
    *parts, array, component = case
    with pytest.raises(InvalidData, match=f"component {component}") as caught:
        Mixture(*parts)
    assert (caught.value.array, caught.value.row) == (array, component)


@pytest.mark.parametrize("amplitudes", [[0.5, 0.6], [0.5, 0.49], [0.0, 0.0], [5.0, 5.0]])
def test_amplitudes_that_do_not_sum_to_one_are_refused(amplitudes):
    with pytest.raises(InvalidData, match="sum to") as caught:
        Mixture(amplitudes, M, V)
    assert caught.value.array == "amplitudes"
    assert caught.value.value == pytest.approx(sum(amplitudes))


def test_amplitudes_off_by_rounding_are_normalised():
    assert Mixture([0.2500001, 0.75], M, V).amplitudes.sum() == pytest.approx(1, abs=1e-15)


def test_a_mixture_is_a_copy_that_cannot_be_written_to():
    means = M.copy()
    mixture = Mixture(A, means, V)
    means[0, 0] = 7
    assert mixture.means[0, 0] == 0
    for array in (mixture.amplitudes, mixture.means, mixture.covariances):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_data_of_other_features_are_refused():
    mixture = Mixture(A, M, V)
    for ask in (mixture.log_density, mixture.responsibilities):
        with pytest.raises(InvalidData, match="2 features; the mixture has 3"):
            ask(np.zeros((4, 2)))


def test_where_nothing_was_observed_the_density_is_one_and_shares_are_the_amplitudes():
    mixture = Mixture(A, M, V)
    nothing = np.full((1, 3), np.nan)
    assert mixture.log_density(nothing) == pytest.approx([0])
    assert mixture.responsibilities(nothing) == pytest.approx(A[None])


def test_draws_have_the_moments_of_the_mixture():
    """Means and covariances of 40,000 rows within five standard errors, estimated from 40 batches."""
    mixture = random_mixture(np.random.default_rng(5), 3, 2)
    batches = mixture.draw(40_000, np.random.default_rng(6)).reshape(40, 1000, 2)
    mean = mixture.amplitudes @ mixture.means
    offset = mixture.means - mean
    covariance = np.einsum(
        "k,kde->de", mixture.amplitudes, mixture.covariances + offset[:, :, None] * offset[:, None, :]
    )
    about_mean = batches - mean
    for told, truth in (
        (batches.mean(axis=1), mean),
        (np.einsum("bnd,bne->bde", about_mean, about_mean) / 1000, covariance),
    ):
        standard_error = told.std(axis=0, ddof=1) / np.sqrt(40)
        assert (np.abs(told.mean(axis=0) - truth) < 5 * standard_error).all()


def test_draws_repeat_with_their_seed_and_differ_without():
    mixture = random_mixture(np.random.default_rng(5), 3, 2)
    first, again, other = (mixture.draw(10, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.isclose(first, other).any()


@pytest.mark.parametrize("seed", range(4))
def test_singular_components_can_be_drawn_from_in_any_unit(seed):
    """Rounding leaves eigenvalues of -1e-16 of the largest: that is zero, not a fault."""
    factor = np.random.default_rng(seed).normal(size=(4, 3)) * 1e8
    mixture = Mixture([1.0], np.zeros((1, 4)), (factor @ factor.T)[None])
    drawn = mixture.draw(100, np.random.default_rng(0))
    flat = np.linalg.svd(factor)[0][:, 3]
    assert np.abs(drawn @ flat).max() < 1e-6 * np.abs(drawn).max()
