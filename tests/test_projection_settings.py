"""What is refused of projections, and why: shapes, numbers, singular views, backgrounds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dgmmis.background import Background
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.population import Population
from dgmmis.samples import Samples
from projected_scenes import projected_scene, random_projections, summarize

VALUES = np.arange(8.0).reshape(4, 2)
EVERY = random_projections(np.random.default_rng(0), 4, 2, 3)


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (4, 3, 2), (3, 2, 3), (4, 2, 0), (1, 4, 2, 3)])
def test_a_projection_of_another_shape_is_refused(shape):
    with pytest.raises(InvalidData, match=r"projection has shape .*expected \(2, D\).*\(4, 2, D\)"):
        Samples.from_arrays(VALUES, projection=np.ones(shape))


def test_projections_and_noise_of_as_many_rows_as_features_are_told_apart():
    """Four rows of four features: (4, 4) is shared, (4, 4, D) is row by row."""
    values = np.zeros((4, 4))
    assert Samples.from_arrays(values, projection=np.ones((4, 4))).groups[0].projection.ndim == 2
    assert Samples.from_arrays(values, projection=np.ones((4, 4, 4))).groups[0].projection.ndim == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_entry_that_is_not_finite_is_named_with_its_row(value):
    spoiled = EVERY.copy()
    spoiled[2, 1, 0] = value
    with pytest.raises(InvalidData, match=rf"projection of row 102: entry \(1, 0\).*{value}") as caught:
        Samples.from_arrays(VALUES, projection=spoiled, first_row=100)
    assert (caught.value.array, caught.value.row, caught.value.column) == ("projection", 102, 1)
    with pytest.raises(InvalidData, match=r"projection: entry \(1, 0\)"):
        Samples.from_arrays(VALUES, projection=spoiled[2])


def test_entries_that_lead_to_a_missing_feature_are_not_read():
    spoiled, values = EVERY.copy(), VALUES.copy()
    spoiled[2, 1], values[2, 1] = np.nan, np.nan
    samples = Samples.from_arrays(values, 1e-2 * np.ones((4, 2)), projection=spoiled)
    mixture = Mixture([1.0], np.zeros((1, 3)), np.eye(3)[None])
    assert np.isfinite(summarize_samples(Population(mixture), samples).second).all()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("zero", [None, Noise.shared(np.zeros((3, 3)))])
def test_more_features_than_the_mixture_has_need_noise(shared, zero):
    scene = projected_scene(1, n=20, d=3, n_features=2, kind="full", shared=shared)
    assert np.isfinite(summarize(scene).log_likelihood)
    samples = Samples.from_arrays(scene.values, zero, projection=scene.projection)
    with pytest.raises(InvalidData, match=r"row 100 .*State the noise"):
        summarize_samples(Population(scene.mixture), samples, first_row=100)


def test_the_one_row_whose_projection_is_singular_is_named():
    scene = projected_scene(1, n=20, d=2, n_features=3, kind="none")
    projection = scene.projection.copy()
    projection[7, 1] = -3 * projection[7, 0]
    with pytest.raises(InvalidData, match=r"row 7 .*State the noise") as caught:
        summarize(dataclasses.replace(scene, projection=projection))
    assert caught.value.row == 7


def test_a_population_of_other_features_than_the_projection_leads_to_is_refused():
    samples = Samples.from_arrays(VALUES, projection=EVERY)
    mixture = Mixture([1.0], np.zeros((1, 2)), np.eye(2)[None])
    with pytest.raises(InvalidData, match=r"rows have 3 features.*population has 2"):
        prepare(Population(mixture), samples)
    assert prepare(Population(mixture), Samples.from_arrays(VALUES)).n_features == 2


@pytest.mark.parametrize("projection", [EVERY[:, :, :2], EVERY[0, :, :2]])
def test_a_background_behind_a_projection_is_refused(projection):
    mixture = Mixture([1.0], np.zeros((1, 2)), np.eye(2)[None])
    population = Population(mixture, (Background((np.full(2, -9.0), np.full(2, 9.0))),))
    with pytest.raises(InvalidSetting, match="background cannot be combined with a projection"):
        prepare(population, Samples.from_arrays(VALUES, projection=projection))
    plain = prepare(population, Samples.from_arrays(VALUES, projection=np.eye(2)))
    assert plain.groups[0].densities.shape == (4, 1)
