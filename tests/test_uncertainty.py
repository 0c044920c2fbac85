"""Standard errors of fits: what is known exactly, what commutes, what is held, and what is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dgmmis
from dgmmis import error_estimates, outer_products
from dgmmis.background import Background
from dgmmis.block_matrix import Columns
from dgmmis.bootstrap import climb
from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.curvature import prior_information
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.outer_products import places_of
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.score_statistics import Statistics
from dgmmis.selection import Box

APART = Mixture(
    np.array([0.6, 0.4]),
    np.array([[-2.0, 0.0], [2.0, 1.0]]),
    np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.6, -0.2], [-0.2, 1.0]]]),
)
ROWS = np.random.default_rng(0).permutation(APART.draw(1500, np.random.default_rng(1)))
NOISE = np.random.default_rng(2).uniform(0.05, 0.5, ROWS.shape)
VALUES = ROWS + np.sqrt(NOISE) * np.random.default_rng(3).normal(size=ROWS.shape)


def fitted(values=VALUES, noise=NOISE, initial=APART, **settings) -> dgmmis.FitResult:
    settings = {"tolerance": 1e-4, **settings}
    return dgmmis.fit(values, n_components=initial.n_components, noise=noise, initial=initial, **settings)


@pytest.fixture(scope="module")
def result() -> dgmmis.FitResult:
    return fitted(features=("a", "b"), units=("mas", ""))


@pytest.fixture(scope="module")
def errors(result: dgmmis.FitResult) -> dgmmis.Uncertainty:
    return result.uncertainty()


def test_one_gaussian_has_the_errors_of_the_textbook() -> None:
    """By the sandwich a mean has V / N, and a variance (m4 - V^2) / N, whatever the rows' law is."""
    x = np.random.default_rng(4).gamma(2.0, size=(800, 1))
    one = Mixture([1.0], [[x.mean()]], [[[x.var()]]])
    found = fitted(x, None, one).uncertainty(method="sandwich")
    fourth = ((x - x.mean()) ** 4).mean()
    np.testing.assert_allclose(found.means[0, 0], np.sqrt(x.var() / 800), rtol=1e-4)
    np.testing.assert_allclose(found.covariances[0, 0, 0], np.sqrt((fourth - x.var() ** 2) / 800), rtol=1e-4)
    assert found.amplitudes == 0


def test_estimators_agree_where_the_model_is_right(errors: dgmmis.Uncertainty, result) -> None:
    robust = result.uncertainty(method="sandwich")
    replicates = result.uncertainty(method="bootstrap", replicates=200)
    for name in ("amplitudes", "means", "covariances"):
        np.testing.assert_allclose(getattr(robust, name), getattr(errors, name), rtol=0.15)
        np.testing.assert_allclose(
            getattr(replicates, name), getattr(robust, name), rtol=5 / np.sqrt(2 * 200)
        )


def test_the_sandwich_of_weights_is_free_of_their_unit_and_the_information_is_not() -> None:
    weights = np.random.default_rng(5).uniform(0.5, 1.5, len(VALUES))
    light, heavy = fitted(weights=weights), fitted(weights=4 * weights)
    robust = [one.uncertainty(method="sandwich").means for one in (light, heavy)]
    np.testing.assert_allclose(robust[0], robust[1], rtol=1e-3)
    counted = [one.uncertainty().means for one in (light, heavy)]
    np.testing.assert_allclose(counted[0], 2 * counted[1], rtol=1e-3)


def test_errors_follow_their_components_and_their_features(errors: dgmmis.Uncertainty) -> None:
    order, scale = np.array([1, 0]), np.array([1e-3, 50.0])
    swapped = Mixture(
        APART.amplitudes[order], APART.means[order] * scale, APART.covariances[order] * np.outer(scale, scale)
    )
    other = fitted(VALUES * scale, NOISE * scale**2, swapped).uncertainty()
    np.testing.assert_allclose(other.amplitudes, errors.amplitudes[order], rtol=1e-3)
    np.testing.assert_allclose(other.means, errors.means[order] * scale, rtol=1e-3)
    np.testing.assert_allclose(
        other.covariances, errors.covariances[order] * np.outer(scale, scale), rtol=1e-3
    )


