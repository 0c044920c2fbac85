"""How components and backgrounds share the whole, against the enumeration of all ways to lie at a limit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.background import Background
from dgmmis.constraints import Constraints
from dgmmis.maximization import events_of, maximize
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, Prior
from dgmmis.score_statistics import Statistics
from dgmmis.water_filling import share_within_limits


def best_by_enumeration(total, counts, lowest, highest) -> np.ndarray:
    """The best of all feasible points where some lie at a limit and the others share by counts."""
    best, best_value = None, -np.inf
    for state in product((-1, 0, 1), repeat=len(counts)):
        state = np.array(state)
        shares = np.where(state < 0, lowest, highest)
        free = state == 0
        if not np.isfinite(shares[~free]).all():
            continue
        if free.any():
            shares[free] = (total - shares[~free].sum()) * counts[free] / counts[free].sum()
        slack = 1e-12 * total
        feasible = (
            (shares >= lowest - slack) & (shares <= highest + slack) & (abs(shares.sum() - total) <= slack)
        )
        value = (counts * np.log(np.maximum(shares, 1e-300))).sum()
        if feasible.all() and value > best_value:
            best, best_value = shares, value
    return best


@st.composite
def problems(draw):
    """Two to five shares; the first has no limits, as a component's amplitude has none."""
    n = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = 10 ** rng.uniform(-3, 3, size=n)
    total = rng.uniform(0.1, 1)
    lowest = total / n * rng.uniform(0, 1, size=n) * (rng.random(n) < 0.7)
    highest = lowest + total * rng.uniform(0, 0.5, size=n)
    lowest[0], highest[0] = 0, np.inf
    return total, counts, lowest, highest


@settings(max_examples=150)
@given(problems())
def test_shares_are_the_best_of_all_ways_to_lie_at_limits(problem):
    total, _, lowest, highest = problem
    shares = share_within_limits(*problem)
    assert (shares >= lowest).all()
    assert (shares <= highest).all()
    assert shares.sum() == pytest.approx(total, rel=1e-14)
    assert shares == pytest.approx(best_by_enumeration(*problem), rel=1e-9)


def test_without_limits_shares_are_in_proportion_to_counts():
    shares = share_within_limits(0.5, np.array([1.0, 0.0, 3.0]), np.zeros(3), np.full(3, np.inf))
    assert shares.tolist() == [0.125, 0, 0.375]


def test_a_share_that_was_too_large_only_before_others_were_raised_is_not_held():
    """By proportion the first two are both outside; raising the second brings the first inside."""
    counts, lowest, highest = np.array([6.0, 1.0, 3.0]), np.array([0, 0.4, 0]), np.array([0.55, 1, 1])
    assert share_within_limits(1.0, counts, lowest, highest) == pytest.approx([0.4, 0.4, 0.2])


def with_backgrounds(mixture: Mixture, *settings: dict) -> Population:
    d = mixture.n_features
    low, high = np.full(d, -10.0), np.full(d, 10.0)
    return Population(mixture, tuple(Background((low, high), **setting) for setting in settings))


def shared_by(population: Population, counts, background_counts, **settings) -> np.ndarray:
    """Amplitudes in the whole after an update by these counts: components, then backgrounds."""
    k, d = population.n_components, population.n_features
    rows = float(np.sum(counts) + np.sum(background_counts))
    packed = np.zeros((k, d * (d + 1) // 2))
    counts, background_counts = np.array(counts, dtype=float), np.array(background_counts, dtype=float)
    statistics = Statistics(int(rows), rows, 0.0, counts, np.zeros((k, d)), packed, background_counts)
    after = maximize(population, statistics, Constraints.of(k, d, **settings))
    return np.concatenate((after.amplitudes, after.background_amplitudes))


def mixture_of(*amplitudes: float) -> Mixture:
    k = len(amplitudes)
    return Mixture(amplitudes, np.zeros((k, 1)), np.ones((k, 1, 1)))


def test_components_and_backgrounds_share_by_their_rows():
    population = with_backgrounds(mixture_of(0.5, 0.5), {"amplitude": 0.2}, {"amplitude": 0.3})
    assert shared_by(population, [10, 20], [30, 40]) == pytest.approx([0.1, 0.2, 0.3, 0.4], rel=1e-14)


def test_frozen_amplitudes_and_fixed_backgrounds_keep_their_part_of_the_whole():
    population = with_backgrounds(mixture_of(0.2, 0.8), {"amplitude": 0.2, "fixed": True}, {"amplitude": 0.3})
    after = shared_by(population, [50, 30], [10, 10], frozen={"amplitudes": [0]})
    assert after == pytest.approx([0.1, 0.7 * 30 / 40, 0.2, 0.7 * 10 / 40], rel=1e-14)


def test_a_background_beyond_a_limit_is_set_there_and_the_rest_shared_again():
    limits = {"amplitude": 0.2, "amplitude_min": 0.15, "amplitude_max": 0.25}
    population = with_backgrounds(mixture_of(0.2, 0.8), limits, limits)
    after = shared_by(population, [10, 30], [59, 1])
    assert after.tolist() == pytest.approx([0.15, 0.45, 0.25, 0.15], rel=1e-14)
    last = with_backgrounds(mixture_of(0.2, 0.8), limits | {"amplitude": 0.25}, limits | {"amplitude": 0.15})
    scanned = Statistics(9, 9.0, 0.0, np.ones(2), np.zeros((2, 1)), np.zeros((2, 1)), np.ones(2))
    assert events_of(last, scanned, Constraints.none(2, 1)) == (
        "background 0 lies at its amplitude_max, 0.25",
        "background 1 lies at its amplitude_min, 0.15",
    )


def test_the_amplitude_prior_adds_its_rows_to_free_components():
    population = with_backgrounds(mixture_of(0.2, 0.3, 0.5), {"amplitude": 0.5})
    after = shared_by(
        population, [5, 1, 7], [5], frozen={"amplitudes": [2]}, prior=Prior(amplitudes=Dirichlet([1, 4, 9]))
    )
    assert after == pytest.approx([0.75 * 5 / 14, 0.75 * 4 / 14, 0.25, 0.75 * 5 / 14], rel=1e-14)


def test_amplitudes_stay_while_no_free_component_holds_a_row():
    population = with_backgrounds(mixture_of(0.25, 0.75), {"amplitude": 0.5})
    before = [0.125, 0.375, 0.5]
    assert shared_by(population, [10, 0], [5], frozen={"amplitudes": [0]}).tolist() == before
    assert shared_by(population, [0, 0], [5]).tolist() == before


def test_a_background_without_rows_takes_what_limits_leave_when_all_components_are_frozen():
    population = with_backgrounds(
        mixture_of(1.0), {"amplitude": 0.2, "amplitude_max": 0.3}, {"amplitude": 0.3}
    )
    after = shared_by(population, [10], [5, 0], frozen={"amplitudes": [0]})
    assert after == pytest.approx([0.5, 0.3, 0.2], rel=1e-14)
