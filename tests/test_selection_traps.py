"""Where a careless treatment of a selection goes wrong, ours gives back the truth, and the careless one does not."""

from __future__ import annotations

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.mixture import Mixture
from dgmmis.selection import Box, HalfSpace
from quadrature import Keeping, Law, complete_log_likelihood, ndtr, standard_errors
from selected_scenes import kept_rows

ONE = np.ones(1)
STANDARD = Mixture(ONE, np.zeros((1, 1)), np.ones((1, 1, 1)))


def bell(values: np.ndarray) -> Mixture:
    """One component as wide as the rows that were kept."""
    return Mixture(ONE, values.mean(axis=0)[None], np.atleast_2d(np.cov(values.T))[None])


def errors_of_a_bell(
    result: dgmmis.FitResult, values: np.ndarray, variances: np.ndarray, keeping: Keeping
) -> np.ndarray:
    """Standard errors of mean and variance of one feature, from the curvature of the quadrature's likelihood."""
    distinct = np.unique(variances)
    rows = [values[variances[:, 0] == one] for one in distinct]

    def value(parameters: np.ndarray) -> float:
        law = Law(ONE, parameters[:1].reshape(1, 1), parameters[1:].reshape(1, 1, 1))
        return complete_log_likelihood(law, rows, distinct[:, None, None], keeping)

    return standard_errors(value, [result.mixture.means.item(), result.mixture.covariances.item()], 0.02)


def test_noise_that_differs_from_row_to_row_gives_back_the_truth_where_a_single_completeness_does_not():
    """N(0, 1), seen with errors of 0.1 or 3 and kept above 1: noisy rows are kept more often."""
    rng = np.random.default_rng(1)
    values, variances = kept_rows(
        rng, STANDARD, lambda x: x[:, 0] > 1, 10_000, dispersions=np.array([[0.1], [3.0]])
    )
    settings = {
        "n_components": 1,
        "selection": HalfSpace([1.0], 1.0),
        "noise": variances,
        "tolerance": 0.01,
        "prior": None,
    }
    settings["initial"] = STANDARD
    result = dgmmis.fit(values, **settings)
    assert result.converged
    keeping = Keeping(lambda x: 1.0 * (x[:, 0] > 1), [(1.0,)])
    error = errors_of_a_bell(result, values, variances, keeping)
    assert abs(result.mixture.means.item()) < 4 * error[0] < 0.8
    assert abs(result.mixture.covariances.item() - 1) < 4 * error[1] < 0.8
    single = dgmmis.fit(values, noise_model=[[variances.mean()]], **settings)
    assert single.mixture.means.item() > 0.5
    assert single.mixture.means.item() > 4 * error[0]


def half(x: np.ndarray) -> np.ndarray:
    return np.full(len(x), 0.5)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-2 * x[:, 0]))


@pytest.mark.parametrize("omega", [half, logistic])
def test_a_selection_that_keeps_a_fraction_gives_back_the_truth(omega):
    rng = np.random.default_rng(2)
    values, variances = kept_rows(rng, STANDARD, omega, 1_500)
    result = dgmmis.fit(
        values, n_components=1, selection=omega, initial=bell(values), tolerance=0.01, prior=None
    )
    assert result.converged
    error = errors_of_a_bell(result, values, variances, Keeping(omega, [()]))
    assert abs(result.mixture.means.item()) < 4 * error[0] < 0.4
    assert abs(result.mixture.covariances.item() - 1) < 4 * error[1] < 0.5
    assert result.completeness == pytest.approx(0.5, abs=0.1)


def test_ignoring_a_logistic_selection_gives_the_wrong_mean():
    rng = np.random.default_rng(2)
    values, _ = kept_rows(rng, STANDARD, logistic, 1_500)
    result = dgmmis.fit(values, n_components=1, initial=bell(values))
    assert result.mixture.means.item() > 0.3


BLOBS = Mixture(np.array([0.8, 0.2]), np.array([[-3.0, 0.0], [3.0, 0.0]]), np.tile(np.eye(2), (2, 1, 1)))


