"""Boxes seen through correlated noise, from deep inside to far outside, against independent integrations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from dgmmis.background import Background
from dgmmis.noise import Noise
from dgmmis.samples import Samples
from strategies import random_covariances, random_noise

SQUARE = Background(([0.0, -1.0], [2.0, 1.0]))
TILTED = np.array([[0.25, 0.2], [0.2, 0.36]])
SEEDS = st.integers(0, 2**32 - 1)


def box(d: int) -> Background:
    return Background((np.arange(d) - 2.0, np.arange(d) + 1.5))


def log_density(background, values, noise=None) -> np.ndarray:
    return background.log_density(Samples.from_arrays(values, noise))


def error(background, values, noise=None) -> np.ndarray:
    return background.log_density_error(Samples.from_arrays(values, noise))


def summed_normal(low, high, covariance, n=100) -> float:
    """ln of the integral of a bivariate normal density over a rectangle, node by node."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    sides = [(b + a) / 2 + (b - a) / 2 * nodes for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)
    log_terms = multivariate_normal([0, 0], covariance).logpdf(grid) + np.log(np.outer(weights, weights))
    return np.logaddexp.reduce(log_terms.ravel()) + np.log(np.prod(high - low) / 4)


@given(SEEDS, st.floats(-6, 2))
def test_two_correlated_features_agree_with_a_sum_over_the_rectangle(seed, log_scale):
    rng = np.random.default_rng(seed)
    covariance = random_covariances(rng, 1, 2)[0] * np.exp(log_scale)
    deviation = np.sqrt(np.diagonal(covariance))
    corner = rng.normal(size=2) * 6 * deviation  # up to some 15 standard deviations outside
    side = rng.uniform(0.1, 3, size=2) * deviation
    background = Background((corner, corner + side))
    density = log_density(background, [[0.0, 0.0]], Noise.shared(covariance))[0]
    expected = summed_normal(corner, corner + side, covariance) - np.log(side).sum()
    assert density == pytest.approx(expected, abs=1e-10)


@given(SEEDS)
def test_nearly_equal_features_may_be_integrated_in_either_order(seed):
    rng = np.random.default_rng(seed)
    n = 50
    correlation = (1 - 10 ** rng.uniform(-14, -1, size=n)) * rng.choice([-1, 1], size=n)
    covariances = np.array([[[1, r], [r, 1]] for r in correlation])
    values = rng.normal(size=(n, 2)) * 3
    background = Background(([-1.0, -0.5], [0.5, 1.0]))
    swapped = Background(([-0.5, -1.0], [1.0, 0.5]))
    ours = log_density(background, values, Noise.full(covariances))
    theirs = log_density(swapped, values[:, ::-1], Noise.full(covariances))
    assert np.exp(ours) == pytest.approx(np.exp(theirs), rel=1e-9, abs=1e-13)


def test_fully_correlated_noise_moves_rows_along_a_line():
    values = np.random.default_rng(1).uniform(-1, 3, size=(50, 2)) - [0, 1]
    density = np.exp(log_density(SQUARE, values, Noise.shared(np.ones((2, 2)))))
    low, high = SQUARE.footprint
    first, last = (low - values).max(axis=1), (high - values).min(axis=1)
    expected = np.maximum(norm.cdf(last) - norm.cdf(first), 0) / SQUARE.volume
    assert density == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("d", [3, 5])
def test_more_correlated_features_agree_with_an_independent_integration(d):
    rng = np.random.default_rng(d)
    values, covariances = rng.uniform(-2, d, size=(6, d)), random_covariances(rng, 6, d, 0.2, 2)
    ours = log_density(box(d), values, Noise.full(covariances))
    low, high = box(d).footprint
    expected = [
        multivariate_normal.cdf(high - x, cov=S, lower_limit=low - x, rng=rng, abseps=1e-7, releps=1e-7)
        for x, S in zip(values, covariances, strict=True)
    ]
    errors = error(box(d), values, Noise.full(covariances))
    assert (errors > 0).all()
    assert (errors <= 1e-3).all()
    assert (abs(np.exp(ours) * box(d).volume - expected) < 4 * errors * expected + 1e-6).all()


def test_three_correlated_features_agree_with_noisy_draws():
    rng = np.random.default_rng(6)
    covariance = random_covariances(rng, 1, 3, 0.3, 2)[0]
    values = np.array([[-2.0, 1.0, 3.0], [0.0, 0.0, 0.0], [2.0, 3.0, 4.0]])
    n = 200_000
    low, high = box(3).footprint
    noise = rng.multivariate_normal(np.zeros(3), covariance, size=n)
    for x, density in zip(values, log_density(box(3), values, Noise.shared(covariance)), strict=True):
        p = ((x - noise > low) & (x - noise < high)).all(axis=1).mean()
        assert abs(np.exp(density) * box(3).volume - p) < 4 * np.sqrt(p * (1 - p) / n)


