"""Checking a model against rows: right models pass, wrong ones fail, and the numbers are those of the books."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest, norm

from dgmmis import Background, DensityBackground, Mixture, Model, Noise
from dgmmis.checking import Calibration, ModelCheck, cells_beyond, check_model, simulate, worst_cells
from dgmmis.checking.calibration import exact_transform
from dgmmis.checking.count_differences import Counts, significance
from dgmmis.errors import InvalidData, InvalidSetting, SelectionError
from dgmmis.rows import Rows
from dgmmis.selection import Ball, Box
from strategies import KINDS, random_mixture, random_scene

SIGMAS = 4.5
"""Standard errors that a law may be off by: one failure in 10^5 draws, and the draws are fixed."""

MIXTURE_OF_TWO = Mixture([0.7, 0.3], [[0, 0], [2, 1]], [[[1, 0.4], [0.4, 1.5]], [[0.4, 0], [0, 0.4]]])


def checked(seed: int, *, widen: float = 1.0, **scene: object) -> ModelCheck:
    """Check the model that rows were drawn from, or one that is wider by a factor."""
    made = random_scene(seed, **({"n": 1_500, "d": 2, "missing": 0.2, "spread": 0.7} | scene))  # type: ignore[arg-type]
    mixture = made.mixture
    wider = Mixture(mixture.amplitudes, mixture.means, widen * mixture.covariances)
    return check_model(Model(wider), Rows(made.values, made.noise, made.weights), seed=seed)


def variance_of(checks: list[ModelCheck]) -> tuple[float, float]:
    """Variance of the significances of pairs, and its standard error if they are normal and independent."""
    values = np.concatenate([cells.significance[cells.judged] for one in checks for cells in one.pairs])
    return float(np.mean(values**2)), float(np.sqrt(2 / len(values)))


@pytest.mark.parametrize("kind", KINDS)
def test_residuals_of_rows_from_the_model_have_unit_variance_and_those_of_a_wrong_model_do_not(
    kind: str,
) -> None:
    right, error = variance_of([checked(seed, kind=kind, weighted=seed == 1) for seed in range(2)])
    assert abs(right - 1) < SIGMAS * error
    wrong, error = variance_of([checked(0, kind=kind, widen=2.5)])
    assert wrong > 1 + 3 * SIGMAS * error


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_of_rows_from_the_model_are_uniform_and_those_of_a_wrong_model_are_not(kind: str) -> None:
    for one in checked(5, kind=kind).calibrations:
        assert one.p_value > 1e-4
        low, high = one.band(level=0.9999)
        assert ((one.heights() >= low) & (one.heights() <= high)).all()
        share, error = one.inside(0.9)
        assert abs(share - 0.9) < SIGMAS * error
    wrong = checked(5, kind=kind, widen=4)
    assert all(one.p_value < 1e-6 for one in wrong.calibrations)
    assert all(one.inside(0.5)[0] > 0.5 + SIGMAS * one.inside(0.5)[1] for one in wrong.calibrations[:-1])


def observed(selection: object, *, n: int = 1_500, before_noise: bool = False) -> tuple[Model, Rows]:
    """Rows of a population with a background that went through a selection."""
    rng = np.random.default_rng(11)
    box = Background(footprint=([-4, -4], [5, 5]), amplitude=0.2)
    model = Model(MIXTURE_OF_TWO, ("a", "b"), (), (box,), selection)
    noise = Noise.diagonal(rng.choice([0.04, 0.3], size=(n, 2)))
    values = model.draw(n, rng, noise=noise, selection=selection, before_noise=before_noise)
    values[rng.random(n) < 0.2, 1] = np.nan
    return model, Rows(values, noise)


@pytest.mark.parametrize("before_noise", [False, True])
@pytest.mark.parametrize("selection", [Box.of(a=(0, None)), Ball([0.5, 0.5], 2.2)])
def test_rows_that_were_selected_fit_the_model_with_its_selection_and_not_without(
    selection: object, before_noise: bool
) -> None:
    model, rows = observed(selection, before_noise=before_noise)
    with_it = check_model(model, rows, before_noise=before_noise)
    assert {one.method for one in with_it.calibrations} == {"ranks"}
    assert all(one.p_value > 1e-4 for one in with_it.calibrations)
    value, error = variance_of([with_it])
    assert abs(value - 1) < SIGMAS * error
    without = check_model(Model(model.mixture, model.features, (), model.backgrounds), rows)
    assert without.calibrations[0].method == "exact"
    assert without.calibrations[0].p_value < 1e-6
    assert cells_beyond(without.projections, 4)[0] > 5


def test_the_exact_transform_is_that_of_every_row_and_component() -> None:
    made = random_scene(3, n=40, d=3, kind="full", missing=0.3)
    box = Background(footprint=([-2.0, -3.0, -1.0], [4.0, 3.0, 2.0]), amplitude=0.3)
    model, rows = Model(made.mixture, backgrounds=(box,)), Rows(made.values, made.noise)
    covariances = made.noise.covariances(*made.values.shape)
    for j in range(3):
        found = exact_transform(model, rows, j)
        assert found is not None
        np.testing.assert_array_equal(np.isnan(found), np.isnan(made.values[:, j]))
        for i in np.flatnonzero(~np.isnan(found)):
            spread = np.sqrt(made.mixture.covariances[:, j, j] + covariances[i, j, j])
            mixture = made.mixture.amplitudes @ norm.cdf(
                (made.values[i, j] - made.mixture.means[:, j]) / spread
            )
            low, high = box.footprint[0][j], box.footprint[1][j]
            places = low + (high - low) * (np.arange(20_000) + 0.5) / 20_000
            behind = norm.cdf((made.values[i, j] - places) / np.sqrt(covariances[i, j, j])).mean()
            assert found[i] == pytest.approx(0.7 * mixture + 0.3 * behind, abs=1e-7)
    places = np.array([-3.0, 1.0, 9.0])
    plain = exact_transform(model, Rows(places[:, None] * [1, 0, 0], Noise.none()), 0)
    spread = np.sqrt(made.mixture.covariances[:, 0, 0])
    below = norm.cdf((places[:, None] - made.mixture.means[:, 0]) / spread) @ made.mixture.amplitudes
    np.testing.assert_allclose(plain, 0.7 * below + 0.3 * np.array([0, 0.5, 1]), rtol=1e-12)


def test_exact_transforms_and_ranks_among_replicates_agree() -> None:
    """A selection that keeps everything makes ranks of what is else exact."""
    made = random_scene(8, n=1_500, kind="diagonal", missing=0.2)
    rows = Rows(made.values, made.noise)
    exact = check_model(Model(made.mixture), rows, replicates=60)
    ranked = check_model(Model(made.mixture, selection=Box.of(x0=(-1e6, 1e6))), rows, replicates=60)
    for one, other in zip(exact.calibrations[:2], ranked.calibrations[:2], strict=True):
        assert (one.method, other.method) == ("exact", "ranks")
        variance = one.transforms * (1 - one.transforms) / 60 + 1 / 60**2
        assert np.mean((one.transforms - other.transforms) ** 2 / variance) == pytest.approx(1, abs=0.2)


def test_simulated_catalogues_have_the_gaps_and_the_noise_of_the_rows_and_follow_from_the_seed() -> None:
    made = random_scene(2, n=400, d=3, kind="diagonal", missing=0.3)
    array = np.where(np.isnan(made.values), np.nan, made.noise.array)  # what is missing has no noise
    rows, model = Rows(made.values, Noise.diagonal(array)), Model(made.mixture)
    one, again, other = (simulate(model, rows, replicates=3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.array_equal(one.values, other.values, equal_nan=True)
    for values in one.values:
        np.testing.assert_array_equal(np.isnan(values), np.isnan(made.values))
    np.testing.assert_array_equal(one.values[0], simulate(model, rows, replicates=2, seed=4).values[0])
    quiet = Mixture([1.0], [[0.0, 0.0, 0.0]], [1e-12 * np.eye(3)])
    noise = simulate(Model(quiet), rows, replicates=60).values
    there = ~np.isnan(made.values)
    scatter = noise[:, there] ** 2 / array[there]
    assert scatter.mean() == pytest.approx(1, abs=SIGMAS * np.sqrt(2 / scatter.size))


def test_simulated_rows_lie_where_the_selection_keeps_them() -> None:
    model, rows = observed(Box.of(a=(0, None)), n=300)
    assert (simulate(model, rows, replicates=2).values[..., 0] > 0).all()
    before = simulate(model, rows, before_noise=True, replicates=4).values[..., 0]
    assert (before < 0).any()  # noise carries rows out of what cut their noise-free values


def test_every_row_with_the_features_is_in_some_cell() -> None:
    one = checked(1, d=3, weighted=True)
    weights = one.rows.weights
    assert weights is not None
    for cells in one.projections:
        present = ~np.isnan(one.rows.values[:, list(cells.columns)]).any(axis=1)
        assert cells.observed.sum() == pytest.approx(weights[present].sum())
        assert cells.expected.sum() == pytest.approx(weights[present].sum())


def test_a_significance_is_that_of_two_poisson_numbers() -> None:
    found, expected, m = np.array([0.0, 3, 12, 40, 7]), np.array([76, 9, 228, 380, 0]) / 19, 19
    none = np.zeros(5)
    values = significance(Counts(found, found, expected, expected, none, m))
    for value, k, mean in zip(values, found, expected, strict=True):
        law = binom(round(k + m * mean), 1 / (1 + m))
        upper = law.sf(k) + law.pmf(k) / 2
        assert value == pytest.approx(-norm.ppf(upper), rel=1e-9)
    thrice = significance(Counts(3 * found, 9 * found, 3 * expected, 9 * expected, none, m))
    np.testing.assert_allclose(thrice, values, rtol=1e-12)  # the unit of weights does not matter
    assert significance(Counts(*(np.zeros(1),) * 5, m)) == 0


def test_rows_that_are_certain_to_lie_in_a_cell_make_no_scatter() -> None:
    """Two narrow clumps in two noisy places: a row's clump is a coin, its cell is not a Poisson number."""
    model = Model(Mixture([0.5, 0.5], [[0.0], [10.0]], [[[1e-4]], [[1e-4]]]))
    check = check_model(model, model.draw(4_000, np.random.default_rng(0)))
    cells = check.singles[0]
    full = cells.expected > 1_000
    assert full.sum() == 2
    np.testing.assert_allclose(cells.scatter[full], np.sqrt(4_000) / 2, rtol=0.05)


