"""How noise is given, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.errors import InvalidData
from dgmmis.noise import Noise
from strategies import KINDS, random_covariances, random_noise

N, D = 5, 2
EYES = np.stack([np.eye(D)] * N)


def changed(array, at, value) -> np.ndarray:
    """A copy with one entry replaced."""
    copy = np.array(array, dtype=float)
    copy[at] = value
    return copy


@pytest.mark.parametrize(
    ("given_as", "kind"),
    [
        (None, "none"),
        (np.eye(D), "shared"),
        (np.ones((N, D)), "diagonal"),
        (EYES, "full"),
        (EYES.tolist(), "full"),
        (np.ones((N, D), dtype=np.float32), "diagonal"),
        (Noise.shared(np.eye(D)), "shared"),
    ],
)
def test_the_kind_follows_from_the_shape(given_as, kind):
    assert Noise.of(given_as, N, D).kind == kind


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.integers(1, 5), st.integers(1, 9))
def test_rows_taken_have_the_covariances_of_those_rows(seed, kind, d, n):
    rng = np.random.default_rng(seed)
    noise = random_noise(rng, kind, n, d)
    which = rng.integers(0, n, size=4)
    assert np.array_equal(noise.take(which).covariances(4, d), noise.covariances(n, d)[which])


def test_where_rows_are_as_many_as_features_the_caller_must_say_which_noise_is_meant():
    square = np.eye(3)
    with pytest.raises(InvalidData, match=r"ambiguous.*Noise\.shared.*Noise\.diagonal"):
        Noise.of(square, 3, 3)
    assert Noise.of(Noise.shared(square), 3, 3).kind == "shared"
    assert Noise.of(Noise.diagonal(square), 3, 3).kind == "diagonal"
    assert Noise.of(np.stack([square] * 3), 3, 3).kind == "full"


@pytest.mark.parametrize(
    "noise",
    [
        1.0,
        np.ones(N),
        np.ones((N, 1)),
        np.ones((N + 1, D)),
        np.ones((N, D + 1)),
        np.ones((N, D, D + 1)),
        np.ones((N + 1, D, D)),
        np.ones((1, N, D, D)),
        np.ones((D + 1, D + 1)),
        "one",
        [[1, 2], [3]],
        Noise.shared(np.eye(D + 1)),
        Noise.diagonal(np.ones((N + 1, D))),
        Noise.full(EYES[1:]),
    ],
)
def test_noise_of_another_shape_is_refused_and_the_array_is_named(noise):
    with pytest.raises(InvalidData, match="noise") as caught:
        Noise.of(noise, N, D)
    assert caught.value.array == "noise"


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Noise.shared, (2, 3)),
        (Noise.shared, (2, 2, 2)),
        (Noise.diagonal, (3,)),
        (Noise.diagonal, (2, 2, 2)),
        (Noise.full, (2, 2)),
        (Noise.full, (4, 2, 3)),
        (Noise.packed, (3,)),
    ],
)
def test_constructors_refuse_other_shapes(make, shape):
    with pytest.raises(InvalidData, match="has shape") as caught:
        make(np.ones(shape))
    assert caught.value.array == "noise"


def test_the_first_asymmetric_covariance_is_named():
    with pytest.raises(InvalidData, match="row 3 is not symmetric") as caught:
        Noise.full(changed(EYES, (3, 0, 1), 0.25))
    assert (caught.value.row, caught.value.column, caught.value.value) == (3, 0, 0.25)


def test_asymmetry_below_rounding_is_averaged_away():
    noise = Noise.full(changed(EYES, (3, 0, 1), 1e-10))
    whole = noise.covariances(N, D)
    assert np.array_equal(whole, whole.swapaxes(1, 2))


@pytest.mark.parametrize(
    "matrix",
    [
        [[np.nan, 0], [0, 1]],
        [[1, np.nan], [np.nan, 1]],
        [[np.inf, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[1, 2], [2, 1]],
        [[1, 0.5], [0.2, 1]],
    ],
)
def test_shared_noise_that_is_no_covariance_is_refused(matrix):
    with pytest.raises(InvalidData) as caught:
        Noise.of(matrix, N, D)
    assert caught.value.array == "noise"


def test_covariances_of_absent_features_may_be_infinite():
    """Catalogues write infinity there; whether a feature is absent is told by its value alone."""
    assert Noise.full(changed(EYES, (3, 1, 1), np.inf)).kind == "full"


def test_columns_of_errors_become_variances():
    noise = Noise.from_columns([np.array([1.0, 2.0]), 3.0])
    assert noise.kind == "diagonal"
    assert noise.array.tolist() == [[1, 9], [4, 9]]


def test_columns_of_errors_and_correlations_become_covariances():
    noise = Noise.from_columns([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], {(0, 1): [0.5, -0.5], (2, 0): 0.1})
    whole = noise.covariances(2, 3)
    assert whole[0] == pytest.approx(np.array([[1, 1.5, 0.5], [1.5, 9, 0], [0.5, 0, 25]]))
    assert whole[1] == pytest.approx(np.array([[4, -4, 1.2], [-4, 16, 0], [1.2, 0, 36]]))


def test_noise_cannot_be_written_to():
    noise = Noise.full(random_covariances(np.random.default_rng(0), N, D))
    with pytest.raises(ValueError, match="read-only"):
        noise.array[0, 0] = 1