def test_the_delta_method_gives_parameters_their_own_errors(errors: dgmmis.Uncertainty) -> None:
    for derived, own in (
        (errors.of(lambda p: p.amplitudes), errors.amplitudes),
        (errors.of(lambda p: p.mixture.means), errors.means),
        (errors.of(lambda p: p.mixture.covariances), errors.covariances),
    ):
        np.testing.assert_allclose(derived.standard_error, own, rtol=1e-6)
        np.testing.assert_allclose(np.sqrt(np.diagonal(derived.covariance)), own.ravel(), rtol=1e-6)


def test_errors_of_a_difference_come_from_the_covariance(errors: dgmmis.Uncertainty) -> None:
    both = errors.of(lambda p: p.mixture.means[:, 0])
    difference = errors.of(lambda p: p.mixture.means[1, 0] - p.mixture.means[0, 0])
    expected = both.covariance[0, 0] + both.covariance[1, 1] - 2 * both.covariance[0, 1]
    np.testing.assert_allclose(difference.covariance, expected, rtol=1e-6)


def test_draws_scatter_as_the_errors_say(errors: dgmmis.Uncertainty) -> None:
    drawn = errors.draw(2000, rng=1)
    scatter = np.std([one.mixture.means for one in drawn], axis=0)
    np.testing.assert_allclose(scatter, errors.means, rtol=5 / np.sqrt(2 * 2000))


def test_what_is_held_has_no_error() -> None:
    behind = Background(((-9.0, -9.0), (9.0, 9.0)), amplitude=0.1, amplitude_min=0.1, amplitude_max=0.3)
    found = fitted(
        frozen={"amplitudes": [0], "means": [1], "covariances": [0]},
        initial=Population(APART, (behind,)),
        background=behind,
    ).uncertainty()
    assert found.amplitudes[0] == 0
    assert found.background[0] == 0
    assert found.amplitudes[1] == 0  # what the others leave
    assert (found.means[1] == 0).all()
    assert (found.means[0] > 0).all()
    assert (found.covariances[0] == 0).all()
    assert any("amplitude_min" in note for note in found.notes)


def test_tied_diagonal_and_spherical_covariances_have_the_errors_of_their_free_numbers() -> None:
    tied = fitted(covariance_type="tied").uncertainty()
    np.testing.assert_array_equal(tied.covariances[0], tied.covariances[1])
    diagonal = fitted(covariance_type="diagonal").uncertainty()
    assert (diagonal.covariances[:, 0, 1] == 0).all()
    round_ones = fitted(covariance_type="spherical").uncertainty()
    np.testing.assert_allclose(round_ones.covariances[:, 0, 0], round_ones.covariances[:, 1, 1], rtol=1e-9)
    assert tied.n_parameters == 1 + 4 + 3
    assert round_ones.n_parameters == 1 + 4 + 2


def test_directions_on_the_floor_are_held_and_named() -> None:
    thin = VALUES.copy()
    thin[:, 1] = np.random.default_rng(6).normal(0, 1e-3, len(thin))
    start = Mixture(APART.amplitudes, APART.means * [1, 0], np.array([np.diag([1.0, 0.04])] * 2))
    found = fitted(thin, None, start, floor=0.1).uncertainty()
    least = found.of(lambda p: np.linalg.eigvalsh(p.mixture.covariances)[:, 0])
    np.testing.assert_allclose(least.value, 0.01, rtol=1e-9)
    assert (least.standard_error < 1e-6).all()  # the floor holds it; its direction may turn
    assert (found.covariances[:, 0, 0] > 0.01).all()
    assert sum("floor" in note for note in found.notes) == 2


def test_what_rows_never_tell_has_an_infinite_error() -> None:
    """Features that were never observed together have no known covariance."""
    apart = VALUES.copy()
    apart[::2, 0] = np.nan
    apart[1::2, 1] = np.nan
    one = Mixture([1.0], [[0.0, 0.5]], [[[4.0, 0.0], [0.0, 1.0]]])
    found = fitted(apart, NOISE, one).uncertainty()
    assert np.isinf(found.covariances[0, 0, 1])
    assert np.isfinite(np.diagonal(found.covariances[0])).all()
    assert np.isfinite(found.means).all()
    assert np.isinf(found.condition)
    assert any("1 of 5 directions" in note for note in found.notes)
    derived = found.of(lambda p: p.mixture.covariances[0, 0])
    np.testing.assert_array_equal(np.isinf(derived.standard_error), [False, True])
    np.testing.assert_array_equal(np.isfinite(derived.covariance), [[True, False], [False, False]])
    assert np.isfinite(found.of(lambda p: p.mixture.covariances[0].trace()).standard_error)
    with pytest.raises(InvalidSetting, match="no law to draw from"):
        found.draw(1)