def test_rows_that_the_model_knows_nothing_of_are_found_and_named() -> None:
    made = random_scene(6, n=3_000, spread=1.0)
    spot = np.array([4.5, -4.5])
    values = np.concatenate([made.values, spot + 0.05 * np.random.default_rng(1).normal(size=(60, 2))])
    check = check_model(Model(made.mixture), values)
    worst = worst_cells(check.projections)[0]
    assert worst.significance > 5
    assert worst.observed > worst.expected
    for (low, high), column in zip(worst.sides, worst.columns, strict=True):
        assert low <= spot[column] <= high
    clean = worst_cells(check_model(Model(made.mixture), made.values).projections, chance=1e-3)
    assert clean == []


def test_the_distance_and_its_chance_are_those_of_the_kolmogorov_smirnov_test() -> None:
    values = np.random.default_rng(3).random(500) ** 1.1
    one = Calibration("x", values, np.full(500, 2.0), "exact")
    expected = kstest(values, "uniform")
    assert one.distance == pytest.approx(expected.statistic)
    assert one.p_value == pytest.approx(expected.pvalue, rel=0.1)
    assert one.effective_rows == pytest.approx(500)
    half = Calibration("x", np.r_[values, values[:10]], np.r_[np.ones(500), np.zeros(10)], "exact")
    assert half.distance == pytest.approx(one.distance)