def a_quarter_on_the_left(x: np.ndarray) -> np.ndarray:
    return np.where(x[:, 0] < 0, 0.25, 1.0)


def test_a_blob_of_which_a_quarter_is_kept_gets_its_amplitude_back():
    rng = np.random.default_rng(3)
    values, _ = kept_rows(rng, BLOBS, a_quarter_on_the_left, 2_000)
    start = Mixture(np.full(2, 0.5), 0.7 * BLOBS.means, 2 * BLOBS.covariances)
    settings = {"n_components": 2, "initial": start, "tolerance": 0.01, "prior": None}
    result = dgmmis.fit(values, selection=a_quarter_on_the_left, **settings)
    ignoring = dgmmis.fit(values, **settings)
    left = np.sum(values[:, 0] < 0)
    error = 0.8 * 0.2 * np.sqrt(1 / left + 1 / (len(values) - left))
    assert error < 0.015
    found = result.mixture.amplitudes[np.argsort(result.mixture.means[:, 0])]
    assert abs(found[0] - 0.8) < 4 * error
    assert abs(found.sum() - 1) < 1e-12
    assert np.abs(ignoring.mixture.amplitudes - 0.5).max() < 0.06


def test_fresh_draws_agree_with_fixed_points_within_their_noise():
    """Ten draws per row leave the parameters about 0.14 standard errors from the optimum."""
    rng = np.random.default_rng(4)
    values, variances = kept_rows(rng, STANDARD, logistic, 1_500)
    settings = {
        "n_components": 1,
        "selection": logistic,
        "initial": STANDARD,
        "tolerance": 0,
        "max_passes": 40,
        "prior": None,
    }
    fixed = dgmmis.fit(values, **settings)
    fresh = dgmmis.fit(values, oversampling=10, **settings)
    error = errors_of_a_bell(fixed, values, variances, Keeping(logistic, [()]))
    assert fresh.completion.reference.refresh == 40
    offsets = [
        fresh.mixture.means.item() - fixed.mixture.means.item(),
        fresh.mixture.covariances.item() - fixed.mixture.covariances.item(),
    ]
    assert (np.abs(offsets) < 0.6 * error).all()
    assert np.abs(offsets).max() > 0
    noise = np.hypot(fresh.log_likelihood_error, fixed.log_likelihood_error)
    assert abs(fresh.log_likelihood - fixed.log_likelihood) < 4 * noise
    assert fresh.log_likelihood_error > 4 * fixed.log_likelihood_error


def test_a_background_under_a_selection_gets_its_amplitude_back():
    """A box keeps nearly all of the component and a quarter of the background, which ignoring it misses."""
    rng = np.random.default_rng(5)
    truth = Mixture(ONE, np.zeros((1, 2)), np.eye(2)[None])
    footprint = ([-6.0, -6.0], [6.0, 6.0])
    box = Box([-3.0, -3.0], [3.0, 3.0])
    values, variances = kept_rows(
        rng,
        truth,
        lambda x: 1.0 * box.answer(x),
        2_500,
        background=Background(footprint, amplitude=0.5),
        dispersions=np.array([[0.3, 0.3], [0.6, 0.6]]),
    )
    settings = {"n_components": 1, "initial": truth, "noise": variances, "tolerance": 0.01, "prior": None}
    settings["background"] = Background(footprint, amplitude=0.2)
    result = dgmmis.fit(values, selection=box, **settings)
    assert result.converged
    seen = 0.5 * len(values) / 2_500
    error = np.sqrt(0.5 * 0.5 / (seen * 2_500)) * 2
    assert error < 0.06
    assert abs(result.background.amplitude - 0.5) < 4 * error
    ignoring = dgmmis.fit(values, **settings)
    assert ignoring.background.amplitude < 0.5 - 4 * error


TURN = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])


