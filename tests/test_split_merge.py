"""Split and merge: moments are kept, frozen components are left alone, the right ones come first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis import Mixture
from dgmmis.background import Background
from dgmmis.constraints import Constraints
from dgmmis.misfit import Examiner
from dgmmis.population import Population
from dgmmis.split_merge import Move, halves, merge_losses, merged, movable, moves, rearranged
from strategies import random_mixture


def moments(amplitudes, means, covariances) -> tuple[np.ndarray, np.ndarray]:
    second = covariances + means[:, :, None] * means[:, None, :]
    return np.asarray(amplitudes) @ means, np.einsum("k,kde->de", np.asarray(amplitudes), second)


def suggested(mixture: Mixture, values: np.ndarray, constraints: Constraints) -> list[Move]:
    misfit = Examiner.of(Population(mixture)).examine(mixture.samples(values))
    return moves(mixture, misfit, movable(constraints))


@given(st.integers(0, 1000), st.integers(0, 2))
def test_halves_have_the_moments_of_the_whole(seed, axis):
    whole = random_mixture(np.random.default_rng(seed), 1, 3)
    direction = Examiner.of(Population(whole)).directions[0, :, axis]
    two = halves(whole.means[0], whole.covariances[0], direction)
    for ours, theirs in zip(moments([0.5, 0.5], *two), moments(*vars(whole).values()), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(st.integers(0, 1000))
def test_a_merged_pair_has_the_moments_of_both(seed):
    pair = random_mixture(np.random.default_rng(seed), 2, 3)
    amplitude, mean, covariance = merged(pair, (0, 1))
    for ours, theirs in zip(
        moments([amplitude], mean[None], covariance[None]), moments(*vars(pair).values()), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(st.integers(0, 1000), st.sampled_from(["amplitudes", "means", "covariances"]))
def test_what_is_frozen_is_neither_split_nor_merged_and_keeps_its_bits(seed, kind):
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, 4, 2)
    constraints = Constraints.of(4, 2, frozen={kind: [1]}, floor=0.2)
    background = Background((np.full(2, -9.0), np.full(2, 9.0)), amplitude=0.1)
    population = Population(mixture, (background,))
    found = suggested(mixture, mixture.draw(200, rng), constraints)
    assert found
    for move in found:
        after = rearranged(population, Examiner.of(population).directions, move, constraints)
        assert after.mixture.amplitudes.sum() == pytest.approx(1, abs=1e-12)
        assert after.backgrounds == population.backgrounds
        for before, now in zip(vars(mixture).values(), vars(after.mixture).values(), strict=True):
            assert np.array_equal(before[1], now[1])


def test_fewer_than_three_movable_components_leave_nothing_to_try():
    mixture = random_mixture(np.random.default_rng(0), 4, 2)
    constraints = Constraints.of(4, 2, frozen={"means": [0], "amplitudes": [2]})
    assert suggested(mixture, mixture.draw(50, np.random.default_rng(0)), constraints) == []


@pytest.mark.parametrize("kind", ["full", "tied", "diagonal", "spherical"])
def test_moves_keep_to_the_type_and_the_floor_of_covariances(kind):
    rng = np.random.default_rng(4)
    constraints = Constraints.of(4, 2, covariance_type=kind, floor=1.5)
    population = Population(random_mixture(rng, 4, 2))
    directions = Examiner.of(population).directions
    covariances = rearranged(population, directions, Move(0, 1, 2, 3), constraints).mixture.covariances
    assert (np.linalg.eigvalsh(covariances)[:, 0] >= 1.5**2 * (1 - 1e-12)).all()
    if kind == "tied":
        assert (covariances == covariances[0]).all()
    elif kind != "full":
        assert (covariances[:, 0, 1] == 0).all()


def test_the_component_over_two_clusters_is_split_first_and_the_two_in_one_are_merged():
    truth = Mixture(np.full(4, 0.25), np.array([[0.0], [20.0], [40.0], [46.0]]), np.ones((4, 1, 1)))
    values = truth.draw(800, np.random.default_rng(0))
    fitted = Mixture(
        np.array([0.25, 0.125, 0.125, 0.5]),
        np.array([[0.0], [20.0], [20.0], [43.0]]),
        np.array([1, 1, 1, 10.0])[:, None, None],
    )
    constraints = Constraints.none(4, 1)
    first = suggested(fitted, values, constraints)[0]
    assert first == Move(3, 0, 1, 2)
    population = Population(fitted)
    after = rearranged(population, Examiner.of(population).directions, first, constraints).mixture
    assert np.sort(after.means[:, 0]).round() == pytest.approx([0, 20, 40, 46], abs=1)


def test_a_component_without_rows_is_the_cheapest_to_give_up():
    mixture = Mixture(np.array([0.5, 0.5, 0.0]), np.array([[0.0], [9.0], [900.0]]), np.ones((3, 1, 1)))
    cosines = Examiner.of(Population(mixture)).examine(mixture.samples(np.array([[0.0], [9.0]]))).cosines
    losses = merge_losses(mixture, cosines)
    assert losses[0, 2] == losses[1, 2] == 0 < losses[0, 1]


def test_merging_two_equal_gaussians_costs_nothing_and_two_apart_their_entropy():
    means = np.array([[0.0, 0.0], [0.0, 0.0], [1e3, 0.0]])
    mixture = Mixture(np.full(3, 1 / 3), means, np.stack([np.eye(2)] * 3))
    losses = merge_losses(mixture, np.eye(3))
    assert losses[0, 1] == pytest.approx(0, abs=1e-12)
    assert losses[0, 2] == pytest.approx(np.log(1 + 500.0**2) / 3)
    assert np.isinf(losses[np.tril_indices(3)]).all()