def test_all_bars_keep_their_band_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    kept = 0
    for _ in range(400):
        one = Calibration("x", rng.random(300), np.ones(300), "exact")
        low, high = one.band(level=0.9)
        kept += bool((one.heights().min() >= low) and (one.heights().max() <= high))
    assert kept / 400 > 0.9 - SIGMAS * np.sqrt(0.09 / 400)
    assert kept < 400


def test_what_cannot_be_checked_is_refused_by_name() -> None:
    model, rows = observed(Box.of(a=(0, None)), n=50)
    with pytest.raises(InvalidSetting, match="at least one"):
        check_model(model, np.empty((0, 2)))
    with pytest.raises(InvalidSetting, match="at least 2"):
        check_model(model, rows, replicates=1)
    with pytest.raises(InvalidData, match="3 features"):
        check_model(model, np.zeros((5, 3)))
    with pytest.raises(InvalidSetting, match="projected"):
        check_model(model, Rows(rows.values, rows.noise, projection=np.eye(2)))
    blind = Model(model.mixture, model.features, selection=Ball([300.0, 0.0], 1.0))
    with pytest.raises(SelectionError, match="keeps too few"):
        check_model(blind, rows)
    mute = DensityBackground(lambda values, covariances: np.full(len(values), 0.01), 0.1, n_features=2)
    with pytest.raises(InvalidSetting, match="sampler"):
        check_model(Model(model.mixture, model.features, backgrounds=(mute,)), rows)


def test_rows_of_which_nothing_was_observed_tell_nothing() -> None:
    check = check_model(Model(MIXTURE_OF_TWO), np.full((20, 2), np.nan))
    assert [one.effective_rows for one in check.calibrations] == [0, 0, 0]
    assert cells_beyond(check.projections, 4) == (0, 0)
    assert worst_cells(check.projections) == []


def test_of_many_features_all_are_calibrated_and_the_first_twelve_paired() -> None:
    rng = np.random.default_rng(4)
    mixture = random_mixture(rng, 2, 14)
    check = check_model(Model(mixture), mixture.draw(120, rng), most_rows=100)
    assert len(check.rows) == 100
    assert (len(check.singles), len(check.pairs), len(check.calibrations)) == (14, 66, 15)
