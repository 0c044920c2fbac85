"""Backgrounds of a user's own density: what it is asked, and what it may answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from dgmmis.background import Background, BackgroundLike
from dgmmis.density_background import DensityBackground, background_from_description
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.noise import Noise
from dgmmis.samples import Samples
from dgmmis.trust import Trust
from strategies import random_noise

SEEDS = st.integers(0, 2**32 - 1)


def log_density(background, values, noise=None) -> np.ndarray:
    return background.log_density(Samples.from_arrays(values, noise))


def normal_density(values, covariances):
    """N(0, 1 + S) of the features a row has."""
    density = np.empty(len(values))
    for i, (x, S) in enumerate(zip(values, covariances, strict=True)):
        seen = ~np.isnan(x)
        total = (np.eye(len(x)) + S)[np.ix_(seen, seen)]
        density[i] = multivariate_normal(cov=total).pdf(x[seen])
    return density


def normal_sampler(n, rng):
    return rng.normal(size=(n, 2))


@given(SEEDS, st.sampled_from(["none", "shared", "diagonal", "full"]))
def test_a_users_density_is_asked_about_noise_and_missing_features_as_they_are(seed, kind):
    rng = np.random.default_rng(seed)
    values, noise = rng.normal(size=(10, 2)), random_noise(rng, kind, 10, 2)
    values[rng.random(values.shape) < 0.3] = np.nan
    informative = ~np.isnan(values).all(axis=1)
    expected = np.zeros(10)
    expected[informative] = np.log(normal_density(values[informative], noise.covariances(10, 2)[informative]))
    background = DensityBackground(normal_density, n_features=2)
    assert log_density(background, values, noise) == pytest.approx(expected, rel=1e-12)
    assert (background.log_density_error(Samples.from_arrays(values, noise)) == 0).all()


def test_the_marginal_of_a_users_density_is_asked_with_the_rest_missing():
    background = DensityBackground(normal_density, sampler=normal_sampler, footprint=([-6, -7], [6, 7]))
    marginal = background.marginal([1])
    assert log_density(marginal, [[0.4]], Noise.shared([[0.5]])) == pytest.approx(
        norm(0, np.sqrt(1.5)).logpdf([0.4])
    )
    assert marginal.draw(3, np.random.default_rng(0)).shape == (3, 1)
    assert marginal.from_unit(np.ones((1, 1))).tolist() == [[7]]


def test_points_proposed_for_a_users_density_are_weighted_to_follow_it():
    background = DensityBackground(normal_density, footprint=([-7, -7], [7, 7]))
    side = (np.arange(60) + 0.5) / 60
    unit = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    weights = background.importance(background.from_unit(unit))
    assert weights.mean() == pytest.approx(1, abs=1e-9)


def test_a_users_density_is_stored_by_name():
    background = DensityBackground(
        normal_density, amplitude=0.2, sampler=normal_sampler, footprint=([-6, -6], [6, 6])
    )
    stored = json.loads(json.dumps(background.describe()))
    copy = background_from_description(stored, Trust(everything=True))
    assert isinstance(copy, DensityBackground)
    assert (copy.density, copy.sampler) == (normal_density, normal_sampler)
    assert copy.describe() == background.describe()


@pytest.mark.parametrize("density", [lambda values, S: np.ones(len(values)), np.vectorize(max)])
def test_a_density_without_an_importable_name_works_but_is_not_stored(density):
    with pytest.raises(InvalidSetting, match="cannot be imported by name"):
        DensityBackground(density).describe()


def test_a_name_that_cannot_be_imported_is_refused():
    description = DensityBackground(normal_density).describe()
    for name in ("nowhere:density", "math:nothing", "math", ":", "math:pi"):
        with pytest.raises(InvalidSetting, match="cannot be imported here"):
            background_from_description(description | {"density": name}, Trust(everything=True))


@pytest.mark.parametrize(
    "description",
    [{}, {"kind": "cone"}, {"kind": "uniform"}, {"kind": "uniform", "low": [0], "high": [1], "colour": 1}],
)
def test_what_describes_no_background_is_refused(description):
    with pytest.raises(InvalidData, match="describes no"):
        background_from_description(description)


def raising(values, covariances):
    raise RuntimeError("no such place")


@pytest.mark.parametrize(
    ("density", "named"),
    [
        (lambda x, S: x[:, 0] - 1.5, r"row 1 is -0.5, its values being \[1. 0.\]"),
        (lambda x, S: np.where(x[:, 0] == 2, np.nan, 1), "row 2 is nan"),
        (lambda x, S: np.where(x[:, 0] == 2, np.inf, 1), "row 2 is inf"),
        (lambda x, S: np.ones(len(x) + 1), r"shape \(4,\) about 3 rows"),
        (lambda x, S: 1.0, r"shape \(\) about 3 rows"),
        (lambda x, S: None, r"answered with shape \(\)"),
        (lambda x, S: ["high"] * len(x), "cannot be read"),
        (raising, "no such place"),
    ],
)
def test_a_useless_answer_of_a_users_density_is_refused(density, named):
    values = [[np.nan, np.nan], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]
    with pytest.raises(InvalidData, match=named):
        log_density(DensityBackground(density), values)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"density": 3}, "expected functions"),
        ({"sampler": 3}, "expected functions"),
        ({"footprint": ([0], [0])}, "low must be below high"),
        ({"footprint": ([0], [1]), "n_features": 2}, "n_features is 2"),
        ({"amplitude": 2}, "amplitude = 2"),
    ],
)
def test_useless_settings_of_a_users_density_are_refused(settings, named):
    with pytest.raises(InvalidSetting, match=named):
        DensityBackground(**{"density": normal_density} | settings)


def test_what_a_users_density_lacks_is_named_when_it_is_needed():
    background = DensityBackground(normal_density)
    with pytest.raises(InvalidSetting, match="sampler="):
        background.draw(3, np.random.default_rng(0))
    with pytest.raises(InvalidSetting, match="footprint="):
        background.from_unit(np.zeros((1, 2)))
    with pytest.raises(InvalidSetting, match="n_features="):
        background.marginal([0])
    bad = DensityBackground(normal_density, sampler=lambda n, rng: np.full((n, 2), np.nan), n_features=2)
    with pytest.raises(InvalidData, match=r"expected finite rows \(3, 2\)"):
        bad.draw(3, np.random.default_rng(0))


def test_both_kinds_follow_one_protocol():
    assert isinstance(Background(([0.0], [1.0])), BackgroundLike)
    assert isinstance(DensityBackground(normal_density), BackgroundLike)
