"""Intervals of one standard error cover the truth as often as they say, with and without truncation.

Each simulation draws rows anew, goes from the truth to their maximum of the likelihood, and asks whether each parameter
lies within its standard error of the truth: a chance of .683.  Over 400 simulations the fraction scatters by .023, so
.61 to .75 is three standard deviations; pooled over 11 parameters that hardly depend on each other, by .008.
"""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis.bootstrap import Resampling, climb
from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.error_estimates import Wanted, estimate_errors
from dgmmis.iterate import Limits, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.optimum import Fitted, Optimum, at_optimum
from dgmmis.outer_products import outer_products
from dgmmis.population import Population
from dgmmis.selection import Box
from dgmmis.task import Task, information_sample, look, set_up
from dgmmis.task_settings import build_selecting

pytestmark = [pytest.mark.statistical, pytest.mark.timeout(900)]

TRUTH = Mixture(
    np.array([0.6, 0.4]),
    np.array([[-1.5, 0.0], [1.5, 1.0]]),
    np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.6, -0.2], [-0.2, 1.0]]]),
)
LOW, HIGH = np.array([-3.0, -2.5]), np.array([3.0, 2.5])
N_ROWS = 4000


def drawn(rng: np.random.Generator, *, cut: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their variances, of two kinds of noise; a box cuts the noisy values."""
    values = TRUTH.draw(4 * N_ROWS, rng)
    noise = np.where(rng.random((len(values), 1)) < 0.5, 0.05, 0.5) * np.ones((1, 2))
    values = values + np.sqrt(noise) * rng.normal(size=values.shape)
    kept = ((values > LOW) & (values < HIGH)).all(axis=1) | (not cut)
    return values[kept][:N_ROWS], noise[kept][:N_ROWS]


def fit_begun_at_the_truth(values: np.ndarray, noise: np.ndarray | None, selection: object) -> Fitted:
    chunks = ArrayChunks.from_arrays(values, noise)
    selecting = build_selecting(
        selection, chunks.features, before_noise=False, noise_model=None, projection=None, oversampling=None, seed=0
    )  # fmt: skip
    task = Task(2, Constraints.none(2, 2), selecting=selecting)
    passes, sample = LocalPasses(chunks, threads=1, cut=task.cut), information_sample(chunks, task)
    population = Population(TRUTH)
    problem = set_up(passes, sample, task, population, look(passes, sample, task))
    reference = None if problem.imputation is None else problem.imputation.first_reference(population)
    return Fitted(population, task, chunks, passes, problem, sample, reference)


def at_the_maximum(fitted: Fitted) -> Fitted:
    begun: Optimum = at_optimum(fitted)
    spectrum = outer_products(begun.chart, fitted.sample, fitted.task.cut).matrix.spectrum
    reached = climb(begun.chart, spectrum, lambda p: fitted.statistics_at(p)[0], tolerance=1e-3)
    if reached is None:
        *_, last = iterate(fitted.population, fitted.problem, Limits(1e-3, 3000))
        reached = last.population
    return Fitted(reached, *list(vars(fitted).values())[1:])


def numbers(amplitudes: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    rows, columns = np.tril_indices(2)
    return np.concatenate((amplitudes[:1], means.ravel(), covariances[:, rows, columns].ravel()))


def pulls(n_simulations: int, *, cut: bool, noise_known=True, cut_known=True, method="information", seed=0):
    """Distances (n, 11) of estimates from the truth, in standard errors."""
    truth = numbers(TRUTH.amplitudes, TRUTH.means, TRUTH.covariances)
    found = []
    for simulation in range(n_simulations):
        values, noise = drawn(np.random.default_rng([seed, simulation]), cut=cut)
        selection = Box(LOW, HIGH) if cut and cut_known else None
        fitted = at_the_maximum(fit_begun_at_the_truth(values, noise if noise_known else None, selection))
        errors = estimate_errors(fitted, at_optimum(fitted), Wanted(method, None, Resampling(60)))
        mixture = fitted.population.mixture
        distance = numbers(mixture.amplitudes, mixture.means, mixture.covariances) - truth
        found.append(distance / numbers(errors.amplitudes, errors.means, errors.covariances))
    return np.array(found)


def coverage(distances: np.ndarray) -> np.ndarray:
    return (np.abs(distances) < 1).mean(axis=0)


def require_coverage(distances: np.ndarray) -> None:
    fractions = coverage(distances)
    assert (fractions >= 0.61).all(), fractions
    assert (fractions <= 0.75).all(), fractions
    assert 0.66 <= fractions.mean() <= 0.70, fractions


def test_intervals_of_noisy_rows_cover_the_truth() -> None:
    require_coverage(pulls(400, cut=False))


def test_intervals_under_truncation_cover_the_truth() -> None:
    require_coverage(pulls(400, cut=True))


def test_intervals_of_the_sandwich_cover_the_truth() -> None:
    fractions = coverage(pulls(150, cut=False, method="sandwich"))
    assert abs(fractions.mean() - 0.683) < 0.04, fractions


def test_intervals_of_the_bootstrap_cover_the_truth() -> None:
    fractions = coverage(pulls(60, cut=False, method="bootstrap"))
    assert abs(fractions.mean() - 0.683) < 0.06, fractions


def test_ignoring_the_noise_fails_the_same_test() -> None:
    with pytest.raises(AssertionError):
        require_coverage(pulls(100, cut=False, noise_known=False))


def test_ignoring_the_truncation_fails_the_same_test() -> None:
    with pytest.raises(AssertionError):
        require_coverage(pulls(100, cut=True, cut_known=False))
