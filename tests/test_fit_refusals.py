"""What `dgmmis.fit` refuses, and before what."""

from __future__ import annotations

import numpy as np
import pytest

from dgmmis import Mixture, Noise, fit
from dgmmis.errors import CollapsedComponent, InvalidData, InvalidSetting
from dgmmis.observer import SilentObserver
from fitting import fit_scene
from strategies import random_scene

SETTINGS = {
    "no components": {"n_components": 0},
    "half a component": {"n_components": 1.5},
    "truth as a number": {"n_components": True},
    "negative tolerance": {"tolerance": -1},
    "no tolerance": {"tolerance": np.nan},
    "negative passes": {"max_passes": -1},
    "half a pass": {"max_passes": 0.5},
    "another method": {"method": "newton"},
    "frozen without a start": {"frozen": {"means": [0]}},
    "negative seed": {"seed": -1},
    "half a seed": {"seed": 0.5},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_cannot_be_meant_are_refused(settings):
    values = random_scene(12, n=100, k=2).values
    with pytest.raises(InvalidSetting):
        fit(values, **{"n_components": 2, **settings})


@pytest.mark.parametrize("frozen", [{"weights": [0]}, {"means": [2]}, {"means": [-1]}, {"means": [True]}])
def test_frozen_parameters_that_do_not_exist_are_refused(frozen):
    scene = random_scene(12, n=100, k=2)
    with pytest.raises(InvalidSetting, match="frozen"):
        fit_scene(scene, frozen=frozen)


@pytest.mark.parametrize(("n_components", "n_features"), [(3, 2), (2, 3)])
def test_a_start_of_another_shape_is_refused(n_components, n_features):
    scene = random_scene(12, n=100, k=2, d=2)
    other = random_scene(13, k=n_components, d=n_features).mixture
    with pytest.raises(InvalidData, match="initial"):
        fit(scene.values, n_components=2, initial=other)


class Impatient(SilentObserver):
    """Wants no pass to be made."""

    def on_pass(self, scan, log_likelihoods, rows):
        raise AssertionError("the data were scanned")


@pytest.mark.parametrize(
    ("features", "units"),
    [(("a",), ()), (("a", "b", "c"), ()), (("a", "a"), ()), (("a", "b"), ("m",)), ((), ("m",))],
)
def test_names_and_units_that_do_not_fit_are_refused_before_the_first_pass(features, units):
    scene = random_scene(12, n=100, k=2)
    with pytest.raises((InvalidData, InvalidSetting), match="features"):
        fit_scene(scene, features=features, units=units, observer=Impatient())


def test_names_that_do_not_fit_do_not_hide_behind_a_bad_row():
    with pytest.raises(InvalidData):
        fit(np.array([[0.0, 1.0], [2.0, np.inf]]), n_components=1, features=("a",))


def test_more_components_than_rows_are_refused():
    with pytest.raises(InvalidData, match="5 components were asked of 4 rows"):
        fit(np.arange(8.0).reshape(4, 2), n_components=5, noise=Noise.shared(np.eye(2)))


NOTHING_TO_FIT = {
    "all values missing": (np.full((10, 2), np.nan), None),
    "all weights zero": (np.arange(20.0).reshape(10, 2) ** 2, np.zeros(10)),
    "weight on empty rows only": (
        np.concatenate((np.full((5, 2), np.nan), np.arange(10.0).reshape(5, 2))),
        np.repeat([1.0, 0.0], 5),
    ),
}


@pytest.mark.parametrize("with_start", [False, True])
@pytest.mark.parametrize("case", NOTHING_TO_FIT.values(), ids=NOTHING_TO_FIT)
def test_rows_that_weigh_nothing_altogether_are_refused(case, with_start):
    values, weights = case
    initial = Mixture([1.0], np.zeros((1, 2)), np.eye(2)[None]) if with_start else None
    with pytest.raises(InvalidData):
        fit(values, n_components=1, noise=Noise.shared(np.eye(2)), weights=weights, initial=initial)


@pytest.mark.parametrize("with_start", [False, True])
def test_a_feature_without_spread_or_noise_is_refused(with_start):
    """Its density is infinite; with noise stated it is an ordinary feature."""
    values = np.column_stack((random_scene(14, n=100, d=1, k=2).values, np.full(100, 3.0)))
    initial = Mixture([1.0], [[0.0, 3.0]], np.eye(2)[None]) if with_start else None
    with pytest.raises((CollapsedComponent, InvalidData)):
        fit(values, n_components=1, initial=initial)
    result = fit(values, n_components=1, initial=initial, noise=Noise.shared(0.01 * np.eye(2)))
    assert result.mixture.means[0, 1] == pytest.approx(3)


def test_noise_of_ambiguous_shape_is_refused():
    with pytest.raises(InvalidData, match="ambiguous"):
        fit(np.eye(3), n_components=1, noise=np.eye(3))
