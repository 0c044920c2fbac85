"""The chart of free parameters: gradients are slopes of the objective, and nothing leads out of what is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.background import Background
from dgmmis.constraints import TYPES, Constraints
from dgmmis.coordinates import Chart
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.information import prior_score
from dgmmis.maximization import conform, maximize
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from strategies import random_scene

STEP = 1e-5
"""Of central differences, in dispersions: their error is STEP^2, and rounding of L over STEP."""

FROZEN = {"amplitudes": [0], "means": [1], "covariances": [2]}
PRIOR = Prior(InverseWishart([0.3, 0.5], pseudo_rows=3.0), Dirichlet(2.0))


def scene_with(
    covariance_type, *, frozen=None, floor=None, prior=None, background=False, seed=0, kind="diagonal"
):
    """Rows, a population that the constraints allow after two updates, and its statistics."""
    scene = random_scene(seed, n=300, d=2, k=3, kind=kind, missing=0.2, weighted=True)
    constraints = Constraints.of(
        3, 2, frozen=frozen, covariance_type=covariance_type, floor=floor, prior=prior
    )
    around = Background((np.full(2, -9.0), np.full(2, 9.0)), amplitude=0.2)
    population = conform(Population(scene.mixture, (around,) if background else ()), constraints)
    samples = prepare(population, scene.samples)
    for _ in range(2):
        population = maximize(population, summarize_samples(population, samples), constraints)
    return population, samples, constraints


def objective(population, samples, constraints):
    return summarize_samples(population, samples).log_likelihood + constraints.log_prior(population)


def assert_gradient_is_slope(population, samples, constraints, moved=0.0):
    chart = Chart.at(population, summarize_samples(population, samples), constraints)
    rng = np.random.default_rng(1)
    x = moved * rng.normal(size=chart.n_parameters)
    there = chart.place(x)
    assert there.inside
    statistics = summarize_samples(there.population, samples) + prior_score(there.population, constraints)
    gradient = chart.gradient(there.population, statistics)
    for axis in range(chart.n_parameters):
        step = STEP * np.sqrt(300) * np.eye(chart.n_parameters)[axis]
        ahead, behind = (chart.place(x + sign * step).population for sign in (1, -1))
        slope = objective(ahead, samples, constraints) - objective(behind, samples, constraints)
        slope /= 2 * STEP * np.sqrt(300)
        assert gradient[axis] == pytest.approx(slope, abs=2e-5, rel=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("settings_of", ["free", "frozen", "floor", "prior", "background"])
def test_the_gradient_is_the_slope_of_the_objective_at_the_origin_and_away_from_it(
    covariance_type, settings_of
):
    given_settings = {
        "free": {},
        "frozen": {"frozen": FROZEN},
        "floor": {"floor": [1.4, 0.7]},
        "prior": {"prior": PRIOR},
        "background": {"background": True},
    }[settings_of]
    population, samples, constraints = scene_with(covariance_type, **given_settings)
    assert_gradient_is_slope(population, samples, constraints)
    assert_gradient_is_slope(population, samples, constraints, moved=0.3)


def test_directions_on_the_floor_have_no_coordinates_and_the_others_still_turn():
    population, _, constraints = scene_with("full", floor=[1.4, 0.7])
    free, samples, none = scene_with("full")
    held = Chart.at(population, summarize_samples(population, samples), constraints)
    unheld = Chart.at(free, summarize_samples(free, samples), none)
    ranks = [directions for _, directions in held.freedom.covariances]
    assert min(ranks) < 2  # the scene does touch the floor
    lost = sum({0: 3, 1: 1, 2: 0}[rank] for rank in ranks)
    assert held.n_parameters == unheld.n_parameters - lost


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.booleans(), st.booleans())
def test_coordinates_of_a_place_are_where_it_lies(seed, covariance_type, floored, background):
    population, samples, constraints = scene_with(
        covariance_type, floor=[1.4, 0.7] if floored else None, background=background, seed=seed
    )
    chart = Chart.at(population, summarize_samples(population, samples), constraints)
    assert chart.coordinates(population) == pytest.approx(np.zeros(chart.n_parameters), abs=1e-6)
    x = np.random.default_rng(seed).normal(size=chart.n_parameters)
    there = chart.place(x)
    if there.inside:
        assert chart.coordinates(there.population) == pytest.approx(x, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(0.1, 30))
def test_no_coordinates_lead_below_the_floor_or_beyond_a_limit(seed, covariance_type, reach):
    population, samples, constraints = scene_with(
        covariance_type, frozen=FROZEN, floor=[1.0, 0.5], background=True, seed=seed
    )
    limited = Population(
        population.mixture,
        (
            Background(
                (np.full(2, -9.0), np.full(2, 9.0)), amplitude=0.2, amplitude_min=0.1, amplitude_max=0.3
            ),
        ),
    )
    chart = Chart.at(limited, summarize_samples(limited, samples), constraints)
    there = chart.place(reach * np.random.default_rng(seed).normal(size=chart.n_parameters)).population
    eigenvalues = np.linalg.eigvalsh(there.mixture.covariances / np.outer([1.0, 0.5], [1.0, 0.5]))
    assert eigenvalues[:2].min() > 1 - 1e-9  # the third is frozen
    assert 0.1 <= there.background_amplitudes[0] <= 0.3
    assert there.amplitudes.sum() + there.background_amplitudes.sum() == pytest.approx(1)
    assert there.amplitudes[0] == pytest.approx(limited.amplitudes[0])
    assert np.array_equal(there.mixture.means[1], limited.mixture.means[1])
    assert np.array_equal(there.mixture.covariances[2], limited.mixture.covariances[2])


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("floored", [False, True])
def test_however_far_coordinates_lead_there_is_a_covariance_and_it_is_said_not_to_be_theirs(
    covariance_type, floored
):
    population, samples, constraints = scene_with(
        covariance_type, floor=[1.4, 0.7] if floored else None, background=False, seed=3
    )
    chart = Chart.at(population, summarize_samples(population, samples), constraints)
    for far in (1e7, -1e7):
        there = chart.place(np.full(chart.n_parameters, far))
        assert np.isfinite(there.population.mixture.covariances).all()
        assert not there.inside


def test_a_chart_has_as_many_coordinates_as_the_constraints_leave_parameters():
    for covariance_type in TYPES:
        population, samples, constraints = scene_with(covariance_type, frozen=FROZEN, background=True)
        chart = Chart.at(population, summarize_samples(population, samples), constraints)
        assert chart.n_parameters == constraints.n_parameters(3, 2, population.backgrounds)
        assert len(chart.owners) == chart.n_parameters


def test_scores_of_rows_sum_to_the_gradient():
    from dgmmis.row_scores import row_scores

    population, samples, constraints = scene_with("full", background=True, kind="full")
    statistics = summarize_samples(population, samples)
    chart = Chart.at(population, statistics, constraints)
    total = np.zeros(chart.n_parameters)
    for rows in row_scores(population, samples):
        scores = chart.scores(population, rows.zeroth, rows.background, rows.first, rows.second)
        total += rows.weights @ scores
    assert total == pytest.approx(chart.gradient(population, statistics), abs=1e-8)