def test_a_prior_counts_as_the_rows_that_it_stands_for() -> None:
    """N rows of variance V under a prior worth r rows of the same scatter are worth N + r."""
    x = np.random.default_rng(7).normal(size=(200, 1))
    x = (x - x.mean()) / x.std()
    prior = Prior(covariances=InverseWishart(100.0, pseudo_rows=100.0))
    found = fitted(x, None, Mixture([1.0], [[0.0]], [[[1.0]]]), prior=prior).uncertainty(method="sandwich")
    plain = fitted(x, None, Mixture([1.0], [[0.0]], [[[1.0]]])).uncertainty(method="sandwich")
    np.testing.assert_allclose(found.covariances, plain.covariances * 200 / 300, rtol=1e-4)
    np.testing.assert_allclose(found.means, plain.means, rtol=1e-4)
    informed = fitted(x, None, Mixture([1.0], [[0.0]], [[[1.0]]]), prior=prior).uncertainty()
    fourth = (x**4).mean() - 1  # outer products of rows: N (m4 - 1) / 4; the prior: r / 2
    np.testing.assert_allclose(
        informed.covariances[0, 0, 0], 1 / np.sqrt(200 * fourth / 4 + 100 / 2), rtol=1e-3
    )


def test_the_prior_of_amplitudes_adds_its_rows() -> None:
    population = Population(APART)
    statistics = replace(Statistics.zero(2, 2), rows=1000, weight=1000.0, zeroth=np.array([600.0, 400.0]))
    prior = Prior(amplitudes=Dirichlet([61.0, 41.0]))
    chart = Chart.at(population, statistics, Constraints.of(2, 2, prior=prior))
    found = prior_information(chart, places_of(chart)).whole
    np.testing.assert_allclose(found[0, 0], 100 / 1100, rtol=1e-4)
    np.testing.assert_allclose(found[1:], 0, atol=1e-12)


def test_a_random_sample_is_scaled_to_all_rows_and_named(errors: dgmmis.Uncertainty, result) -> None:
    whole = result.uncertainty(sample_rows=len(VALUES))
    assert whole.notes == errors.notes
    np.testing.assert_allclose(whole.means, errors.means, rtol=1e-9)
    half = result.uncertainty(sample_rows=700)
    assert half.rows_used == 700
    assert any("random sample of 700 of 1,500 rows" in note for note in half.notes)
    np.testing.assert_allclose(half.means, errors.means, rtol=0.2)


def test_many_parameters_are_scored_on_a_sample_and_more_of_them_in_blocks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: dgmmis.FitResult, errors: dgmmis.Uncertainty
) -> None:
    monkeypatch.setattr(error_estimates, "FULL_SCAN", 5)
    monkeypatch.setattr(error_estimates, "LEAST_ROWS", 100)
    monkeypatch.setattr(outer_products, "MOST_TOGETHER", 5)
    found = result.uncertainty()
    assert found.rows_used == 50 * 11
    assert found.n_blocks == 3
    assert any("each component was looked at by itself" in note for note in found.notes)
    found.save(tmp_path / "errors.npz")
    with np.load(tmp_path / "errors.npz") as stored:
        assert "covariance" not in stored
    np.testing.assert_allclose(found.means, errors.means, rtol=0.3)
    with pytest.raises(InvalidSetting, match="two passes for each of 11 parameters"):
        result.uncertainty(method="sandwich")


def test_a_fit_that_stopped_early_is_said_to_be_off_its_optimum() -> None:
    away = Mixture(APART.amplitudes, APART.means + 0.5, APART.covariances)
    found = fitted(initial=away, max_passes=1).uncertainty()
    assert any("is not at its optimum" in note for note in found.notes)


def test_components_known_no_better_than_their_size_are_named() -> None:
    few = VALUES[:30]
    found = fitted(few, 20 * NOISE[:30], max_passes=3).uncertainty()
    assert any("known no better than by its own size" in note for note in found.notes)


