"""`dgmmis.fit` on arrays, as a user meets it."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis import Mixture, Noise, fit
from dgmmis.errors import InvalidData
from dgmmis.observer import SilentObserver
from fitting import fit_scene
from strategies import KINDS, Scene, random_scene


def assert_same_bits(left: Mixture, right: Mixture) -> None:
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name


def assert_close(left: Mixture, right: Mixture, rel=1e-11) -> None:
    assert left.amplitudes == pytest.approx(right.amplitudes, rel=rel)
    assert left.means == pytest.approx(right.means, rel=rel, abs=rel)
    assert left.covariances == pytest.approx(right.covariances, rel=rel, abs=rel)


@pytest.mark.parametrize("updates", [0, 1, 9])
def test_tolerance_zero_makes_exactly_max_passes_updates(updates):
    result = fit_scene(random_scene(1, kind="diagonal"), tolerance=0, max_passes=updates)
    assert result.n_passes == len(result.history) == updates + 1
    assert [scan.number for scan in result.history] == list(range(updates + 1))
    assert not result.converged
    assert "max_passes" in result.reason


def test_a_fit_of_no_updates_is_the_mixture_it_was_given():
    scene = random_scene(1, kind="full", missing=0.2)
    result = fit_scene(scene, max_passes=0)
    assert_same_bits(result.mixture, scene.mixture)
    assert result.log_likelihood == pytest.approx(scene.mixture.log_density(scene.values, scene.noise).sum())
    assert result.start is None


def test_the_history_ends_with_the_result():
    scene = random_scene(2, kind="diagonal", spread=8, weighted=True)
    result = fit_scene(scene)
    last = result.history[-1]
    assert result.converged
    assert result.reason.startswith("converged")
    assert 0 <= last.predicted_gain <= 0.1
    assert (last.log_likelihood, last.mean_log_likelihood) == (
        result.log_likelihood,
        result.mean_log_likelihood,
    )
    assert result.mean_log_likelihood == pytest.approx(result.log_likelihood / scene.weights.sum())
    density = result.mixture.log_density(scene.values, scene.noise)
    assert result.log_likelihood == pytest.approx(scene.weights @ density, rel=1e-12)


def test_a_smaller_tolerance_never_ends_lower_or_sooner():
    scene = random_scene(3, kind="diagonal", missing=0.2)
    results = [fit_scene(scene, tolerance=tolerance) for tolerance in (10, 1, 0.1, 0.01)]
    assert (np.diff([result.n_passes for result in results]) >= 0).all()
    assert (np.diff([result.log_likelihood for result in results]) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_and_seed_give_the_same_bits(kind):
    scene = random_scene(4, n=400, kind=kind, missing=0.1)
    first, again = (fit_scene(scene, initial=None, seed=7, max_passes=5) for _ in range(2))
    assert_same_bits(first.mixture, again.mixture)
    assert first.history == again.history
    assert first.start.mean_log_likelihoods == again.start.mean_log_likelihoods
    assert first.start.pilot_rows == 400


def test_one_component_without_noise_is_the_mean_and_covariance_of_the_rows():
    values = random_scene(5, n=500, d=3, k=2).values
    mixture = fit(values, n_components=1).mixture
    assert mixture.amplitudes.tolist() == [1]
    assert mixture.means[0] == pytest.approx(values.mean(axis=0), rel=1e-12)
    assert mixture.covariances[0] == pytest.approx(np.cov(values.T, bias=True), rel=1e-11)


def test_one_component_with_shared_noise_is_the_covariance_less_the_noise():
    scene = random_scene(6, n=2000, d=2, k=1, kind="shared")
    mixture = fit_scene(scene, tolerance=1e-9, max_passes=5000).mixture
    expected = np.cov(scene.values.T, bias=True) - scene.noise.array
    assert mixture.covariances[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_nothing_observed_change_no_bit(kind):
    scene = random_scene(7, n=300, kind=kind, missing=0.1, weighted=True)
    empty = np.full((3, 2), np.nan)
    values = np.concatenate((empty[:2], scene.values[:100], empty[:1], scene.values[100:]))
    where = np.r_[[0, 0], np.arange(100), [0], np.arange(100, 300)]
    result = fit(
        values,
        n_components=3,
        noise=scene.noise.take(where),
        weights=scene.weights[where],
        initial=scene.mixture,
        tolerance=0,
        max_passes=5,
        method="em",
    )
    expected = fit_scene(scene, tolerance=0, max_passes=5, method="em")
    assert_same_bits(result.mixture, expected.mixture)
    assert result.history == expected.history


def test_weights_of_two_are_rows_given_twice():
    scene = random_scene(8, kind="full", missing=0.2)
    twice = np.repeat(np.arange(200), 2)
    repeated = Scene(scene.mixture, scene.values[twice], scene.noise.take(twice), None)
    left = fit_scene(scene, weights=np.full(200, 2.0), tolerance=0, max_passes=10, method="em")
    right = fit_scene(repeated, tolerance=0, max_passes=10, method="em")
    assert_close(left.mixture, right.mixture)
    assert left.log_likelihood == pytest.approx(right.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_a_common_factor_of_the_weights_changes_no_parameter(factor):
    scene = random_scene(8, kind="diagonal", weighted=True)
    plain = fit_scene(scene, tolerance=0, max_passes=10, method="em")
    scaled = fit_scene(scene, weights=scene.weights * factor, tolerance=0, max_passes=10, method="em")
    assert_close(scaled.mixture, plain.mixture)
    assert scaled.mean_log_likelihood == pytest.approx(plain.mean_log_likelihood, rel=1e-12)


def test_lists_masked_arrays_and_single_precision_are_values_too():
    scene = random_scene(9, n=100, k=2, missing=0.2)
    single = scene.values.astype(np.float32)
    masked = np.ma.masked_array(np.nan_to_num(single), mask=np.isnan(single))
    for values in (single, single.tolist(), masked):
        result = fit(values, n_components=2, initial=scene.mixture, tolerance=0, max_passes=3)
        expected = fit(single.astype(float), n_components=2, initial=scene.mixture, tolerance=0, max_passes=3)
        assert_same_bits(result.mixture, expected.mixture)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_a_fit_from_nothing_but_data_is_the_same_in_any_unit(unit):
    scene = random_scene(10, n=500, d=2, k=2, kind="diagonal", missing=0.1, spread=8)
    plain = fit_scene(scene, initial=None).mixture
    scaled = fit(
        scene.values * unit, n_components=2, noise=Noise.diagonal(scene.noise.array * unit**2)
    ).mixture
    back = Mixture(scaled.amplitudes, scaled.means / unit, scaled.covariances / unit**2)
    assert_close(back, plain, rel=1e-8)


def test_a_fit_from_nothing_but_data_works_far_from_zero():
    scene = random_scene(10, n=500, d=2, k=2, kind="diagonal", missing=0.1, spread=8)
    plain = fit_scene(scene, initial=None).mixture
    away = fit(scene.values + 1e6, n_components=2, noise=scene.noise).mixture
    assert away.means - 1e6 == pytest.approx(plain.means, abs=1e-7)
    assert away.covariances == pytest.approx(plain.covariances, abs=1e-7)


def test_features_and_units_reach_the_model_and_the_messages():
    scene = random_scene(11, n=100, k=2)
    result = fit(scene.values, n_components=2, features=("a", "b"), units=("m", "s"), max_passes=2)
    assert (result.model.features, result.model.units) == (("a", "b"), ("m", "s"))
    with pytest.raises(InvalidData, match="column 'b'") as caught:
        fit(np.array([[0.0, 1.0], [2.0, np.inf]]), n_components=1, features=("a", "b"))
    assert (caught.value.row, caught.value.column) == (1, "b")


def test_an_observer_is_told_of_every_pass():
    class Listener(SilentObserver):
        def __init__(self):
            self.scans, self.likelihoods, self.rows = [], [], []

        def on_pass(self, scan, log_likelihoods, rows):
            self.scans.append(scan)
            self.likelihoods.append(log_likelihoods)
            self.rows.append(rows)

    scene = random_scene(15, n=123, kind="diagonal")
    listener = Listener()
    result = fit_scene(scene, tolerance=0, max_passes=4, observer=listener)
    assert tuple(listener.scans) == result.history
    assert listener.likelihoods[-1] == tuple(scan.log_likelihood for scan in result.history)
    assert listener.rows == [123] * 5
