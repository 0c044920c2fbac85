"""A model keeps its features, and survives being stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from dgmmis.algebra import marginal
from dgmmis.background import Background
from dgmmis.conditioning import condition
from dgmmis.density_background import DensityBackground
from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.selection import Ball, Box, CompletenessMap
from strategies import random_mixture, scenes

MIXTURE = random_mixture(np.random.default_rng(3), 4, 3)
MODEL = Model(MIXTURE, ("parallax", "colour", "größe"), ("mas", "", "mag"))


@pytest.fixture
def stored(tmp_path) -> Path:
    path = tmp_path / "model.npz"
    MODEL.save(path)
    return path


def test_a_model_comes_back_as_it_was_saved(stored):
    again = Model.load(stored)
    assert (again.features, again.units) == (MODEL.features, MODEL.units)
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(again.mixture, name), getattr(MIXTURE, name))


def test_a_path_without_an_ending_is_kept_as_it_is(tmp_path):
    MODEL.save(tmp_path / "model")
    assert Model.load(str(tmp_path / "model")).features == MODEL.features


def test_a_saved_model_is_read_by_numpy_alone(stored):
    with np.load(stored, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["means"], MIXTURE.means)
        assert json.loads(str(arrays["header"]))["features"] == list(MODEL.features)


def test_features_have_default_names_and_no_units():
    model = Model(MIXTURE)
    assert (model.features, model.units) == (("x0", "x1", "x2"), ("", "", ""))


@pytest.mark.parametrize(
    ("features", "units"),
    [(("a", "b"), ()), (("a", "b", "c", "d"), ()), (("a", "b", "a"), ()), (("a", "b", "c"), ("m",))],
)
def test_names_and_units_that_are_not_the_mixtures_are_refused(features, units):
    with pytest.raises(FeatureMismatch, match="3 features"):
        Model(MIXTURE, features, units)


@pytest.mark.parametrize(
    "features", [("parallax", "colour"), ("colour", "parallax", "größe"), ("a", "b", "c")]
)
def test_data_of_other_features_or_another_order_are_refused(features):
    MODEL.require_features(list(MODEL.features))
    with pytest.raises(FeatureMismatch, match="the model was fitted to parallax, colour, größe"):
        MODEL.require_features(features)


def test_densities_and_shares_are_the_mixtures_without_a_background():
    rng = np.random.default_rng(0)
    values, noise = rng.normal(size=(5, 3)), np.ones((5, 3))
    assert np.array_equal(MODEL.log_density(values, noise), MIXTURE.log_density(values, noise))
    assert np.array_equal(MODEL.responsibilities(values, noise), MIXTURE.responsibilities(values, noise))
    assert (MODEL.background_probability(values, noise) == 0).all()
    assert MODEL.background is None


@given(scenes(rows=st.integers(1, 30), max_features=4))
def test_densities_and_shares_are_the_oracles_with_a_background(scene):
    d = scene.mixture.n_features
    box = Background((np.full(d, -50.0), np.full(d, 50.0)), amplitude=0.25)
    model = Model(scene.mixture, backgrounds=box)
    values, covariances, _ = scene.oracle_rows
    for i, row in enumerate(values):
        seen = np.flatnonzero(~np.isnan(row))
        terms = 0.75 * scene.mixture.amplitudes
        behind = 0.25 * 100.0 ** -len(seen)  # noise is small against the distance from the faces
        if len(seen):
            total = scene.mixture.covariances[:, seen[:, None], seen] + covariances[i][np.ix_(seen, seen)]
            terms = terms * [
                multivariate_normal.pdf(row[seen], m[seen], t)
                for m, t in zip(scene.mixture.means, total, strict=True)
            ]
        one = row[None], None if scene.noise.array is None else Noise.full(covariances[i][None])
        density = terms.sum() + behind
        assert model.log_density(*one) == pytest.approx(np.log(density), rel=1e-9, abs=1e-9)
        assert model.responsibilities(*one)[0] == pytest.approx(terms / density, abs=1e-9)
        assert model.background_probability(*one) == pytest.approx(behind / density, abs=1e-9)
        found = np.exp(model.component_log_densities(*one)[0])
        assert found == pytest.approx([*terms, behind], rel=1e-9)


@given(scenes(rows=st.integers(1, 20), kinds=("shared", "diagonal", "full"), max_features=3))
def test_the_posterior_is_the_mixture_conditioned_on_each_row(scene):
    """Rows t with noise-free copies: x = t + e is given, t is free."""
    d = scene.mixture.n_features
    means, covariances = Model(scene.mixture).posterior(scene.values, scene.noise)
    assert covariances.shape == (len(scene.values), d, d)
    doubled = Mixture(
        scene.mixture.amplitudes,
        np.concatenate([scene.mixture.means] * 2, axis=1),
        np.tile(scene.mixture.covariances, (1, 2, 2)),
    )
    noise = scene.noise.covariances(*scene.values.shape)
    for i, row in enumerate(scene.values):
        seen = np.flatnonzero(~np.isnan(row))
        of_free = scene.mixture
        if len(seen):
            of_free = marginal_of_second(condition(doubled, seen, row[seen], noise[i][np.ix_(seen, seen)]), d)
        mean = of_free.amplitudes @ of_free.means
        second = np.einsum("k,kd,ke->de", of_free.amplitudes, of_free.means - mean, of_free.means - mean)
        assert means[i] == pytest.approx(mean, abs=1e-8)
        assert covariances[i] == pytest.approx(
            second + np.tensordot(of_free.amplitudes, of_free.covariances, 1), abs=1e-8
        )


def marginal_of_second(mixture: Mixture, d: int) -> Mixture:
    return marginal(mixture, range(mixture.n_features - d, mixture.n_features))


def test_a_row_beyond_any_density_has_no_shares():
    with pytest.raises(InvalidData, match="row 1"):
        MODEL.responsibilities([[0.0, 0.0, 0.0], [1e200, 0.0, 0.0]])


def test_a_model_comes_back_with_its_backgrounds_and_its_selection(tmp_path):
    backgrounds = (
        Background(([-1.0, -2.0, -3.0], [1 / 3, 2.0, 3.0]), amplitude=0.1, amplitude_max=0.5),
        Background(([-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]), amplitude=0.2, fixed=True),
    )
    selection = Box.of(colour=(0, 1 / 3)) & ~Ball([0.1, 0.2], 0.7, ["parallax", "größe"])
    model = Model(MIXTURE, MODEL.features, MODEL.units, backgrounds, selection)
    model.save(tmp_path / "model.npz")
    again = Model.load(tmp_path / "model.npz")
    assert [one.describe() for one in again.backgrounds] == [one.describe() for one in backgrounds]
    assert again.selection.digest() == selection.digest()
    assert again.selection_note == ""
    values = np.random.default_rng(1).normal(size=(9, 3))
    assert np.array_equal(again.log_density(values), model.log_density(values))


def test_a_large_map_of_completeness_is_stored_too(tmp_path):
    axes = [np.linspace(-3, 3, 60), np.linspace(-3, 3, 70)]
    selection = CompletenessMap(axes, np.random.default_rng(1).random((60, 70)), ["parallax", "colour"])
    Model(MIXTURE, MODEL.features, selection=selection).save(tmp_path / "model.npz")
    again = Model.load(tmp_path / "model.npz").selection
    values = np.random.default_rng(2).normal(size=(50, 3))
    found, expected = (one.bind(MODEL.features).evaluate(values) for one in (again, selection))
    assert np.array_equal(found, expected)


def test_a_selection_that_cannot_be_stored_is_missed_aloud(tmp_path):
    Model(MIXTURE, selection=lambda values: np.ones(len(values))).save(tmp_path / "model.npz")
    again = Model.load(tmp_path / "model.npz")
    assert again.selection is None
    assert "was not stored" in again.selection_note
    again.save(tmp_path / "copy.npz")
    assert Model.load(tmp_path / "copy.npz").selection_note == again.selection_note


def test_a_background_that_cannot_be_stored_is_refused(tmp_path):
    background = DensityBackground(lambda values, covariances: np.ones(len(values)), n_features=3)
    with pytest.raises(InvalidSetting, match="cannot be imported"):
        Model(MIXTURE, backgrounds=background).save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_models_of_the_first_format_are_still_read(tmp_path):
    arrays = {name: getattr(MIXTURE, name) for name in ("amplitudes", "means", "covariances")}
    header = {"format": "dgmmis model 1", "features": ["a", "b", "c"], "units": ["", "m", ""]}
    np.savez(tmp_path / "model.npz", header=np.array(json.dumps(header)), **arrays)
    again = Model.load(tmp_path / "model.npz")
    assert (again.features, again.units, again.backgrounds) == (("a", "b", "c"), ("", "m", ""), ())
    assert np.array_equal(again.mixture.means, MIXTURE.means)


def assert_refused(path) -> None:
    """The file is named in a typed error."""
    with pytest.raises(InvalidData, match="model") as caught:
        Model.load(path)
    assert caught.value.array == str(path)


def test_a_file_that_is_absent_or_a_folder_is_refused(tmp_path):
    assert_refused(tmp_path)
    assert_refused(tmp_path / "model.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a model at all" * 100, b"\x93NUMPY" + bytes(100)])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    assert_refused(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(stored, kept):
    content = stored.read_bytes()
    stored.write_bytes(content[: int(kept * len(content))])
    assert_refused(stored)


@pytest.mark.parametrize("name", ["header", "amplitudes", "means", "covariances"])
def test_a_flipped_bit_in_an_array_is_refused(stored, name):
    content = bytearray(stored.read_bytes())
    content[content.index(f"{name}.npy".encode()) + 160] ^= 1
    stored.write_bytes(content)
    assert_refused(stored)


def test_an_array_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros(3))
    assert_refused(path)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"format": "dgmmis model 1"}',
        '{"format": "dgmmis model 2", "features": ["a", "b", "c"], "units": ["", "", ""], "backgrounds": 3}',
        '{"format": "dgmmis model 2", "features": ["a", "b", "c"], "units": ["", "", ""], "backgrounds": [{}]}',
        '{"format": "dgmmis model 1", "features": 3, "units": null}',
        '{"format": "another", "features": ["a", "b", "c"], "units": ["", "", ""]}',
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path, header):
    path = tmp_path / "model.npz"
    arrays = {name: getattr(MIXTURE, name) for name in ("amplitudes", "means", "covariances")}
    np.savez(path, header=np.array(header), **arrays)
    assert_refused(path)


def test_a_model_without_its_means_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, header=np.array("{}"), amplitudes=MIXTURE.amplitudes)
    assert_refused(path)