def test_a_bootstrap_repeats_itself_and_follows_its_seed(result: dgmmis.FitResult) -> None:
    one, again, other = (
        result.uncertainty(method="bootstrap", replicates=3, resampling_seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.means, again.means)
    assert (one.means != other.means).any()
    assert len(one.draw(5)) == 5
    derived = one.of(lambda p: p.mixture.means)
    np.testing.assert_allclose(derived.standard_error, one.means, rtol=1e-12)
    with pytest.raises(InvalidSetting, match="has replicates"):
        one.covariance  # noqa: B018


def test_replicates_are_at_the_optimum_of_their_rows(result: dgmmis.FitResult) -> None:
    """A refit by Newton's method ends where expectation maximization does."""
    from dgmmis.resampling import Resample
    from dgmmis.row_hash import hash_integers

    found = result.uncertainty(method="bootstrap", replicates=2, resampling_seed=4)
    for b, population in enumerate(found.spread.replicates):
        weights = Resample(4, b).copies(hash_integers(np.arange(len(VALUES))))
        again = fitted(weights=weights, initial=result.mixture, tolerance=1e-3)
        distance = (again.mixture.means - population.mixture.means) / result.uncertainty().means
        assert np.abs(distance).max() < 0.2


@pytest.mark.parametrize("longer", [1, 3, 30])
def test_a_climb_rises_whatever_its_metric_or_gives_up(longer: float) -> None:
    chunks = ArrayChunks.from_arrays(VALUES, NOISE)
    passes, constraints = LocalPasses(chunks, threads=1), Constraints.none(2, 2)
    start = Population(Mixture(APART.amplitudes, APART.means + 0.05, APART.covariances))
    before = passes.summarize(start)
    chart = Chart.at(start, before, constraints)
    spectrum = outer_products.outer_products(chart, chunks.samples[0]).matrix.spectrum
    spectrum = replace(spectrum, factor=Columns.dense(longer * spectrum.factor.whole))
    reached = climb(chart, spectrum, passes.summarize, tolerance=1e-3)
    if longer == 30:  # steps 900 times too long: even their 64th part leads down
        assert reached is None
        return
    best = fitted().log_likelihood
    assert reached is not None
    assert best - 0.01 < passes.summarize(reached).log_likelihood < best + 0.01


def test_a_selection_widens_the_errors_of_what_it_hides() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, 3000)
    kept = x[x > -0.5][:1000, None]
    truth = Mixture([1.0], [[0.0]], [[[1.0]]])
    cut = fitted(kept, None, truth, selection=Box([-0.5], [np.inf]), prior=None).uncertainty()
    whole = fitted(x[:1000, None], None, truth).uncertainty()
    assert (cut.means > 1.5 * whole.means).all()
    assert 0 < cut.imputation_error < 0.3
    assert whole.imputation_error == 0


def test_a_result_that_was_pickled_asks_for_its_rows(result: dgmmis.FitResult, errors) -> None:
    again = pickle.loads(pickle.dumps(result))
    assert again.rows is None
    with pytest.raises(InvalidSetting, match="does not know its rows"):
        again.uncertainty()
    given = dgmmis.uncertainty(again, VALUES, noise=NOISE)
    np.testing.assert_array_equal(given.means, errors.means)


def test_rows_that_were_not_fitted_are_refused(result: dgmmis.FitResult) -> None:
    with pytest.raises(InvalidData, match="not what was fitted"):
        dgmmis.uncertainty(result, VALUES + 0.01, noise=NOISE)
    with pytest.raises(InvalidData, match="not what was fitted"):
        dgmmis.uncertainty(result, VALUES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "hessian"},
        {"sample_rows": 1},
        {"replicates": 1},
        {"resampling_seed": -1},
        {"noise": NOISE},
        {"catalog": "there"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(result: dgmmis.FitResult, wrong: dict) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        dgmmis.uncertainty(result, **wrong)


def test_the_table_names_every_number_with_its_unit(errors: dgmmis.Uncertainty) -> None:
    table = errors.table()
    assert [entry.parameter for entry in table[:6]] == [
        "amplitude", "mean a", "mean b", "variance a", "covariance a,b", "variance b",
    ]  # fmt: skip
    assert [entry.unit for entry in table[:6]] == ["", "mas", "", "mas^2", "", ""]
    assert len(table) == 12
    assert table[7].value == errors.population.mixture.means[1, 0]
    assert table[7].error == errors.means[1, 0]


def test_saved_errors_are_read_without_pickle(errors: dgmmis.Uncertainty, tmp_path: Path) -> None:
    errors.save(tmp_path / "errors.npz")
    with np.load(tmp_path / "errors.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["means_error"], errors.means)
        np.testing.assert_array_equal(stored["covariance"], errors.covariance)
        header = json.loads(str(stored["header"]))
    assert header["format"] == "dgmmis uncertainty 1"
    assert header["method"] == "information"
    assert header["units"] == ["mas", ""]