def turned(mixture: Mixture, R: np.ndarray) -> Mixture:
    """As it is seen through R."""
    covariances = R @ mixture.covariances @ R.T
    return Mixture(mixture.amplitudes, mixture.means @ R.T, (covariances + covariances.swapaxes(1, 2)) / 2)


@pytest.mark.parametrize(
    ("R", "looks_at"),
    [(TURN, None), (TURN, (0,)), (TURN[:1], None)],
    ids=["rotation", "one column", "one feature of two"],
)
def test_a_selection_of_projected_rows_is_the_selection_in_the_projected_coordinates(R, looks_at):
    """Omega lives in x's space; with R the same for all rows every pass does the same in either coordinates."""
    rng = np.random.default_rng(6)
    start = Mixture(
        np.array([0.6, 0.4]), np.array([[-1.0, 0.0], [1.5, 0.5]]), np.array([np.eye(2), np.diag([0.5, 1.5])])
    )
    d = len(R)
    values, variances = kept_rows(
        rng, turned(start, R), lambda x: x[:, 0] > -0.5, 800, dispersions=np.array([[0.2] * d, [0.8] * d])
    )
    settings = {
        "n_components": 2,
        "selection": HalfSpace([1.0, 0.0][: 1 if looks_at else d], -0.5, looks_at),
        "noise": variances,
        "tolerance": 0,
        "max_passes": 12,
        "prior": None,
        "method": "em",  # steps are not the same in all coordinates
    }
    projected = dgmmis.fit(values, projection=R, initial=start, **settings)
    plain = dgmmis.fit(values, initial=turned(start, R), **settings)
    seen = turned(projected.mixture, R)
    np.testing.assert_allclose(seen.amplitudes, plain.mixture.amplitudes, rtol=1e-9)
    np.testing.assert_allclose(seen.means, plain.mixture.means, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(seen.covariances, plain.mixture.covariances, rtol=1e-8, atol=1e-9)
    assert projected.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-11)
    assert projected.completeness == pytest.approx(plain.completeness, rel=1e-10)
    assert not np.allclose(projected.mixture.means, start.means, atol=0.02)


def test_a_selected_fit_of_projected_rows_converges_where_the_unprojected_one_does():
    rng = np.random.default_rng(7)
    truth = Mixture(ONE, np.array([[0.5, -0.5]]), np.array([[[1.0, 0.4], [0.4, 0.7]]]))
    values, _ = kept_rows(rng, turned(truth, TURN), lambda x: x[:, 0] > 0, 800)
    settings = {
        "n_components": 1,
        "selection": HalfSpace([1.0, 0.0], 0.0),
        "tolerance": 0.01,
        "prior": None,
        "method": "em",
    }
    projected = dgmmis.fit(values, projection=TURN, initial=truth, **settings)
    plain = dgmmis.fit(values, initial=turned(truth, TURN), **settings)
    assert projected.converged
    assert (projected.n_passes, projected.reason) == (plain.n_passes, plain.reason)
    assert projected.completion.score_error == pytest.approx(plain.completion.score_error, rel=1e-6)
    np.testing.assert_allclose(turned(projected.mixture, TURN).means, plain.mixture.means, rtol=1e-7)


def test_completeness_is_the_share_that_was_kept():
    """Also for rows whose noise differs: sum s over sum s / Z."""
    rng = np.random.default_rng(8)
    values, variances = kept_rows(
        rng, STANDARD, lambda x: x[:, 0] > 0.5, 4_000, dispersions=np.array([[0.1], [3.0]])
    )
    result = dgmmis.fit(
        values,
        n_components=1,
        selection=HalfSpace([1.0], 0.5),
        noise=variances,
        initial=STANDARD,
        max_passes=0,
        tolerance=0,
        prior=None,
    )
    chance = ndtr(-0.5 / np.sqrt(1 + variances[:, 0]))
    exact = len(values) / np.sum(1 / chance)
    assert result.completeness == pytest.approx(exact, abs=4 * result.completeness_error)
    assert result.completeness == pytest.approx(len(values) / 4_000, abs=4 * 0.5 / np.sqrt(4_000))
