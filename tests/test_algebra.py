"""Maps from models to models are exact: densities of the result follow from those of the argument."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.algebra import affine, convolve, stack
from dgmmis.background import Background
from dgmmis.density_background import DensityBackground
from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting, UnitMismatch
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.selection import Ball, Box, as_selection
from references import load_reference
from strategies import random_covariances, random_mixture

SEEDS = st.integers(0, 2**32 - 1)
MIXTURE = random_mixture(np.random.default_rng(5), 3, 3)
BOX = Background(([-4.0, -5.0, -6.0], [4.0, 5.0, 7.0]), amplitude=0.2, amplitude_max=0.5)
PLAIN = Model(MIXTURE, ("a", "b", "c"), ("mas", "mag", ""))
MODEL = Model(MIXTURE, ("a", "b", "c"), ("mas", "mag", ""), BOX)


def test_a_marginal_is_the_density_where_the_other_features_are_missing():
    rows = np.random.default_rng(2).normal(size=(6, 3)) * 3
    rows[:, 1] = np.nan
    found = MODEL.marginal(["c", 0])
    assert (found.features, found.units) == (("c", "a"), ("", "mas"))
    assert found.log_density(rows[:, [2, 0]]) == pytest.approx(MODEL.log_density(rows), rel=1e-13)


@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_convolving_is_adding_noise_to_every_row(seed, d, k):
    rng = np.random.default_rng(seed)
    mixture, noise = random_mixture(rng, k, d), random_covariances(rng, 1, d)[0]
    rows = rng.normal(size=(d + 1, d)) * 4
    expected = mixture.log_density(rows, Noise.shared(noise))
    assert convolve(mixture, noise).log_density(rows) == pytest.approx(expected, rel=1e-12)
    assert np.array_equal(
        convolve(mixture, np.diag(noise)).covariances, convolve(mixture, np.diag(np.diag(noise))).covariances
    )


@pytest.mark.parametrize(
    "noise",
    [np.ones(2), np.ones((3, 3, 3)), -np.ones(3), Noise.diagonal(np.ones((3, 3))), Noise.shared(np.eye(2))],
)
def test_noise_that_is_not_one_for_all_rows_is_refused(noise):
    with pytest.raises(InvalidData, match="noise"):
        PLAIN.convolve(noise)


@given(SEEDS, st.integers(1, 5), st.integers(1, 4))
def test_an_affine_map_and_its_inverse_lead_back(seed, d, k):
    rng = np.random.default_rng(seed)
    mixture, offset = random_mixture(rng, k, d), rng.normal(size=d)
    matrix = random_covariances(rng, 1, d)[0] @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    back = np.linalg.inv(matrix)
    there = affine(mixture, matrix, offset)
    again = affine(there, back, -back @ offset)
    assert again.means == pytest.approx(mixture.means, abs=1e-11)
    assert again.covariances == pytest.approx(mixture.covariances, abs=1e-11)
    rows = rng.normal(size=(4, d))
    change = np.linalg.slogdet(matrix)[1]
    mapped = there.log_density(rows @ matrix.T + offset)
    assert mapped == pytest.approx(mixture.log_density(rows) - change, rel=1e-10, abs=1e-10)


@given(SEEDS, st.integers(2, 5))
def test_an_affine_map_to_fewer_features_is_the_density_of_projected_rows(seed, d):
    rng = np.random.default_rng(seed)
    mixture, matrix = random_mixture(rng, 3, d), rng.normal(size=(d - 1, d))
    point = rng.normal(size=d - 1)
    found = affine(mixture, matrix, np.ones(d - 1)).log_density((point + 1)[None])
    expected = sum(
        a * _normal(point - matrix @ m, matrix @ v @ matrix.T)
        for a, m, v in zip(mixture.amplitudes, mixture.means, mixture.covariances, strict=True)
    )
    assert np.exp(found[0]) == pytest.approx(expected, rel=1e-9)


def _normal(residual: np.ndarray, covariance: np.ndarray) -> float:
    exponent = residual @ np.linalg.solve(covariance, residual)
    return float(np.exp(-0.5 * exponent) / np.sqrt(np.linalg.det(2 * np.pi * covariance)))


def test_scaling_and_shifting_maps_a_background_too():
    rows = np.array([[0.5, -4.9, 1.0], [-3.9, 2.0, 3.0], [5.0, 0.0, 0.0]])
    matrix, offset = (
        np.array([[0.0, 0.0, -2.0], [0.5, 0.0, 0.0], [0.0, 3.0, 0.0]]),
        np.array([1.0, -1.0, 0.0]),
    )
    found = MODEL.affine(matrix, offset, features=("c2", "a2", "b2"), units=("", "as", "mag"))
    assert (found.features, found.units) == (("c2", "a2", "b2"), ("", "as", "mag"))
    expected = MODEL.log_density(rows) - np.log(3.0)
    assert found.log_density(rows @ matrix.T + offset) == pytest.approx(expected, rel=1e-12)
    assert found.background.amplitude_max == 0.5


@pytest.mark.parametrize(
    ("matrix", "offset", "match"),
    [
        (np.zeros((0, 3)), None, "shape"),
        (np.eye(2), None, "shape"),
        (np.ones((4, 3)), None, "span 1 dim"),
        (np.array([[1.0, 2.0, 0.0], [1e-9, 2e-9, 0.0]]), None, "span 1 dim"),
        (np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]), None, "span 1 dim"),
        (np.eye(3), np.zeros(2), "offset"),
        (np.diag([1.0, np.nan, 1.0]), None, "finite"),
    ],
)
def test_maps_without_a_density_are_refused(matrix, offset, match):
    with pytest.raises(InvalidSetting, match=match):
        PLAIN.affine(matrix, offset)


def test_the_rank_of_a_map_does_not_depend_on_units():
    units = np.array([1e-14, 1.0, 1e14])
    scaled = PLAIN.affine(np.diag(units))
    mixing = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, -1.0]])
    again = scaled.affine(mixing / units).mixture
    assert again.covariances == pytest.approx(affine(MIXTURE, mixing).covariances, rel=1e-12)


@given(SEEDS, st.integers(1, 3), st.lists(st.floats(0, 10), min_size=1, max_size=4).filter(sum))
def test_a_stack_is_the_weighted_sum_of_densities(seed, d, weights):
    rng = np.random.default_rng(seed)
    mixtures = [random_mixture(rng, int(k), d) for k in rng.integers(1, 4, size=len(weights))]
    rows = rng.normal(size=(5, d)) * 3
    density = sum(w * np.exp(m.log_density(rows)) for w, m in zip(weights, mixtures, strict=True))
    found = stack(mixtures, weights).log_density(rows)
    assert found == pytest.approx(np.log(density / sum(weights)), rel=1e-10, abs=1e-10)


def test_a_stack_of_models_has_their_backgrounds_and_equal_boxes_once():
    other = Background(([-9.0] * 3, [9.0] * 3), amplitude=0.3, fixed=True)
    models = [
        MODEL,
        Model(random_mixture(np.random.default_rng(8), 2, 3), MODEL.features, MODEL.units, BOX),
        Model(MIXTURE, MODEL.features, MODEL.units, (other, BOX.with_amplitude(0.4))),
    ]
    weights = np.array([0.5, 0.2, 0.3])
    rows = np.random.default_rng(3).normal(size=(20, 3)) * 4
    stacked = Model.stack(models, weights)
    density = sum(w * np.exp(model.log_density(rows)) for w, model in zip(weights, models, strict=True))
    assert np.exp(stacked.log_density(rows)) == pytest.approx(density, rel=1e-12)
    assert stacked.population.background_amplitudes == pytest.approx([0.26, 0.09])
    assert not stacked.backgrounds[1].fixed


def test_stacking_agrees_with_pygmmis():
    stored = load_reference("pygmmis_stack")
    models = [Model(Mixture(*(stored[f"{name}{i}"] for name in ("amp", "mean", "covar")))) for i in (1, 2)]
    found = Model.stack(models, [0.3, 0.7]).mixture
    for ours, theirs in (("amplitudes", "amp"), ("means", "mean"), ("covariances", "covar")):
        assert getattr(found, ours) == pytest.approx(stored[theirs], abs=1e-12)


@pytest.mark.parametrize(
    ("models", "weights", "error"),
    [
        ([], [], InvalidSetting),
        ([PLAIN, PLAIN], [1.0], InvalidSetting),
        ([PLAIN, PLAIN], [0.0, 0.0], InvalidSetting),
        ([PLAIN, PLAIN], [2.0, -1.0], InvalidSetting),
        ([PLAIN, PLAIN], [1.0, np.nan], InvalidSetting),
        ([PLAIN, Model(MIXTURE)], [1.0, 1.0], FeatureMismatch),
        ([PLAIN, PLAIN.marginal(["a", "b"])], [1.0, 1.0], FeatureMismatch),
        ([PLAIN, Model(MIXTURE, PLAIN.features, ("as", "mag", ""))], [1.0, 1.0], UnitMismatch),
    ],
)
def test_models_that_do_not_fit_together_are_not_stacked(models, weights, error):
    with pytest.raises(error):
        Model.stack(models, weights)


def test_a_background_that_would_be_none_is_refused_with_a_way_out():
    mixed = np.eye(3) + 0.1
    user = DensityBackground(lambda values, covariances: np.ones(len(values)), n_features=3)
    for attempt in (
        lambda: MODEL.convolve(np.ones(3)),
        lambda: MODEL.affine(mixed),
        lambda: Model(MIXTURE, backgrounds=user).affine(np.eye(3)),
        lambda: Model(MIXTURE, backgrounds=user).condition({0: 1.0}),
    ):
        with pytest.raises(InvalidSetting, match=r"Model\(model.mixture"):
            attempt()
    assert not PLAIN.convolve(np.ones(3)).backgrounds


NAMED = Box.of(a=(-1, 1))


@pytest.mark.parametrize(
    ("selection", "features", "kept"),
    [
        (NAMED, ["a", "c"], True),
        (NAMED, ["c", "a"], True),
        (NAMED & ~Box.of(c=(0, 2)), ["a", "c"], True),
        (NAMED | Box.of(b=(0, 2)), ["a", "c"], False),
        (Ball([0.0, 0.0], 1.0, [0, 2]), ["a", "b"], False),
        (Ball([0.0, 0.0], 1.0, [0, 1]), ["a", "b"], True),
        (Ball([0.0, 0.0], 1.0, [0, 1]), ["b", "a"], False),
        (as_selection(lambda values: np.ones(len(values))), ["a", "b"], False),
        (None, ["a"], False),
    ],
)
def test_a_marginal_keeps_a_selection_of_features_that_it_keeps(selection, features, kept):
    model = Model(MIXTURE, PLAIN.features, selection=selection)
    assert model.marginal(features).selection is (selection if kept else None)


def test_maps_that_change_what_a_selection_means_drop_it_and_stacks_keep_a_common_one():
    model = Model(MIXTURE, PLAIN.features, selection=NAMED)
    assert model.condition({"b": 1.0}).selection is None
    assert model.convolve(np.ones(3)).selection is None
    assert model.affine(np.eye(3)).selection is None
    same = Model(MIXTURE, PLAIN.features, selection=Box.of(a=(-1, 1)))
    other = Model(MIXTURE, PLAIN.features, selection=Box.of(a=(-1, 2)))
    without = Model(MIXTURE, PLAIN.features)
    assert Model.stack([model, same], [1, 1]).selection is NAMED
    assert Model.stack([model, other], [1, 1]).selection is None
    assert Model.stack([model, without], [1, 1]).selection is None
