"""A model of some features given the others is what Bayes says it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad_vec

from dgmmis.algebra import affine, marginal
from dgmmis.background import Background
from dgmmis.conditioning import condition, conditionals
from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from references import load_reference
from strategies import random_covariances, random_mixture

SEEDS = st.integers(0, 2**32 - 1)
MIXTURE = random_mixture(np.random.default_rng(5), 3, 3)
BOX = Background(([-4.0, -5.0, -6.0], [4.0, 5.0, 7.0]), amplitude=0.2, amplitude_max=0.5)
PLAIN = Model(MIXTURE, ("a", "b", "c"), ("mas", "mag", ""))
MODEL = Model(MIXTURE, ("a", "b", "c"), ("mas", "mag", ""), BOX)


def parts_of(rng: np.random.Generator, d: int) -> tuple[list[int], list[int]]:
    """Given features in any order and the free ones, at least one of each."""
    columns = rng.permutation(d)
    n_given = rng.integers(1, d)
    return columns[:n_given].tolist(), sorted(columns[n_given:].tolist())


@given(SEEDS, st.integers(2, 5), st.integers(1, 4))
def test_the_joint_density_is_the_marginal_times_the_conditional(seed, d, k):
    rng = np.random.default_rng(seed)
    mixture, row, noise = random_mixture(rng, k, d), rng.normal(size=d) * 3, random_covariances(rng, 1, d)[0]
    columns, free = parts_of(rng, d)
    noise[np.ix_(columns, free)] = noise[np.ix_(free, columns)] = 0
    of_given, of_free = noise[np.ix_(columns, columns)], noise[np.ix_(free, free)]
    conditional = condition(mixture, columns, row[columns], of_given)
    joint = mixture.log_density(row[None], Noise.shared(noise))
    first = marginal(mixture, columns).log_density(row[None, columns], Noise.shared(of_given))
    second = conditional.log_density(row[None, free], Noise.shared(of_free))
    assert joint == pytest.approx(first + second, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("noise", [None, {"c": 0.5}, np.array([[0.4, 0.1], [0.1, 0.3]])])
def test_the_same_holds_with_a_uniform_background(noise):
    rows = np.array([[0.5, -4.9, 1.0], [-1.0, 2.0, 3.0], [3.9, 0.1, -5.9], [9.0, 1.0, 0.5], [1.0, 9.0, 0.5]])
    covariance = np.diag([0.5, 0.0]) if isinstance(noise, dict) else noise
    of_given = None if noise is None else Noise.shared(covariance)
    whole = np.zeros((3, 3))
    whole[np.ix_([2, 0], [2, 0])] = 0 if noise is None else covariance
    joint = MODEL.log_density(rows, None if noise is None else Noise.shared(whole))
    for row, expected in zip(rows, joint, strict=True):
        first = MODEL.marginal(["c", "a"]).log_density(row[None, [2, 0]], of_given)
        second = MODEL.condition({"c": row[2], "a": row[0]}, noise).log_density(row[None, 1:2])
        assert first + second == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("case", "abc")
def test_conditioning_agrees_with_xdgmm(case):
    stored = load_reference("conditioning")
    model = Model(Mixture(stored["amp"], stored["mean"], stored["covar"]))
    values = stored[f"x_{case}"]
    fixed = {int(j): values[j] for j in np.flatnonzero(np.isfinite(values))}
    noise = [stored[f"var_{case}"][j] for j in fixed] if f"var_{case}" in stored else None
    found = model.condition(fixed, noise).mixture
    assert found.amplitudes == pytest.approx(stored[f"amp_{case}"], abs=1e-10)
    assert found.means == pytest.approx(stored[f"mean_{case}"], abs=1e-10)
    assert found.covariances == pytest.approx(stored[f"covar_{case}"], abs=1e-10)


@pytest.mark.parametrize("kind", ["none", "shared", "diagonal", "full"])
def test_many_rows_are_conditioned_on_as_each_by_itself(kind):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4, 2))
    covariances = random_covariances(rng, 4, 2)
    noise = {
        "none": None,
        "shared": Noise.shared(covariances[0]),
        "diagonal": Noise.diagonal(np.diagonal(covariances, axis1=1, axis2=2)),
        "full": Noise.full(covariances),
    }[kind]
    found = conditionals(MIXTURE, [2, 0], rows, noise)
    for i, row in enumerate(rows):
        one = condition(MIXTURE, [2, 0], row, None if noise is None else noise.covariances(4, 2)[i])
        assert found.mixture(i).means == pytest.approx(one.means, abs=1e-12)
        assert found.covariances[i] == pytest.approx(one.covariances, abs=1e-12)
        assert found.amplitudes[i] == pytest.approx(one.amplitudes, abs=1e-12)
    expected = marginal(MIXTURE, [2, 0]).log_density(rows, noise)
    assert found.log_density == pytest.approx(expected, abs=1e-12)


def test_conditioning_does_not_depend_on_units():
    units = np.array([1e-9, 1e3, 1e12])
    scaled = affine(MIXTURE, np.diag(units))
    row = np.array([0.3, -1.0])
    found, expected = condition(scaled, [2, 0], row * units[[2, 0]]), condition(MIXTURE, [2, 0], row)
    assert found.amplitudes == pytest.approx(expected.amplitudes, rel=1e-9)
    assert found.means == pytest.approx(expected.means * units[1], rel=1e-9)
    assert found.covariances == pytest.approx(expected.covariances * units[1] ** 2, rel=1e-9)


@given(SEEDS, st.integers(2, 4))
def test_a_feature_that_the_given_ones_determine_is_known_exactly(seed, d):
    rng = np.random.default_rng(seed)
    mixture, sums, row = random_mixture(rng, 3, d), rng.normal(size=(2, d)), rng.normal(size=d)
    both = np.concatenate([np.eye(d), sums])
    joint = Mixture(
        mixture.amplitudes, mixture.means @ both.T, both @ mixture.covariances @ both.T
    )  # of rows and two sums of their features
    known = condition(joint, range(d), row)
    assert known.means == pytest.approx(np.tile(sums @ row, (3, 1)), abs=1e-12)
    assert known.covariances == pytest.approx(np.zeros((3, 2, 2)), abs=1e-13)


@pytest.mark.parametrize(
    ("given_values", "noise", "error", "match"),
    [
        ({}, None, FeatureMismatch, "one or more"),
        ({"d": 1.0}, None, FeatureMismatch, "no feature 'd'"),
        ({-1: 1.0}, None, FeatureMismatch, "no feature -1"),
        ({"a": 1.0, 0: 2.0}, None, FeatureMismatch, "each once"),
        ({"a": 1.0, "b": 1.0, "c": 0.0}, None, InvalidSetting, "leave at least one"),
        ({"a": np.nan}, None, InvalidData, "missing"),
        ({"a": np.inf}, None, InvalidData, "infinite"),
        ({"a": 1e200}, None, InvalidData, "beyond 1e"),
        ({"a": 1.0}, {"b": 1.0}, FeatureMismatch, "'b', which is not given"),
        ({"a": 1.0}, [1.0, 2.0], InvalidData, r"variances \(1,\)"),
        ({"a": 1.0}, [-1.0], InvalidData, "positive semi-definite"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(given_values, noise, error, match):
    with pytest.raises(error, match=match):
        PLAIN.condition(given_values, noise)


def test_values_that_the_model_cannot_have_made_tell_nothing_of_the_others():
    certain = Model(Mixture([1.0], [[0.0, 0.0]], [np.diag([1e-150, 1.0])]), ("a", "b"))
    with pytest.raises(InvalidData, match="nothing can be said"):
        certain.condition({"a": 1e90})


def test_where_the_mixture_cannot_reach_the_background_makes_the_row():
    box = Background(([-4.0, -5.0, -6.0], [4000.0, 5.0, 7.0]), amplitude=0.2)
    far = Model(MIXTURE, backgrounds=box).condition({0: 3000.0})
    assert far.background.amplitude == pytest.approx(1, abs=1e-15)
    assert far.log_density([[1.0, 2.0], [6.0, 0.0]])[0] == pytest.approx(-np.log(130), abs=1e-12)


def test_a_conditional_density_integrates_to_one_with_a_background():
    conditional = MODEL.condition({"a": 3.5, "b": 4.0})
    total, _ = quad_vec(lambda x: np.exp(conditional.log_density([[x]])), -40, 40, points=[-6, 7])
    assert total == pytest.approx(1, abs=1e-8)
