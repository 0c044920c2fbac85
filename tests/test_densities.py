"""Densities and statistics where numbers become extreme: missing, far, large, small, singular."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import oracle
from dgmmis.errors import InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import pack
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from strategies import KINDS, Scene, random_scene, scenes
from within_bounds import assert_agree, magnitudes, summarize


@given(scenes())
def test_log_densities_and_responsibilities_equal_the_oracles(scene):
    rows = list(zip(scene.values, scene.oracle_rows[1], strict=True))
    density = scene.mixture.log_density(scene.values, scene.noise)
    shares = scene.mixture.responsibilities(scene.values, scene.noise)
    assert density == pytest.approx(
        np.array([oracle.log_density(x, S, scene.parameters) for x, S in rows]), rel=1e-12, abs=1e-12
    )
    assert shares == pytest.approx(
        np.array([oracle.responsibilities(x, S, scene.parameters) for x, S in rows]), abs=1e-12
    )
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-14)


@given(scenes(max_components=1))
def test_a_row_has_scipys_normal_density_in_its_observed_features(scene):
    density = scene.mixture.log_density(scene.values, scene.noise)
    mean, covariance = scene.mixture.means[0], scene.mixture.covariances[0]
    for x, S, told in zip(scene.values, scene.oracle_rows[1], density, strict=True):
        seen = ~np.isnan(x)
        expected = 0.0
        if seen.any():
            total = (covariance + S)[np.ix_(seen, seen)]
            expected = multivariate_normal.logpdf(x[seen], mean[seen], total)
        assert told == pytest.approx(expected, rel=1e-11, abs=1e-11)


@given(scenes(), st.data())
def test_missing_features_leave_the_marginal_mixture(scene, data):
    d = scene.values.shape[1]
    seen = np.array(sorted(data.draw(st.sets(st.integers(0, d - 1), min_size=1))))
    hidden = np.full(scene.values.shape, np.nan)
    hidden[:, seen] = scene.values[:, seen]
    block = np.ix_(seen, seen)
    marginal = Mixture(
        scene.mixture.amplitudes,
        scene.mixture.means[:, seen],
        np.stack([V[block] for V in scene.mixture.covariances]),
    )
    noise = Noise.full(scene.oracle_rows[1][:, seen][:, :, seen])
    assert scene.mixture.log_density(hidden, scene.noise) == pytest.approx(
        marginal.log_density(scene.values[:, seen], noise), rel=1e-12, abs=1e-12
    )


@given(scenes(kinds=("diagonal", "full"), missing=(0.3,)), st.floats(-5, 5))
def test_a_missing_feature_is_the_limit_of_large_noise(scene, anything):
    """Up to the density of the number that stands there, which no parameter changes."""
    large = 1e12
    missing = np.isnan(scene.values)
    covariances = scene.oracle_rows[1].copy()
    either = missing[:, :, None] | missing[:, None, :]
    covariances[either] = 0
    rows, features = np.nonzero(missing)
    covariances[rows, features, features] = large
    noisy = Scene(
        scene.mixture, np.where(missing, anything, scene.values), Noise.full(covariances), scene.weights
    )
    constant = -0.5 * np.log(2 * np.pi * large) * missing.sum(axis=1)
    assert noisy.mixture.log_density(noisy.values, noisy.noise) - constant == pytest.approx(
        scene.mixture.log_density(scene.values, scene.noise), abs=1e-8
    )
    limit, exact = summarize(noisy), summarize(scene)
    size = magnitudes(noisy)[2].sum() + 1
    assert limit.first == pytest.approx(exact.first, abs=1e-8 * size)
    assert limit.second == pytest.approx(exact.second, abs=1e-8 * size)


@given(scenes(missing=(0.0,)), st.sampled_from([1e-60, 1e-30, 1e30, 1e60]))
def test_units_only_rescale_the_statistics(scene, unit):
    """Determinants of 6 features at 1e-60 lie far below the smallest number: they must never be formed."""
    mixture = scene.mixture
    d = scene.values.shape[1]
    scaled = Scene(
        Mixture(mixture.amplitudes, mixture.means * unit, mixture.covariances * unit**2),
        scene.values * unit,
        Noise.none() if scene.noise.kind == "none" else Noise(scene.noise.kind, scene.noise.array * unit**2),
        scene.weights,
    )
    ours, theirs = summarize(scaled), summarize(scene)
    back = Statistics(
        ours.rows,
        ours.weight,
        ours.log_likelihood + theirs.weight * d * np.log(unit),
        ours.zeroth,
        ours.first * unit,
        ours.second * unit**2,
    )
    assert np.isfinite(ours.log_likelihood)
    size = theirs.weight * d * abs(np.log(unit)) + abs(theirs.log_likelihood)
    assert back.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-13 * size + 1e-13)
    assert_agree(scene, dataclasses.replace(back, log_likelihood=theirs.log_likelihood), theirs)


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
def test_components_of_very_different_sizes_keep_their_statistics(seed, kind):
    """Six features, dispersions of 1e-12, 1 and 1e12: the determinants span 288 decades."""
    scene = random_scene(seed, n=60, d=6, k=3, kind=kind)
    sizes = np.array([1e-12, 1, 1e12])
    mixture = scene.mixture
    mixture = Mixture(
        mixture.amplitudes, mixture.means * sizes[:, None], mixture.covariances * sizes[:, None, None] ** 2
    )
    values = scene.values * np.repeat(sizes, 20)[:, None]
    told = mixture.log_density(values, scene.noise)
    parameters = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
    expected = [
        oracle.log_density(x, S, parameters) for x, S in zip(values, scene.oracle_rows[1], strict=True)
    ]
    assert told == pytest.approx(np.array(expected), rel=1e-9)
    statistics = summarize_samples(Population(mixture), Samples.from_arrays(values, scene.noise))
    assert statistics.log_likelihood == pytest.approx(np.sum(expected), rel=1e-9)


def test_a_far_row_has_a_finite_density_and_a_responsibility():
    """1e8 sigma away, its density is far below the smallest number, its logarithm is not."""
    mixture = Mixture([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]])
    assert mixture.log_density([[1e8]])[0] == pytest.approx(-0.5e16, rel=1e-7)
    assert mixture.responsibilities([[1e8]]).tolist() == [[0, 1]]


@pytest.mark.parametrize("noise", [None, Noise.diagonal([[1.0], [1.0], [1.0]])])
def test_a_row_beyond_any_density_is_named(noise):
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    samples = Samples.from_arrays([[0.0], [1e200], [np.nan]], noise, checked=True)
    with pytest.raises(InvalidData, match="row 101 ") as caught:
        summarize_samples(Population(mixture), samples, first_row=100)
    assert (caught.value.array, caught.value.row) == ("values", 101)


def test_a_singular_component_without_noise_is_refused_and_with_noise_is_not():
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0]] * 2, [np.eye(2), np.ones((2, 2))])
    values = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 0.5]])
    with pytest.raises(InvalidData, match="singular"):
        summarize_samples(Population(mixture), Samples.from_arrays(values))
    noise = np.full((3, 2), 0.1)
    statistics = summarize_samples(Population(mixture), Samples.from_arrays(values, noise))
    parameters = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
    expected = oracle.score_statistics(values, np.stack([np.diag(v) for v in noise]), np.ones(3), parameters)
    assert statistics.zeroth == pytest.approx(expected.zeroth, rel=1e-12)
    assert statistics.second == pytest.approx(pack(expected.second), rel=1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["diagonal", "full"]))
def test_features_with_hopeless_noise_leave_a_finite_density(seed, kind):
    """Errors of 1e10 stand for "not measured" in many catalogues; 20 of them make a determinant of 1e400."""
    scene = random_scene(seed, n=5, d=20, k=2)
    variances = np.full(scene.values.shape, 1e20)
    noise = Noise.diagonal(variances)
    if kind == "full":
        noise = Noise.full(noise.covariances(*variances.shape))
    told = scene.mixture.log_density(scene.values, noise)
    assert told == pytest.approx(-10 * np.log(2 * np.pi * 1e20), rel=1e-12)


def test_a_singular_component_has_no_density_for_rows_whose_noise_is_zero():
    rng = np.random.default_rng(3)
    for _ in range(50):
        factors = rng.normal(size=(6, 2))
        mixture = Mixture([1.0], np.zeros((1, 6)), (factors @ factors.T)[None])
        assert np.isnan(mixture.log_density(rng.normal(size=(1, 6)), Noise.diagonal(np.zeros((1, 6)))))[0]


def test_a_thousandfold_smaller_noise_than_the_spread_is_still_exact():
    covariance = np.array([[1.0, 1.0], [1.0, 1.0]])
    mixture = Mixture([1.0], np.zeros((1, 2)), covariance[None])
    value, noise = np.array([[0.3, 0.3001]]), 1e-8 * np.eye(2)
    expected = multivariate_normal(np.zeros(2), covariance + noise).logpdf(value[0])
    assert mixture.log_density(value, noise[None])[0] == pytest.approx(expected, rel=1e-6)
