"""Split and merge: moments are kept, frozen components are left alone, gains are bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis import Mixture, Noise
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.split_merge import halves, merged, proposals, split_gain


def random_mixture(seed: int, n_components: int = 4, n_features: int = 3) -> Mixture:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_components, n_features, n_features))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(n_features)
    means = 4 * rng.normal(size=(n_components, n_features))
    return Mixture(
        rng.dirichlet(np.ones(n_components)), means, (covariances + covariances.swapaxes(1, 2)) / 2
    )


def moments(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    mean = mixture.amplitudes @ mixture.means
    second = mixture.covariances + mixture.means[:, :, None] * mixture.means[:, None, :]
    return mean, np.einsum("k,kde->de", mixture.amplitudes, second)


@given(st.integers(0, 1000))
def test_halves_have_the_moments_of_the_whole(seed):
    whole = random_mixture(seed, n_components=1)
    for ours, theirs in zip(
        moments(halves(whole.means[0], whole.covariances[0])), moments(whole), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(st.integers(0, 1000))
def test_a_merged_pair_has_the_moments_of_both(seed):
    pair = random_mixture(seed, n_components=2)
    amplitude, mean, covariance = merged(pair, (0, 1))
    one = Mixture(np.array([amplitude]), mean[None], covariance[None])
    for ours, theirs in zip(moments(one), moments(pair), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(st.integers(0, 1000))
def test_proposals_keep_all_that_may_not_move(seed):
    mixture = random_mixture(seed)
    rows = Rows(mixture.draw(200, np.random.default_rng(seed)), Noise.none())
    movable = np.array([True, False, True, True])
    found = list(proposals(Population(mixture), rows, movable))
    assert 0 < len(found) <= 3
    for population in found:
        assert population.mixture.amplitudes.sum() == pytest.approx(1, abs=1e-12)
        assert population.mixture.amplitudes[1] == mixture.amplitudes[1]
        assert np.array_equal(population.mixture.means[1], mixture.means[1])
        assert np.array_equal(population.mixture.covariances[1], mixture.covariances[1])
    assert list(proposals(Population(mixture), rows, np.array([True, False, False, True]))) == []


def test_the_component_that_gains_most_is_split_first():
    truth = Mixture(np.full(4, 0.25), np.array([[0.0], [20.0], [40.0], [46.0]]), np.ones((4, 1, 1)))
    rows = Rows(truth.draw(800, np.random.default_rng(0)), Noise.none())
    fitted = Mixture(
        np.array([0.25, 0.125, 0.125, 0.5]),
        np.array([[0.0], [20.0], [20.0], [43.0]]),
        np.array([1, 1, 1, 10.0])[:, None, None],
    )
    first = next(proposals(Population(fitted), rows, np.ones(4, dtype=bool))).mixture
    assert np.sort(first.means[:, 0]).round() == pytest.approx([0, 20, 40, 46], abs=1)


def test_a_component_over_two_clusters_gains_most_by_a_split_and_a_gaussian_nothing_much():
    rng = np.random.default_rng(1)
    apart = np.concatenate((rng.normal(-5, 1, (500, 2)), rng.normal(5, 1, (500, 2))))
    mean, covariance = apart.mean(axis=0), np.cov(apart.T, bias=True)
    one = Mixture(np.ones(1), mean[None], covariance[None])
    gain = split_gain(one, 0, Rows(apart, Noise.none()), np.ones(1000))
    two = Mixture(np.array([0.5, 0.5]), np.array([[-5.0, -5.0], [5.0, 5.0]]), np.stack([np.eye(2)] * 2))
    possible = two.log_density(apart).sum() - one.log_density(apart).sum()
    assert gain == pytest.approx(possible, rel=0.05)
    alike = one.draw(1000, rng)
    assert split_gain(one, 0, Rows(alike, Noise.none()), np.ones(1000)) < 0.02 * gain
