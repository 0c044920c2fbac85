"""The likelihood of selected rows, its gradient, and what their imputation promises."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import dgmmis
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.observation import REPLICATES
from quadrature import (
    Law,
    log_likelihood,
    log_omega,
    observed_sums,
    unobserved_sums,
)
from selected_scenes import (
    AMPLITUDES,
    APART,
    COVARIANCES,
    MEANS,
    all_numbers,
    climbed,
    imputed_at,
    named,
    noisy_rows,
    numbers_of,
    ones,
    problem_of,
    scene_of,
)

SEEDS = range(4)
ROUNDING = 1e-9
"""Of the quadrature where the imputed part is exactly 0."""
NOISES = ("none", "shared", "diagonal", "full")
ONE_FEATURE = list(product([1], ["smooth", "stepped"], NOISES[:3], [False], [False, True]))
TWO_FEATURES = list(product([2], ["smooth", "stepped"], NOISES, [False, True], [False, True]))


@pytest.mark.parametrize("case", ONE_FEATURE + TWO_FEATURES, ids=named)
def test_value_and_gradient_are_those_of_the_quadrature(case):
    """What involves no points to 1e-8; the imputed parts within 4 of their own standard errors, by 4 seeds."""
    scene = scene_of(*case)
    costly = case == (2, case[1], case[2], False, True) and case[2] in ("shared", "full")
    problem = scene.problem(points=128 if costly else 2048)
    seen = all_numbers(observed_sums(scene.law, scene.values, scene.noise, scene.weights))
    np.testing.assert_allclose(numbers_of(problem.summarize(scene.population)), seen, rtol=1e-8, atol=1e-8)
    expected = log_omega(scene.values, scene.weights, scene.keeping)
    assert problem.imputation.log_selection == pytest.approx(expected, rel=1e-12)

    sums, completeness = unobserved_sums(scene.law, scene.noise, scene.weights, scene.keeping)
    imputed = [imputed_at(problem, scene.population, seed=seed) for seed in SEEDS]
    replicates = np.array([[numbers_of(one) for one in each.replicates] for each in imputed])
    errors = replicates.std(axis=1, ddof=1) / np.sqrt(REPLICATES)
    mean = np.mean([numbers_of(each.statistics) for each in imputed], axis=0)
    assert_within(mean - all_numbers(sums), errors)
    found = np.array([each.completeness for each in imputed])
    assert_within(found.mean() - completeness, np.array([each.completeness_error for each in imputed]))
    stated = [each.log_likelihood_error for each in imputed]
    np.testing.assert_allclose(stated, errors[:, -1], rtol=1e-10)
    assert np.max(stated) < (0.1 if costly else 0.02) * abs(sums.log_likelihood)


def assert_within(offset: np.ndarray, errors: np.ndarray) -> None:
    """Within 4 standard errors of the mean over seeds."""
    own = np.sqrt((errors**2).mean(axis=0) / len(SEEDS))
    assert (np.abs(offset) <= 4 * own + ROUNDING).all(), np.abs(offset) / (own + ROUNDING)


@pytest.mark.parametrize(
    "case", [(1, "stepped", "diagonal", False, True), (2, "smooth", "shared", True, True)]
)
def test_the_quadratures_statistics_are_the_gradient_of_its_likelihood(case):
    scene = scene_of(*case)
    seen = observed_sums(scene.law, scene.values, scene.noise, scene.weights)
    unseen, _ = unobserved_sums(scene.law, scene.noise, scene.weights, scene.keeping)

    def slope(direction: Law, step: float = 1e-4) -> float:
        moved = [
            replace(
                scene.law,
                amplitudes=scene.law.amplitudes + side * direction.amplitudes,
                means=scene.law.means + side * direction.means,
                covariances=scene.law.covariances + side * direction.covariances,
                background=scene.law.background + side * direction.background,
            )
            for side in (step, -step)
        ]
        up, down = (
            log_likelihood(law, scene.values, scene.noise, scene.weights, scene.keeping) for law in moved
        )
        return (up - down) / (2 * step)

    rng = np.random.default_rng(7)
    still = Law(np.zeros(2), np.zeros_like(scene.law.means), np.zeros_like(scene.law.covariances))
    means = rng.normal(size=still.means.shape)
    expected = np.sum((seen.first + unseen.first) * means)
    assert slope(replace(still, means=means)) == pytest.approx(expected, rel=1e-6)
    roots = rng.normal(size=still.covariances.shape)
    roots = roots + roots.swapaxes(1, 2)
    expected = np.sum((seen.second + unseen.second) * roots) / 2
    assert slope(replace(still, covariances=roots)) == pytest.approx(expected, rel=1e-6)
    exchange = (seen.zeroth + unseen.zeroth) / scene.law.amplitudes
    background = (seen.background + unseen.background) / scene.law.background
    given = slope(replace(still, amplitudes=np.array([1.0, -1.0])))
    assert given == pytest.approx(exchange[0] - exchange[1], rel=1e-6)
    given = slope(replace(still, amplitudes=np.array([1.0, 0.0]), background=-1.0))
    assert given == pytest.approx(exchange[0] - background, rel=1e-6)


@pytest.mark.parametrize(
    "case",
    [
        (1, "stepped", "none", False, False),
        (1, "smooth", "diagonal", False, True),
        (2, "stepped", "full", False, False),
        (2, "stepped", "diagonal", True, True),
    ],
    ids=named,
)
def test_on_fixed_points_no_pass_lowers_the_objective(case):
    scene = scene_of(*case)
    start = replace(
        scene.population,
        mixture=Mixture(AMPLITUDES[::-1], 0.5 * MEANS[:, : case[0]], 2 * scene.law.covariances),
    )
    objectives = np.array(climbed(scene.problem(points=1024), start, 30))
    rounding = 1e-13 * scene.weights.sum() * 30
    assert (np.diff(objectives) >= -rounding).all()
    assert objectives[-1] - objectives[0] > 0.1


def a_half(x: np.ndarray) -> np.ndarray:
    return np.full(len(x), 0.5)


def test_a_selection_that_keeps_everything_changes_no_bit():
    values, variances = noisy_rows(600)
    initial = Mixture(AMPLITUDES, 0.5 * MEANS, COVARIANCES)
    settings = {"n_components": 2, "initial": initial, "noise": variances, "tolerance": 0, "max_passes": 8}
    settings["prior"] = None
    plain = dgmmis.fit(values, **settings)
    kept = dgmmis.fit(values, selection=ones, **settings)
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(plain.mixture, name), getattr(kept.mixture, name))
    assert [scan.log_likelihood for scan in kept.history] == [scan.log_likelihood for scan in plain.history]
    assert (kept.completeness, kept.completeness_error, kept.log_likelihood_error) == (1, 0, 0)


def test_a_constant_selection_changes_nothing_but_the_completeness():
    """L + N ln(1/2) - N ln(1/2): where the optimum lies the unobserved rows pull at nothing."""
    n = 1_000
    values, variances = noisy_rows(n)
    settings = {"n_components": 2, "initial": APART, "noise": variances, "tolerance": 0.01, "prior": None}
    plain = dgmmis.fit(values, **settings)
    halved = dgmmis.fit(values, selection=a_half, **settings)
    assert plain.converged
    assert halved.converged
    assert halved.completion.score_error <= 0.1
    assert halved.completeness == pytest.approx(0.5, abs=4 * halved.completeness_error)
    noise_of_l = 4 * halved.log_likelihood_error + 0.02
    assert halved.log_likelihood == pytest.approx(plain.log_likelihood, abs=noise_of_l)
    errors = np.sqrt(np.diagonal(COVARIANCES, axis1=1, axis2=2) / (n * AMPLITUDES[:, None]))
    assert (np.abs(halved.mixture.means - plain.mixture.means) < 0.4 * errors).all()
    problem = problem_of(values, plain.population, a_half, noise=Noise.diagonal(variances))
    imputed = [imputed_at(problem, plain.population, seed=seed) for seed in SEEDS]
    pull = np.concatenate((n * plain.mixture.amplitudes, np.zeros(10), [n * np.log(2)]))
    replicates = np.array([[numbers_of(one) for one in each.replicates] for each in imputed])
    own = replicates.std(axis=1, ddof=1) / np.sqrt(REPLICATES)
    assert_within(np.mean([numbers_of(each.statistics) for each in imputed], axis=0) - pull, own)
