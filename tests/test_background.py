"""Backgrounds: what a box looks like through noise, and what is refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from dgmmis.background import Background, as_backgrounds
from dgmmis.density_background import background_from_description
from dgmmis.errors import FeatureMismatch, InvalidSetting
from dgmmis.noise import Noise
from dgmmis.samples import Samples
from strategies import random_covariances, random_noise

SQUARE = Background(([0.0, -1.0], [2.0, 1.0]))
TILTED = np.array([[0.25, 0.2], [0.2, 0.36]])
SEEDS = st.integers(0, 2**32 - 1)


def box(d: int) -> Background:
    return Background((np.arange(d) - 2.0, np.arange(d) + 1.5))


def log_density(background, values, noise=None) -> np.ndarray:
    return background.log_density(Samples.from_arrays(values, noise))


def error(background, values, noise=None) -> np.ndarray:
    return background.log_density_error(Samples.from_arrays(values, noise))


@pytest.mark.parametrize("deviation", [0.1, 0.7, 5.0])
def test_seen_through_noise_a_side_still_integrates_to_one(deviation):
    step = deviation / 8
    x = np.arange(-10 * deviation, 3 + 10 * deviation, step)[:, None]
    density = np.exp(log_density(Background(([0.0], [3.0])), x, Noise.shared([[deviation**2]])))
    assert density.sum() * step == pytest.approx(1, abs=1e-12)


def test_seen_through_correlated_noise_a_box_still_integrates_to_one():
    step = 0.2
    x, y = np.meshgrid(np.arange(-5, 7, step), np.arange(-6, 6, step))
    density = np.exp(log_density(SQUARE, np.column_stack((x.ravel(), y.ravel())), Noise.shared(TILTED)))
    assert density.sum() * step**2 == pytest.approx(1, abs=1e-9)


def test_a_missing_feature_is_integrated_out():
    step = 0.1
    y = np.arange(-6, 6, step)
    rows = np.column_stack((np.full(len(y), 1.8), y))
    whole = np.exp(log_density(SQUARE, rows, Noise.shared(TILTED))).sum() * step
    left = np.exp(log_density(SQUARE, [[1.8, np.nan]], Noise.shared(TILTED)))
    assert whole == pytest.approx(left[0], rel=1e-9)


def test_a_missing_one_of_three_correlated_features_is_integrated_out():
    covariance = np.array([[0.5, 0.2, 0.1], [0.2, 0.4, -0.2], [0.1, -0.2, 0.6]])
    step = 0.3
    z = np.arange(-5, 9, step)
    rows = np.column_stack((np.full(len(z), -1.5), np.full(len(z), 0.5), z))
    densities = np.exp(log_density(box(3), rows, Noise.shared(covariance)))
    left = np.exp(log_density(box(3), [[-1.5, 0.5, np.nan]], Noise.shared(covariance)))[0]
    errors = densities * error(box(3), rows, Noise.shared(covariance))
    assert abs(densities.sum() * step - left) < 4 * errors.sum() * step + 1e-9


@given(SEEDS, st.integers(1, 4), st.sampled_from([0.0, 0.4]))
def test_uncorrelated_noise_gives_a_product_however_it_is_stored(seed, d, missing):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-6, 6, size=(40, d))
    values[rng.random(values.shape) < missing] = np.nan
    variances = rng.uniform(0.01, 4, size=d)
    low, high = box(d).footprint
    deviation = np.sqrt(variances)
    sides = (norm.cdf((high - values) / deviation) - norm.cdf((low - values) / deviation)) / (high - low)
    product = np.where(np.isnan(values), 1, sides).prod(axis=1)
    repeated = np.tile(variances, (40, 1))
    for noise in (
        Noise.shared(np.diag(variances)),
        Noise.diagonal(repeated),
        Noise.full(repeated[:, :, None] * np.eye(d)),
    ):
        assert np.exp(log_density(box(d), values, noise)) == pytest.approx(product, rel=1e-9, abs=1e-13)


@given(SEEDS, st.integers(2, 4))
def test_shared_noise_is_the_same_noise_row_by_row(seed, d):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-4, 4, size=(5, d))
    values[1, 0] = np.nan
    covariance = random_covariances(rng, 1, d)[0]
    shared = log_density(box(d), values, Noise.shared(covariance))
    assert np.array_equal(shared, log_density(box(d), values, Noise.full(np.stack([covariance] * 5))))


@given(SEEDS, st.integers(2, 4))
def test_a_row_has_the_same_density_alone_and_among_others(seed, d):
    rng = np.random.default_rng(seed)
    values, noise = rng.uniform(-4, 4, size=(8, d)), random_noise(rng, "full", 8, d)
    together = log_density(box(d), values, noise)
    alone = [log_density(box(d), values[i : i + 1], noise.take(slice(i, i + 1)))[0] for i in range(8)]
    assert together.tolist() == alone


def test_without_noise_the_box_is_flat_and_its_faces_belong_to_it():
    values = [
        [0.0, -1.0],
        [2.0, 1.0],
        [1.0, 0.0],
        [2.0 + 1e-12, 0.0],
        [np.nan, 0.5],
        [1.0, 1.5],
        [np.nan] * 2,
    ]
    expected = [-np.log(4)] * 3 + [-np.inf, -np.log(2), -np.inf, 0.0]
    assert log_density(SQUARE, values).tolist() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("noise", ["diagonal", "full"])
def test_noise_in_one_feature_only_leaves_the_other_faces_sharp(noise):
    values = np.array([[1.0, 1.0], [1.0, 1.1], [2.0, 0.0]])
    variances = np.array([[0.04, 0.0]] * 3)
    kept = Noise.diagonal(variances) if noise == "diagonal" else Noise.full(variances[:, :, None] * np.eye(2))
    density = np.exp(log_density(SQUARE, values, kept))
    inside = norm.cdf(5) - norm.cdf(-5)
    assert density == pytest.approx([inside / 4, 0, 1 / 8], rel=1e-12)


def test_draws_fill_the_footprint_evenly():
    drawn = SQUARE.draw(2000, np.random.default_rng(3))
    low, high = SQUARE.footprint
    for j in range(2):
        assert kstest((drawn[:, j] - low[j]) / (high[j] - low[j]), "uniform").pvalue > 1e-3
    corners = SQUARE.from_unit(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert np.array_equal(corners, SQUARE.footprint)
    assert (SQUARE.importance(drawn) == 1).all()


def test_a_marginal_box_is_the_box_with_features_missing():
    values = np.array([[np.nan, 0.9], [np.nan, 3.0]])
    ours = SQUARE.marginal([1]).log_density(Samples.from_arrays(values[:, 1:], Noise.shared([[0.36]])))
    assert ours == pytest.approx(log_density(SQUARE, values, Noise.shared(TILTED)), rel=1e-14)


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9)), min_size=1, max_size=4))
def test_a_box_survives_json_and_pickle_exactly(sides):
    low, width = np.array(sides).T
    background = Background((low, low + width), amplitude=0.1 + 0.2, amplitude_max=0.9, fixed=True)
    stored = json.loads(json.dumps(background.describe()))
    for copy in (background_from_description(stored), pickle.loads(pickle.dumps(background))):
        assert copy.describe() == background.describe()
        assert np.array_equal(copy.footprint, background.footprint)


def test_a_background_cannot_be_changed_from_outside():
    low = np.zeros(2)
    background = Background((low, np.ones(2)))
    low[:] = 5
    assert background.footprint[0].tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        background.footprint[0][0] = 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"footprint": ([0, 0], [1, np.inf])}, "high is inf in feature 1"),
        ({"footprint": ([0, np.nan], [1, 1])}, "low is nan in feature 1"),
        ({"footprint": ([0, 1], [1, 1])}, "feature 1 has 1 and 1"),
        ({"footprint": ([0, 0], [1, 1, 1])}, "low has 2 features and its high has 3"),
        ({"footprint": (0, 1)}, r"shape \(\)"),
        ({"footprint": ([], [])}, r"shape \(0,\)"),
        ({"footprint": (["a"], ["b"])}, "low cannot be read"),
        ({"footprint": 3}, "expected two corners"),
        ({"footprint": ([0], [1], [2])}, "expected two corners"),
        ({"amplitude": -0.1}, "amplitude = -0.1"),
        ({"amplitude": np.nan}, "amplitude = nan"),
        ({"amplitude": "much"}, "expected a number"),
        ({"amplitude": 0.1, "amplitude_min": 0.2}, "amplitude_min = 0.2"),
        ({"amplitude": 0.3, "amplitude_max": 0.2}, "amplitude_max = 0.2"),
        ({"amplitude_max": 1.1}, "amplitude_max = 1.1"),
    ],
)
def test_settings_no_data_could_make_valid_are_refused(settings, named):
    with pytest.raises(InvalidSetting, match=named):
        Background(**{"footprint": ([0, 0], [1, 1])} | settings)


def test_a_fitted_amplitude_may_miss_its_limits_by_rounding_only():
    background = Background(([0], [1]), amplitude=0.2, amplitude_max=0.3)
    assert background.with_amplitude(np.nextafter(0.3, 1)).amplitude == 0.3
    assert background.with_amplitude(0.25).amplitude == 0.25
    for wrong in (0.3001, np.nan):
        with pytest.raises(InvalidSetting, match="amplitude"):
            background.with_amplitude(wrong)


def test_rows_of_other_features_are_refused():
    with pytest.raises(FeatureMismatch, match="2 features; the data have 3"):
        log_density(SQUARE, np.zeros((1, 3)))


def test_backgrounds_are_read_from_none_one_or_several():
    other = SQUARE.with_amplitude(0.7)
    assert as_backgrounds(None, 2) == ()
    assert as_backgrounds(SQUARE, 2) == (SQUARE,)
    assert as_backgrounds([SQUARE, other], 2) == (SQUARE, other)
    with pytest.raises(InvalidSetting, match=r"sum to 1\.4"):
        as_backgrounds([other, other], 2)
    with pytest.raises(InvalidSetting, match=r"background 1 is 0\.3"):
        as_backgrounds([SQUARE, 0.3], 2)
    with pytest.raises(FeatureMismatch, match="background 0 has 2 features; the data have 3"):
        as_backgrounds(SQUARE, 3)
