"""Priors: their densities against SciPy's, and how they are written and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from dgmmis.errors import InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from strategies import random_covariances, random_mixture

PRIORS = (
    Prior(),
    Prior(InverseWishart.bovy(0.01)),
    Prior(InverseWishart([0.5, 2.0], degrees_of_freedom=4), Dirichlet(2)),
    Prior(InverseWishart([[2.0, 0.3], [0.3, 1.0]], pseudo_rows=0), Dirichlet([1, 1.5, 3])),
)


@pytest.mark.parametrize(
    "scale", [0.7, [0.7, 1.0, 2.0], [[2.0, 0.3, 0], [0.3, 1, 0.1], [0, 0.1, 1]]], ids=str
)
def test_the_density_of_covariances_is_the_inverse_wisharts_but_for_a_constant(scale):
    first, second = random_covariances(np.random.default_rng(1), 2, 3)
    prior = InverseWishart(scale, degrees_of_freedom=5.5)
    matrix = np.diag(np.broadcast_to(scale, 3)) if np.ndim(scale) < 2 else np.array(scale)
    theirs = stats.invwishart(5.5, matrix)
    ours = prior.log_density(first[None]) - prior.log_density(second[None])
    assert ours == pytest.approx(theirs.logpdf(first) - theirs.logpdf(second), rel=1e-11)
    both = prior.log_density(np.array([first, second]))
    assert both == pytest.approx(prior.log_density(first[None]) + prior.log_density(second[None]), rel=1e-12)


def test_the_density_of_amplitudes_is_the_dirichlets_but_for_a_constant():
    left, right = (random_mixture(np.random.default_rng(seed), 3, 2) for seed in (1, 2))
    alpha = [1.0, 1.5, 4.0]
    prior = Prior(amplitudes=Dirichlet(alpha))
    ours = prior.log_density(Population(left)) - prior.log_density(Population(right))
    theirs = stats.dirichlet(alpha)
    expected = theirs.logpdf(left.amplitudes) - theirs.logpdf(right.amplitudes)
    assert ours == pytest.approx(expected, rel=1e-11)


def test_a_singular_covariance_is_impossible_under_a_prior_and_nothing_without():
    singular = Population(Mixture([1.0], [[0.0, 0.0]], [[[1.0, 1.0], [1.0, 1.0]]]))
    assert Prior(InverseWishart.bovy(1)).log_density(singular) == -np.inf
    assert Prior().log_density(singular) == 0


def test_bovys_prior_is_worth_one_row_in_any_dimension():
    assert [InverseWishart.bovy(0.5).rows(d) for d in (1, 2, 7)] == [1, 1, 1]
    assert InverseWishart(0.5, degrees_of_freedom=-2).rows(2) == 1


@pytest.mark.parametrize("prior", PRIORS, ids=["flat", "bovy", "diagonal", "matrix"])
def test_a_prior_survives_being_written_as_json(prior):
    again = Prior.from_description(json.loads(json.dumps(prior.describe())))
    assert again == prior
    assert hash(again) == hash(prior)
    population = Population(random_mixture(np.random.default_rng(3), 3, 2))
    assert again.log_density(population) == prior.log_density(population)


@pytest.mark.parametrize(
    "scale",
    [-1.0, [1.0, -1.0], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]], [[1.0, 0.5]], np.nan, "wide", []],
    ids=str,
)
def test_a_scale_that_is_no_covariance_is_refused(scale):
    with pytest.raises(InvalidSetting, match="scale"):
        InverseWishart(scale, pseudo_rows=1)


@pytest.mark.parametrize(
    ("strength", "named"),
    [
        ({}, "exactly one"),
        ({"degrees_of_freedom": 3, "pseudo_rows": 1}, "exactly one"),
        ({"pseudo_rows": -0.5}, "pseudo_rows"),
        ({"degrees_of_freedom": [1, 2]}, "degrees_of_freedom"),
        ({"degrees_of_freedom": np.inf}, "degrees_of_freedom"),
    ],
    ids=str,
)
def test_a_strength_that_is_not_one_number_is_refused(strength, named):
    with pytest.raises(InvalidSetting, match=named):
        InverseWishart(1.0, **strength)


@pytest.mark.parametrize("concentration", [0.5, [2, np.nan], [[2.0]], "many"], ids=str)
def test_a_concentration_below_1_is_refused(concentration):
    with pytest.raises(InvalidSetting, match="concentration"):
        Dirichlet(concentration)


@pytest.mark.parametrize(
    ("prior", "named"),
    [
        (Prior(InverseWishart([1.0, 1.0], pseudo_rows=1)), r"scale .* \(3,\)"),
        (Prior(InverseWishart(1.0, -4.5)), "degrees_of_freedom is -4.5; expected at least -4"),
        (Prior(amplitudes=Dirichlet([1.0, 1.0])), r"concentration .* \(4,\)"),
    ],
    ids=["scale", "degrees_of_freedom", "concentration"],
)
def test_a_prior_of_another_shape_is_refused(prior, named):
    with pytest.raises(InvalidSetting, match=named):
        prior.require_shape(4, 3)


def test_a_prior_of_other_parts_is_refused():
    with pytest.raises(InvalidSetting, match="covariances"):
        Prior(0.5)
    with pytest.raises(InvalidSetting, match="amplitudes"):
        Prior(amplitudes=InverseWishart.bovy(1))
    with pytest.raises(InvalidSetting, match="means"):
        Prior.from_description({"means": {}})
    with pytest.raises(InvalidSetting, match="alpha"):
        Prior.from_description({"amplitudes": {"alpha": 2}})
