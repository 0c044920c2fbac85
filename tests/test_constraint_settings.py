"""Constraints as settings: what they may be, how they are written, and what they count."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from dgmmis.background import Background
from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent, InvalidSetting
from dgmmis.frozen import Frozen
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from strategies import random_mixture

PRIOR = Prior(InverseWishart([2.0, 5.0], degrees_of_freedom=3), Dirichlet(4))


@pytest.mark.parametrize(
    "error",
    [CollapsedComponent(3, 2.5), CollapsedComponent(1, 1, (0, 2)), CollapsedComponent(1, 1, (0, 2), True)],
    ids=str,
)
def test_a_collapse_travels_from_a_worker_whole(error):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("covariance_type", "free"), [("full", 3 * 6), ("diagonal", 3 * 3), ("spherical", 3), ("tied", 6)]
)
def test_parameters_are_counted_without_frozen_ones(covariance_type, free):
    constraints = Constraints.of(3, 3, covariance_type=covariance_type)
    assert constraints.n_parameters(3, 3) == free + 9 + 2
    boxes = (Background(([0.0], [1.0]), fixed=True), Background(([0.0], [1.0])))
    assert constraints.n_parameters(3, 3, boxes) == free + 9 + 3
    everything = {kind: [0, 1, 2] for kind in ("amplitudes", "means", "covariances")}
    frozen = Constraints.of(3, 3, covariance_type=covariance_type, frozen=everything)
    assert frozen.n_parameters(3, 3) == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"covariance_type": "round"}, "covariance_type is 'round'; expected one of full"),
        ({"covariance_type": None}, "covariance_type"),
        ({"floor": 0}, "floor is 0"),
        ({"floor": -1.0}, "floor"),
        ({"floor": [1.0, 1.0]}, "floor"),
        ({"floor": np.nan}, "floor"),
        ({"floor": "low"}, "floor"),
        ({"prior": "auto"}, "prior is 'auto'"),
        ({"prior": Prior(amplitudes=Dirichlet([2, 2, 2]))}, "concentration"),
        ({"frozen": {"means": [2]}}, "frozen means"),
        ({"frozen": Frozen.of(None, 3)}, "frozen has masks of 3"),
    ],
    ids=str,
)
def test_constraints_that_cannot_be_met_are_refused_by_name(settings, named):
    with pytest.raises(InvalidSetting, match=named):
        Constraints.of(2, 3, **settings)


def test_constraints_survive_being_written_as_json():
    constraints = Constraints.of(2, 2, frozen={"means": [1]}, covariance_type="diag", floor=0.5, prior=PRIOR)
    written = json.loads(json.dumps(constraints.describe()))
    assert written["covariance_type"] == "diagonal"
    assert written["floor"] == [0.5, 0.5]
    again = Constraints.of(2, 2, **written | {"prior": Prior.from_description(written["prior"])})
    assert again.describe() == constraints.describe()


@pytest.mark.parametrize(("covariance_type", "judged"), [("full", [0, 2]), ("tied", [0])])
def test_the_prior_judges_free_parameters_and_a_tied_covariance_once(covariance_type, judged):
    mixture = random_mixture(np.random.default_rng(4), 3, 2)
    singular = np.array(mixture.covariances)
    singular[1] = 0
    population = Population(Mixture(mixture.amplitudes, mixture.means, singular))
    frozen = {"amplitudes": [0], "covariances": [1]}
    constraints = Constraints.of(3, 2, covariance_type=covariance_type, frozen=frozen, prior=PRIOR)
    of_amplitudes = 3 * np.log(mixture.amplitudes[1:]).sum()
    of_covariances = PRIOR.covariances.log_density(singular[judged])
    assert constraints.log_prior(population) == pytest.approx(of_amplitudes + of_covariances, rel=1e-12)
    assert Constraints.none(3, 2).log_prior(population) == 0
