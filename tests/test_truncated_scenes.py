"""Three components, half hidden by a box with a hole, seen with noise: how near a blind fit comes to the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import dgmmis
from dgmmis.information import information
from dgmmis.population import Population
from dgmmis.selection import Ball, Box
from references import load_reference
from selected_scenes import problem_of

pytestmark = [pytest.mark.statistical, pytest.mark.timeout(1500)]

WEIGHTS = np.array([0.36060026, 0.27986906, 0.206774])
TRUTH = dgmmis.Mixture(
    WEIGHTS / WEIGHTS.sum(),
    10 * np.array([[0.08016886, 0.21300697], [0.70306351, 0.6709532], [0.0108767, 0.852077]]),
    100
    * np.array(
        [
            [[0.08530014, -0.00314178], [-0.00314178, 0.00541106]],
            [[0.03053402, 0.0125736], [0.0125736, 0.01075791]],
            [[0.00258605, 0.00409287], [0.00409287, 0.01065186]],
        ]
    ),
)
SELECTION = Box([0.0, 0.0], [10.0, 10.0]) & ~Ball([6.5, 6.0], 2.0)
NOISE = 0.25 * np.eye(2)
SHARE_SEEN = 0.495

SIZES = {30_000: (8, 0.005), 5_000: (12, 0.015)}
"""Observed rows: how many data sets, and what a fit may lose of the mean log-density of fresh draws [nats]."""


def observed_rows(n_rows: int, seed: int) -> np.ndarray:
    """About so many rows that the selection kept."""
    rng = np.random.default_rng(seed)
    values = TRUTH.draw(round(n_rows / SHARE_SEEN), rng)
    values += 0.5 * rng.normal(size=values.shape)
    return values[SELECTION.bind(("x", "y")).evaluate(values) > 0]


@cache
def fresh_draws() -> np.ndarray:
    """Noise-free draws of the truth, seen and unseen."""
    return TRUTH.draw(100_000, np.random.default_rng(12345))


def mean_log_density(mixture: dgmmis.Mixture) -> float:
    """Of fresh draws of the truth."""
    return float(mixture.log_density(fresh_draws()).mean())


def fitted(values: np.ndarray, **settings: object) -> dgmmis.FitResult:
    """Fit by maximum likelihood, knowing noise and selection unless told otherwise."""
    told = {"noise": NOISE, "selection": SELECTION, "prior": None, **settings}
    return dgmmis.fit(values, n_components=3, **told)


@dataclass(frozen=True)
class Outcome:
    """What became of one data set.

    Attributes
    ----------
    loss : float
        Mean log-density of fresh draws under the truth minus that under the fit from a blind start.
    loss_from_truth : float
        The same for a fit that started at the truth.
    shortfall, shortfall_error : float
        Objective of the fit from the truth minus that of the blind one, on common points, and its Monte-Carlo
        error [total nats].
    amplitudes : (3,)
        Offsets from the truth, in the fit's own standard errors.
    """

    loss: float
    loss_from_truth: float
    shortfall: float
    shortfall_error: float
    amplitudes: np.ndarray


@cache
def outcomes(n_rows: int) -> tuple[Outcome, ...]:
    """Of all data sets of one size."""
    n_sets, _ = SIZES[n_rows]
    return tuple(outcome_of(observed_rows(n_rows, seed)) for seed in range(n_sets))


def outcome_of(values: np.ndarray) -> Outcome:
    """Fit one data set twice."""
    own = mean_log_density(TRUTH)
    blind, begun_right = fitted(values), fitted(values, initial=TRUTH)
    assert blind.converged
    assert begun_right.converged
    return Outcome(
        own - mean_log_density(blind.mixture),
        own - mean_log_density(begun_right.mixture),
        *shortfall(values, blind.population, begun_right.population),
        amplitude_offsets(values, blind.population),
    )


def shortfall(values: np.ndarray, blind: Population, begun_right: Population) -> tuple[float, float]:
    """Objective of the second minus that of the first, and its error, on points that serve both."""
    problem = problem_of(values, Population(TRUTH), SELECTION, noise=NOISE, points=2**16)
    imputation = problem.imputation
    assert imputation is not None
    reference = imputation.first_reference(Population(TRUTH))
    objectives, replicates = [], []
    for population in (blind, begun_right):
        imputed = imputation.impute(population, reference)
        objectives.append(imputation.together(problem.summarize(population), imputed).log_likelihood)
        replicates.append(np.array([one.log_likelihood for one in imputed.replicates]))
    apart = replicates[1] - replicates[0]
    return objectives[1] - objectives[0], float(apart.std(ddof=1) / np.sqrt(len(apart)))


def amplitude_offsets(values: np.ndarray, population: Population) -> np.ndarray:
    """Amplitudes of a fit minus those of the truth, in their standard errors."""
    problem = problem_of(values, population, SELECTION, noise=NOISE)
    imputation = problem.imputation
    assert imputation is not None
    imputed = imputation.impute(population, imputation.first_reference(population))
    matrix = information(
        population,
        imputation.sample,
        imputation.observation.weight,
        problem.constraints,
        imputed.statistics,
        imputation.cut,
    )
    apart = np.linalg.norm(population.mixture.means[:, None] - TRUTH.means[None], axis=2)
    ours, theirs = linear_sum_assignment(apart)
    offsets = population.amplitudes[ours] - TRUTH.amplitudes[theirs]
    return offsets / matrix.amplitude_errors()[ours]


def test_the_truth_has_the_mean_log_density_that_is_known_of_it() -> None:
    assert mean_log_density(TRUTH) == pytest.approx(-4.04, abs=0.01)


@pytest.mark.parametrize(
    "n_rows",
    [
        30_000,
        pytest.param(
            5_000,
            marks=pytest.mark.xfail(
                strict=True,
                reason="0.0156 nats at the maximum; expectation maximization stopped short of it, at 0.0146",
            ),
        ),
    ],
)
def test_a_blind_fit_loses_little_of_the_truth_in_the_middle_of_many_data_sets(n_rows: int) -> None:
    """The maximum of the likelihood itself scatters about the bar, with a tail: hence the median."""
    losses = np.array([one.loss for one in outcomes(n_rows)])
    assert np.median(losses) < SIZES[n_rows][1], losses.round(4)


@pytest.mark.parametrize("n_rows", SIZES)
def test_a_blind_fit_climbs_as_high_as_one_that_starts_at_the_truth(n_rows: int) -> None:
    for one in outcomes(n_rows):
        assert one.shortfall < 1 + 3 * one.shortfall_error, one
        assert one.shortfall_error < 1, one


@pytest.mark.parametrize("n_rows", SIZES)
def test_amplitudes_are_the_true_ones_within_their_own_errors(n_rows: int) -> None:
    offsets = np.array([one.amplitudes for one in outcomes(n_rows)])
    assert np.abs(offsets).max() < 3, offsets.round(2)


def test_ignoring_the_selection_loses_more_than_a_nat() -> None:
    ignoring = fitted(observed_rows(5_000, 0), selection=None)
    assert mean_log_density(TRUTH) - mean_log_density(ignoring.mixture) > 1


def test_the_data_on_which_pygmmis_was_run_are_fitted_ten_times_nearer_the_truth() -> None:
    case = load_reference("pygmmis_selection_ov10")
    theirs = [
        mean_log_density(TRUTH)
        - mean_log_density(dgmmis.Mixture(amplitudes / amplitudes.sum(), means, covariances))
        for amplitudes, means, covariances in zip(
            case["amp_noise"], case["mean_noise"], case["covar_noise"], strict=True
        )
    ]
    ours = mean_log_density(TRUTH) - mean_log_density(fitted(case["X"]).mixture)
    assert ours < 0.1 * min(theirs), (ours, theirs)


def small_scene() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of 21 seeds about 200 observed rows, and the 400 rows, without noise, that they were observed from."""
    case = load_reference("pygmmis_test_scenario")
    return [(case[f"data_{seed}"], case[f"orig_{seed}"]) for seed in case["seeds"]]


def test_small_samples_are_fitted_well_by_default() -> None:
    """Maximum likelihood, over-fitting what it cannot see, comes to -4.7, the seed to -4.52."""
    found = [fitted(values, prior="auto").mixture.log_density(rows).mean() for values, rows in small_scene()]
    assert np.mean(found) >= -4.45, np.round(found, 3)


@pytest.mark.xfail(strict=True, reason="the mean was -4.3536 with 16 starts: the bar is missed by 0.004")
def test_the_average_of_all_optima_describes_small_samples_better_still() -> None:
    found = []
    for values, rows in small_scene():
        optima = dgmmis.fit_restarts(values, n_components=3, noise=NOISE, selection=SELECTION)
        found.append(optima.stack().log_density(rows).mean())
    assert np.mean(found) >= -4.35, np.round(found, 3)
