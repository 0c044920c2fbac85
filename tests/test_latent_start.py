"""The first guess of where projected rows lie in the mixture's features."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given

from dgmmis.errors import InvalidData
from dgmmis.latent_start import latent_values
from dgmmis.noise import Noise
from dgmmis.rows import Rows
from projected_scenes import ProjectedScene, projected_scene, projected_scenes, random_projections


def rows_of(scene: ProjectedScene) -> Rows:
    return Rows(scene.values, scene.noise, scene.weights, scene.projection)


@given(projected_scenes(kinds=("diagonal", "full"), missing=(0.3,)))
def test_latent_values_are_finite_for_every_row(scene):
    scene.values[0] = 1.0
    told = latent_values(rows_of(scene))
    assert told.shape == (len(scene.values), scene.mixture.n_features)
    assert np.isfinite(told).all()


def test_rows_without_noise_that_show_all_features_are_turned_back():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(50, 3)) * [1, 10, 100] + [0, 5, -1000]
    projection = random_projections(rng, 50, 3, 3)
    values = np.einsum("nij,nj->ni", projection, latent)
    assert latent_values(Rows(values, Noise.none(), None, projection)) == pytest.approx(latent, rel=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_the_mixtures_features_only_rescale_them(unit):
    scene = projected_scene(5, n=300, d=2, n_features=3)
    units = np.array([1, unit, 1])
    told = latent_values(rows_of(dataclasses.replace(scene, projection=scene.projection / units)))
    assert told / units == pytest.approx(latent_values(rows_of(scene)), rel=1e-6, abs=1e-6)


def test_half_seen_rows_are_told_apart_as_if_seen_whole():
    """Two far groups of three features, of which each row shows a random two: no row is taken for the other's."""
    rng = np.random.default_rng(1)
    group = np.arange(400) % 2
    latent = rng.normal(size=(400, 3)) + np.where(group[:, None] == 0, -8.0, 8.0)
    projection = random_projections(rng, 400, 2, 3)
    values = np.einsum("nij,nj->ni", projection, latent)
    told = latent_values(Rows(values, Noise.none(), None, projection))
    assert (told.sum(axis=1) > 0).tolist() == (group == 1).tolist()


@pytest.mark.parametrize("projection", [np.array([[1.0, 2.0]]), np.ones((6, 1, 2))])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_rows_that_all_agree_leave_finite_values(projection, value):
    told = latent_values(Rows(np.full((6, 1), value), Noise.none(), None, projection))
    assert np.isfinite(told).all()
    assert np.einsum("a,na->n", projection.reshape(-1, 2)[0], told) == pytest.approx(value, abs=1e-9)


def test_a_feature_that_no_row_shows_is_refused():
    scene = projected_scene(2, n=20)
    projection = scene.projection.copy()
    projection[:, :, 1] = 0
    with pytest.raises(InvalidData, match="feature 1 of the mixture appears in no row") as caught:
        latent_values(rows_of(dataclasses.replace(scene, projection=projection)))
    assert (caught.value.array, caught.value.column) == ("projection", 1)
