"""Steps keep to where amplitudes and covariances stay positive, and within that do what is best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from dgmmis import fit
from dgmmis.block_matrix import BlockMatrix
from dgmmis.confined_step import Information
from dgmmis.constraints import TYPES
from dgmmis.coordinates import Chart
from dgmmis.covariance_edge import LEAST_SHARE
from dgmmis.expectation import summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.moment_lines import place_on_line
from dgmmis.outer_products import outer_products
from dgmmis.samples import Samples
from dgmmis.step_reach import MOST_GROWTH, MOST_OBSERVED, within_observed
from dgmmis.typical_noise import typical_noise
from strategies import KINDS, random_scene
from test_coordinates import scene_with


def noisy_chart(covariance_type, seed, **given_settings):
    """A chart whose rows are noisy, and the information there."""
    population, samples, constraints = scene_with(covariance_type, seed=seed, **given_settings)
    statistics = summarize_samples(population, samples)
    plain = Chart.at(population, statistics, constraints)
    chart = Chart(population, plain.counts, constraints, plain.freedom, typical_noise(samples))
    matrix = outer_products(chart, samples).matrix
    for block in matrix.blocks:
        block[np.diag_indices(len(block))] += 1e-6
    return chart, matrix


def gain(matrix, gradient, step):
    return gradient @ step - step @ matrix.whole @ step / 2


def least_kept(chart, step):
    """Smallest share that any amplitude, or variance in any direction, keeps to first order."""
    change, origin = chart.tangent(step), chart.origin
    before = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    roots = np.linalg.inv(np.linalg.cholesky(origin.mixture.covariances))
    shrunk = np.linalg.eigvalsh(roots @ change.covariances @ np.swapaxes(roots, 1, 2)).min()
    return 1 + min((change.amplitudes / before).min(), shrunk)


def crosses_by(chart, step):
    """By how much of itself the largest change of a covariance, or an amplitude, crosses the edge."""
    change, origin = chart.tangent(step), chart.origin
    frames = np.linalg.inv(np.linalg.cholesky(chart.observed))
    changed, before = (
        frames @ some @ np.swapaxes(frames, 1, 2) for some in (change.covariances, origin.mixture.covariances)
    )
    below = -np.linalg.eigvalsh((1 - LEAST_SHARE) * before + changed)[:, 0]
    amplitudes = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    shrunk = LEAST_SHARE - 1 - change.amplitudes / amplitudes
    return max((below / np.linalg.norm(changed, axis=(1, 2))).max(), shrunk.max())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.booleans())
def test_a_short_step_is_that_of_the_whole_form(seed, covariance_type, background):
    chart, matrix = noisy_chart(covariance_type, seed, background=background)
    gradient = 1e-4 * matrix.whole @ np.random.default_rng(seed).normal(size=chart.n_parameters)
    confined = Information.of(matrix).confined(gradient, chart)
    assert confined == pytest.approx(np.linalg.solve(matrix.whole, gradient), rel=1e-5, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(1, 100))
def test_no_other_step_that_keeps_enough_gains_more(seed, covariance_type, size):
    chart, matrix = noisy_chart(covariance_type, seed, background=True)
    rng = np.random.default_rng(seed)
    gradient = size * np.sqrt(np.diag(matrix.whole)) * rng.normal(size=chart.n_parameters)
    best = Information.of(matrix).confined(gradient, chart)
    assert crosses_by(chart, best) < 2e-3
    reached = gain(matrix, gradient, best)
    for spread in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(10):
            other = best + spread * chart.root_rows * rng.normal(size=len(best))
            shorter = other * min(1.0, (1 - LEAST_SHARE) / max(1 - least_kept(chart, other), 1e-300))
            assert gain(matrix, gradient, shorter) <= reached + 1e-6 * (1 + abs(reached))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1, 300))
def test_where_each_coordinate_has_its_own_bound_it_is_the_least_squares_between_bounds(seed, size):
    frozen = {"amplitudes": [0, 1, 2]}
    chart, matrix = noisy_chart("diagonal", seed, frozen=frozen)
    rng = np.random.default_rng(seed)
    gradient = size * rng.normal(size=chart.n_parameters)
    least = np.full(chart.n_parameters, -np.inf)
    of_covariances = chart.owners >= 0
    of_covariances[:6] = False  # three means of two features
    least[of_covariances] = -(1 - LEAST_SHARE) / 2 * np.sqrt(2) * chart.root_rows[of_covariances]
    root = np.linalg.cholesky(matrix.whole).T
    bounded = lsq_linear(root, np.linalg.solve(root.T, gradient), bounds=(least, np.inf), method="bvls")
    confined = Information.of(matrix).confined(gradient, chart)
    assert gain(matrix, gradient, confined) == pytest.approx(gain(matrix, gradient, bounded.x), rel=5e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(0.1, 1e4), st.floats(1e-6, 1))
def test_wherever_a_step_leads_covariances_stay_positive_definite(seed, covariance_type, size, extent):
    """Also for components of next to no extent: the noise tells which changes matter."""
    population, samples, constraints = scene_with(covariance_type, seed=seed)
    mixture = population.mixture
    thin = mixture.covariances * np.where([True, False, True], extent, 1)[:, None, None]
    population = population.with_parameters(
        mixture.amplitudes, population.background_amplitudes, mixture.means, thin
    )
    statistics = summarize_samples(population, samples)
    plain = Chart.at(population, statistics, constraints)
    chart = Chart(population, plain.counts, constraints, plain.freedom, typical_noise(samples))
    step = size * chart.root_rows * np.random.default_rng(seed).normal(size=chart.n_parameters)
    step = within_observed(chart, step)
    there = place_on_line(chart, step).population.mixture
    assert np.linalg.eigvalsh(there.covariances).min() > 0
    assert there.amplitudes.min() > 0
    change = chart.tangent(step)
    assert (change.amplitudes <= (1 + 1e-9) * MOST_GROWTH * population.amplitudes).all()
    frames = np.linalg.inv(np.linalg.cholesky(chart.observed))
    assert np.abs(np.einsum("kde,ke->kd", frames, change.means)).max() <= (1 + 1e-9) * MOST_OBSERVED


@pytest.mark.parametrize("kind", KINDS)
def test_typical_noise_is_the_harmonic_mean_over_the_rows_that_have_a_feature(kind):
    scene = random_scene(3, n=200, d=3, kind=kind, missing=0.3, weighted=True)
    samples, found = scene.samples, typical_noise(scene.samples)
    if kind == "none":
        assert not found.any()
        return
    for feature in range(3):
        weights, precisions = [], []
        for group in samples.groups:
            if feature not in group.observed:
                continue
            place = int(np.flatnonzero(group.observed == feature)[0])
            entry = place if kind == "diagonal" else place * (place + 3) // 2
            noise = np.broadcast_to(group.noise[..., entry], group.weights.shape)
            weights.append(group.weights)
            precisions.append(group.weights / noise)
        expected = np.concatenate(weights).sum() / np.concatenate(precisions).sum()
        assert found[feature] == pytest.approx(expected, rel=1e-12)


def test_rows_without_noise_or_behind_a_projection_have_no_typical_noise():
    values, projection = np.zeros((4, 1)), np.ones((4, 1, 2))
    projected = Samples.from_arrays(values, noise=np.ones((4, 1)), projection=projection)
    assert typical_noise(projected).tolist() == [0.0, 0.0]
    some = Samples.from_arrays(np.zeros((2, 1)), noise=np.array([[0.0], [1.0]]))
    assert typical_noise(some).tolist() == [0.0]


def test_a_component_without_extent_holds_the_others_up_no_more():
    """Its dispersion goes to nothing, its mean moves by many of its dispersions: neither shortens the steps."""
    rng = np.random.default_rng(5)
    truth = Mixture([0.4, 0.6], [[0.0, 0.0], [1.5, 0.0]], np.array([np.diag([1e-6, 1.0]), np.eye(2)]))
    values = truth.draw(20_000, rng) + rng.normal(size=(20_000, 2))
    start = Mixture([0.5, 0.5], [[-0.5, 0.5], [1.0, 0.5]], np.array([np.diag([1e-3, 1.5]), np.eye(2)]))
    own = {"n_components": 2, "noise": np.ones((20_000, 2)), "initial": start}
    result = fit(values, **own)
    slow = fit(values, method="em", tolerance=0, max_passes=400, **own)
    assert result.converged
    assert result.n_passes <= 25
    assert result.log_likelihood > slow.log_likelihood


def test_a_matrix_that_is_not_positive_definite_is_not_decomposed():
    assert Information.of(BlockMatrix((np.arange(2),), (np.diag([1.0, -1.0]),))) is None
