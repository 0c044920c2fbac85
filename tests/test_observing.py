"""Rows drawn as a survey sees them follow the model, its noise and its selection."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import truncnorm

from dgmmis import observing
from dgmmis.background import Background
from dgmmis.errors import InvalidData, InvalidSetting, SelectionError
from dgmmis.gaussian_draws import covariance_roots, draw_noise
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.observing import draw, draw_complete
from dgmmis.selection import Box, HalfSpace
from strategies import random_covariances

MIXTURE = Mixture(
    [0.3, 0.7], [[-2.0, 0.0], [1.5, 3.0]], [[[0.5, 0.2], [0.2, 1.0]], [[1.0, -0.3], [-0.3, 0.4]]]
)
MODEL = Model(MIXTURE, ("x", "y"), backgrounds=Background(([-6.0, -6.0], [6.0, 6.0]), amplitude=0.25))
NORMAL = Model(Mixture([1.0], [[0.0]], [[[1.0]]]), ("x",))
NOISE = np.array([[0.5, 0.1], [0.1, 0.2]])
POSITIVE = Box.of(x=(0, None))
EDGES = np.array([-9.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 9.0])
SIGMAS = 4


def logistic(values: np.ndarray) -> np.ndarray:
    return expit(1.5 * values[:, 0])


def nothing(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values))


def assert_shares(counts: np.ndarray, shares: np.ndarray) -> None:
    """Counts in bins are binomial draws with these shares."""
    n = counts.sum()
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    assert (np.abs(counts - n * shares) <= SIGMAS * np.sqrt(n * shares * (1 - shares))).all()


def shares_of(model: Model, noise, omega) -> np.ndarray:
    """Share of p(x) Omega(x) in each bin of the first feature, by quadrature."""
    first = model.marginal([0])
    of_first = None if noise is None else Noise.shared(noise[:1, :1])

    def density(x: float) -> float:
        return float(np.exp(first.log_density([[x]], of_first)[0]) * omega(np.array([[x]]))[0])

    points = [-6, 6]
    masses = np.array([quad(density, a, b, points=points)[0] for a, b in pairwise(EDGES)])
    return masses / masses.sum()


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("before_noise", [False, True])
def test_kept_rows_follow_the_density_times_the_selection(invert, before_noise):
    observed = MODEL.observed(logistic, invert=invert, before_noise=before_noise)
    found = draw(observed, 20_000, np.random.default_rng(1), noise=NOISE)
    seen = found.noise_free if before_noise else found.values
    counts = np.histogram(seen[:, 0], EDGES)[0]
    assert counts.sum() >= 19_990
    expected = shares_of(
        MODEL,
        None if before_noise else NOISE,
        (lambda x: 1 - logistic(x)) if invert else logistic,
    )
    assert_shares(counts, expected)


def test_ignoring_the_selection_fails_the_same_check():
    values = MODEL.draw(20_000, np.random.default_rng(1), noise=NOISE)
    with pytest.raises(AssertionError):
        assert_shares(np.histogram(values[:, 0], EDGES)[0], shares_of(MODEL, NOISE, logistic))


def test_components_and_backgrounds_make_the_rows_that_their_amplitudes_say():
    values, labels = MODEL.draw(20_000, np.random.default_rng(2), return_labels=True)
    assert_shares(np.bincount(labels, minlength=3), np.array([0.225, 0.525, 0.25]))
    for k in range(2):
        rows = values[labels == k]
        error = np.sqrt(np.diag(MIXTURE.covariances[k]) / len(rows))
        assert (np.abs(rows.mean(axis=0) - MIXTURE.means[k]) < SIGMAS * error).all()
        variances = np.diag(MIXTURE.covariances[k])
        spread = np.sqrt((np.outer(variances, variances) + MIXTURE.covariances[k] ** 2) / len(rows))
        assert (np.abs(np.cov(rows.T) - MIXTURE.covariances[k]) < SIGMAS * spread).all()
    background = values[labels == 2]
    assert (np.abs(background) <= 6).all()
    assert_shares(np.histogram(background[:, 1], np.linspace(-6, 6, 7))[0], np.full(6, 1 / 6))


def test_rows_with_given_noise_are_kept_rows_with_that_noise():
    deviations = np.where(np.arange(4000) % 2, 3.0, 0.1)
    found = draw(
        NORMAL.observed(HalfSpace([1.0], 1.0)),
        4000,
        np.random.default_rng(3),
        noise=Noise.diagonal(deviations[:, None] ** 2),
    )
    assert (found.values > 1).all()
    for deviation in (0.1, 3.0):
        rows = found.values[deviations == deviation, 0]
        total = np.sqrt(1 + deviation**2)
        kept = truncnorm(1 / total, np.inf, scale=total)
        assert abs(rows.mean() - kept.mean()) < SIGMAS * kept.std() / np.sqrt(len(rows))
        errors = rows - found.noise_free[deviations == deviation, 0]
        share = deviation**2 / total**2  # E[error | x] = share * x
        spread = np.sqrt(share + share**2 * kept.var())
        assert abs(errors.mean() - share * kept.mean()) < SIGMAS * spread / np.sqrt(len(rows))


@pytest.mark.parametrize("kind", ["covariances", "variances", "Noise"])
def test_a_callable_gives_the_noise_at_noise_free_positions(kind, monkeypatch):
    monkeypatch.setattr(observing, "ROWS_AT_ONCE", 1000)

    def noise(values):
        variances = np.where(values[:, :1] > 0, [4.0, 0.01], [0.25, 1.0])
        if kind == "variances":
            return Noise.diagonal(variances)
        full = variances[:, :, None] * np.eye(2)
        return full if kind == "covariances" else Noise.full(full)

    found = draw(MODEL.observed(), 4321, np.random.default_rng(4), noise=noise)
    expected = noise(found.noise_free)
    expected = expected if isinstance(expected, Noise) else Noise.full(expected)
    given = found.noise.covariances(4321, 2)
    assert np.array_equal(given, expected.covariances(4321, 2))
    scaled = (found.values - found.noise_free) / np.sqrt(np.diagonal(given, axis1=1, axis2=2))
    assert (np.abs((scaled**2).mean(axis=0) - 1) < SIGMAS * np.sqrt(2 / 4321)).all()


def test_one_covariance_from_a_callable_is_shared_noise():
    found = draw(MODEL.observed(), 50, np.random.default_rng(4), noise=lambda values: NOISE)
    again = draw(MODEL.observed(), 50, np.random.default_rng(4), noise=NOISE)
    assert np.array_equal(found.values, again.values)
    assert found.noise.kind == "shared"


@pytest.mark.parametrize("noise", [None, NOISE, np.full((500, 2), 0.3), np.tile(NOISE, (500, 1, 1))])
def test_the_same_generator_draws_the_same_rows(noise):
    first, second, other = (
        MODEL.draw(500, np.random.default_rng(seed), noise=noise, selection=logistic) for seed in (7, 7, 8)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert first.shape == (500, 2)


@pytest.mark.parametrize("noise", [None, Noise.diagonal(np.full((2000, 2), 0.3))])
def test_inverting_a_selection_draws_what_it_drops(noise):
    kept = MODEL.draw(2000, np.random.default_rng(1), noise=noise, selection=POSITIVE)
    dropped = MODEL.draw(2000, np.random.default_rng(1), noise=noise, selection=POSITIVE, invert=True)
    assert (kept[:, 0] >= 0).all()
    assert (dropped[:, 0] < 0).all()


def test_a_complete_sample_is_parted_into_kept_and_dropped(monkeypatch):
    monkeypatch.setattr(observing, "ROWS_AT_ONCE", 3000)
    noise = Noise.diagonal(np.linspace(0.1, 2.0, 10_000)[:, None] * np.ones(2))
    kept, dropped = draw_complete(MODEL.observed(POSITIVE), 10_000, np.random.default_rng(5), noise=noise)
    assert len(kept.values) + len(dropped.values) == kept.n_trials == 10_000
    assert (kept.values[:, 0] >= 0).all()
    assert (dropped.values[:, 0] < 0).all()
    both = np.concatenate([part.noise.covariances(len(part.values), 2)[:, 0, 0] for part in (kept, dropped)])
    assert np.array_equal(np.sort(both), noise.array[:, 0])
    whole, none = draw_complete(MODEL.observed(), 10, np.random.default_rng(5))
    assert (len(whole.values), len(none.values)) == (10, 0)


def test_the_kept_share_of_a_complete_sample_is_the_completeness():
    kept, _ = draw_complete(MODEL.observed(logistic), 20_000, np.random.default_rng(6))
    values = MODEL.draw(20_000, np.random.default_rng(7))
    completeness = logistic(values).mean()
    error = np.sqrt((completeness * (1 - completeness) + logistic(values).var()) / 20_000)
    assert abs(len(kept.values) / 20_000 - completeness) < SIGMAS * error


@pytest.mark.parametrize("noise", [None, np.ones((30, 2))])
def test_a_selection_that_keeps_nothing_ends_after_the_allowed_trials(noise):
    asked = []

    def counting(values):
        asked.append(len(values))
        return np.zeros(len(values))

    with pytest.raises(SelectionError, match=r"of 5,000 rows drawn, 0 of the 30 wanted") as caught:
        MODEL.draw(30, np.random.default_rng(1), noise=noise, selection=counting, max_trials=5000)
    assert caught.value.value == 0
    assert sum(asked) == 5000


def test_few_trials_are_wasted():
    rare = HalfSpace([1.0], 2.0)  # keeps 2.3 % of the rows
    found = draw(NORMAL.observed(rare), 3000, np.random.default_rng(2))
    assert 3000 / 0.02275 * 0.9 < found.n_trials < 3000 / 0.02275 * 1.3


def test_no_rows_can_be_drawn():
    assert MODEL.draw(0, np.random.default_rng(1)).shape == (0, 2)
    values, labels = MODEL.draw(0, np.random.default_rng(1), selection=nothing, return_labels=True)
    assert values.shape == (0, 2)
    assert labels.shape == (0,)
    assert [len(part.values) for part in draw_complete(MODEL.observed(), 0, np.random.default_rng(1))] == [
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"n_rows": -1}, InvalidSetting, "-1"),
        ({"n_rows": 2.5}, InvalidSetting, "2.5"),
        ({"n_rows": True}, InvalidSetting, "True"),
        ({"invert": True}, InvalidSetting, "give the selection"),
        ({"noise": np.ones((3, 2))}, InvalidData, "noise has shape"),
        ({"noise": -np.ones((9, 2))}, InvalidData, "negative variance"),
        ({"noise": np.full((9, 2), np.nan)}, InvalidData, "no noise"),
        ({"n_rows": 2, "noise": np.eye(2)}, InvalidData, "ambiguous"),
        ({"noise": lambda values: np.ones((2, 2, 2))}, InvalidData, r"expected \(9, 2, 2\)"),
        ({"noise": lambda values: -np.tile(np.eye(2), (9, 1, 1))}, InvalidData, "negative variance"),
        ({"noise": lambda values: Noise.diagonal(np.ones((3, 2)))}, InvalidData, "diagonal noise"),
        ({"selection": Box.of(z=(0, 1))}, SelectionError, "'z'"),
        ({"selection": lambda values: 2 * np.ones(len(values))}, SelectionError, "above 1"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        MODEL.draw(**({"n_rows": 9, "rng": np.random.default_rng(1)} | arguments))


def test_features_in_very_different_units_keep_their_correlations():
    correlation = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.0]])
    units = np.array([1e12, 1.0, 1e-12])
    covariance = correlation * np.outer(units, units)
    values = Model(Mixture([1.0], [[0.0, 0.0, 0.0]], covariance[None])).draw(4000, np.random.default_rng(0))
    assert (np.abs(np.corrcoef(values.T) - correlation) < SIGMAS / np.sqrt(4000)).all()
    errors = draw_noise(Noise.shared(covariance), 4000, 3, np.random.default_rng(0))
    assert (np.abs(np.corrcoef(errors.T) - correlation) < SIGMAS / np.sqrt(4000)).all()


def test_roots_give_their_covariances_back_singular_ones_too():
    covariances = random_covariances(np.random.default_rng(1), 5, 3)
    covariances[3] = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    covariances[4] = np.diag([1.0, 0.0, 2.0])
    for chosen in (covariances, covariances[:3]):
        roots = covariance_roots(chosen)
        assert roots @ roots.swapaxes(1, 2) == pytest.approx(chosen, abs=1e-13)