def test_the_stated_error_is_the_scatter_about_the_true_probability():
    # equicorrelated noise: an integral over the common part leaves independent intervals
    d, n, rho = 3, 60, 0.6
    rng = np.random.default_rng(9)
    values = rng.uniform(-3, 3, size=(n, d))
    background = Background(([-1.0] * d, [1.5] * d))
    covariance = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    common, weights = np.polynomial.hermite_e.hermegauss(120)
    low, high = (corner - values[:, :, None] - np.sqrt(rho) * common for corner in (-1.0, 1.5))
    sides = norm.cdf(high / np.sqrt(1 - rho)) - norm.cdf(low / np.sqrt(1 - rho))
    exact = np.log(sides.prod(axis=1) @ weights / np.sqrt(2 * np.pi)) - d * np.log(2.5)
    ours = log_density(background, values, Noise.shared(covariance))
    stated = error(background, values, Noise.shared(covariance))
    z = (ours - exact) / stated
    assert stated.max() <= 1e-4
    assert 0.5 < np.sqrt((z**2).mean()) < 2


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_huge_noise_leaves_the_noise_density_at_the_box(d):
    rng = np.random.default_rng(d)
    for scale in (1e3, 1e10, 1e25):
        covariances = random_covariances(rng, 4, d) * scale**2
        values = rng.uniform(-1, 1, size=(4, d)) * scale
        density = log_density(box(d), values, Noise.full(covariances))
        middle = (box(d).footprint[0] + box(d).footprint[1]) / 2
        expected = [
            multivariate_normal(x, S).logpdf(middle) for x, S in zip(values, covariances, strict=True)
        ]
        assert density == pytest.approx(np.array(expected), abs=10 / scale, rel=1e-13)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", ["shared", "diagonal", "full"])
def test_tiny_noise_leaves_a_flat_box(d, kind):
    rng = np.random.default_rng(0)
    noise = random_noise(rng, kind, 20, d)
    low, high = box(d).footprint
    values = rng.uniform(low + 1e-6, high - 1e-6, size=(20, d))
    for scale in (1e-20, 1e-150, 1e-310):
        small = Noise(kind, noise.array * scale)
        assert log_density(box(d), values, small) == pytest.approx(-np.log(box(d).volume), abs=1e-14)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("distance", [30.0, 1e4, 1e9, 1e60])
def test_far_outside_the_density_falls_like_the_noise_and_stays_a_number(d, distance):
    covariance = 0.3 * np.ones((d, d)) + np.eye(d)
    x = np.full((1, d), distance)
    density = log_density(Background(([-1.0] * d, [1.0] * d)), x, Noise.shared(covariance))[0]
    edge = distance - 1.0
    exponent = -0.5 * edge**2 * d / (1 + 0.3 * d)  # the nearest point is the corner, on the long axis
    assert density == pytest.approx(exponent, abs=8 * d * np.log(distance), rel=1e-13)


def test_a_far_row_of_two_correlated_features_is_as_precise_as_a_near_one():
    background = Background(([-1.0, -1.0], [1.0, 1.0]))
    density = log_density(background, [[30.0, 31.0]], Noise.shared(TILTED))[0]
    # all of the integral lies within 1.2 of the corner at (1, 1)
    expected = summed_normal(np.array([29.0, 30.0]), np.array([29.5, 31.2]), TILTED) - np.log(4)
    assert density == pytest.approx(expected, rel=1e-12)


@given(SEEDS)
def test_faces_count_as_far_inside_as_double_precision_tells(seed):
    rng = np.random.default_rng(seed)
    covariance = random_covariances(rng, 1, 2)[0]
    deviation = np.sqrt(np.diagonal(covariance))
    low, high = -rng.uniform(1, 9, size=2) * deviation, rng.uniform(1, 9, size=2) * deviation
    density = log_density(Background((low, high)), [[0.0, 0.0]], Noise.shared(covariance))[0]
    expected = summed_normal(low, high, covariance) - np.log(high - low).sum()
    assert density == pytest.approx(expected, abs=1e-12)


def test_a_face_beyond_8_deviations_counts_where_another_feature_pulls_the_row_to_it():
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    low, high = np.array([30.0, -20.0]), np.array([32.0, 9.0])
    density = log_density(Background((low, high)), [[0.0, 0.0]], Noise.shared(covariance))[0]
    nearest = summed_normal(low, np.array([31.0, 9.0]), covariance, n=200)
    assert density == pytest.approx(nearest - np.log(2 * 29), rel=1e-12)
