"""A model keeps its features, and survives being stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dgmmis.errors import FeatureMismatch, InvalidData
from dgmmis.model import Model
from strategies import random_mixture

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


def test_densities_shares_and_draws_are_the_mixtures():
    rng = np.random.default_rng(0)
    values, noise = rng.normal(size=(5, 3)), np.ones((5, 3))
    assert np.array_equal(MODEL.log_density(values, noise), MIXTURE.log_density(values, noise))
    assert np.array_equal(MODEL.responsibilities(values, noise), MIXTURE.responsibilities(values, noise))
    drawn = [of.draw(7, np.random.default_rng(1)) for of in (MODEL, MIXTURE)]
    assert np.array_equal(*drawn)


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
