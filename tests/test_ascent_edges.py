"""Climbing at the edges: amplitudes that die, samples that say nothing, singular covariances that are frozen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from dgmmis import climbing, fit
from dgmmis.amplitude_chart import AmplitudeChart
from dgmmis.ascent import Ascent
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.expectation import summarize_samples
from dgmmis.fit_pass import Stride
from dgmmis.freedom import counts_of
from dgmmis.iterate import Limits, Problem, iterate
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.proposal import Memory, Standing
from dgmmis.runs.checkpoint import decode, encode
from dgmmis.secants import Secants
from strategies import random_scene


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def first_pass(scene):
    problem = Problem(lambda population: summarize_samples(population, scene.samples), Constraints.of(3, 2))
    return next(iterate(Population(scene.mixture), problem, Limits(0.1, 1)))


def test_a_checkpoint_keeps_updates_in_a_row_besides_a_memory():
    scan = first_pass(random_scene(1))
    secants = Secants(np.ones((1, 4)), np.full((1, 4), 2.0))
    memory = Memory(scan.population, counts_of(scan.statistics), np.zeros(4), secants)
    stride = decode(encode(replace(scan, stride=Stride(0.5, 1, 7, memory)), "x"), "name").scan.stride
    assert (stride.length, stride.rejected, stride.plain) == (0.5, 1, 7)
    assert np.array_equal(stride.memory.secants.changes, secants.changes)


def test_an_amplitude_next_to_nothing_does_not_take_all_the_others_have():
    origin, rows = np.array([0.15, 0.85, 8e-201]), np.array([44.0, 233.0, 9e-199])
    chart = AmplitudeChart(origin, rows, np.zeros(3), np.array([np.inf, np.inf, 0.3]))
    there, inside = chart.amplitudes(np.array([0.7, -0.3]))
    assert not inside
    assert there.sum() == pytest.approx(1)
    assert there[:2] == pytest.approx(origin[:2], rel=0.2)
    assert there[2] < 1e-190


def test_a_background_without_rows_is_not_free():
    statistics = first_pass(random_scene(1)).statistics
    starved = replace(statistics, background=np.array([1e-12 * statistics.weight / statistics.rows, 1.0]))
    assert (counts_of(starved)[3:] > 0).tolist() == [False, True]


def test_a_prior_of_amplitudes_that_are_all_frozen_informs_of_nothing():
    scan = first_pass(random_scene(1))
    constraints = replace(
        Constraints.of(3, 2, frozen={"amplitudes": [0, 1, 2]}), prior=Prior(amplitudes=Dirichlet(2.0))
    )
    assert not Chart.at(scan.population, scan.statistics, constraints).prior_information.any()


def test_a_frozen_covariance_may_be_singular_under_a_prior():
    scene = random_scene(2, kind="diagonal")
    covariances = scene.mixture.covariances.copy()
    covariances[0] = 0
    start = Mixture(scene.mixture.amplitudes, scene.mixture.means, covariances)
    result = fit(
        scene.values, n_components=3, noise=scene.noise, initial=start, frozen={"covariances": [0], "means": [0]},
        prior=Prior(InverseWishart([0.3, 0.5], pseudo_rows=3.0)), max_passes=40,
    )  # fmt: skip
    assert not result.mixture.covariances[0].any()
    assert np.isfinite(result.objective)


def test_a_sample_without_weight_leaves_the_information_of_complete_data(monkeypatch):
    monkeypatch.setattr(climbing, "TRIED_ROWS", 3)
    scene = random_scene(3, n=400)
    weights = np.zeros(400)
    weights[::10] = 1.0
    result = fit(scene.values, n_components=3, weights=weights, initial=scene.mixture, floor=0.2)
    assert (np.diff([scan.log_likelihood for scan in result.history]) >= -1e-9).all()


@pytest.mark.parametrize("degrees_of_freedom", [2.2, 3.0])
def test_heavy_tails_neither_slow_it_down_nor_make_it_stop_early(degrees_of_freedom):
    """There the outer products of scores far exceed the curvature: their steps are too short, their gains too small."""
    rng = np.random.default_rng(0)
    values = rng.standard_t(degrees_of_freedom, size=(4000, 1)) + rng.normal(scale=1.5, size=(4000, 1))
    own = {"n_components": 1, "noise": np.full((4000, 1), 2.25)}
    result = fit(values, initial=Mixture([1.0], [[0.0]], [[[1.0]]]), **own)
    further = fit(values, initial=result.mixture, method="em", tolerance=0, max_passes=50, **own)
    assert result.converged
    assert result.n_passes < 30
    assert further.log_likelihood - result.log_likelihood < 0.5


def test_a_singular_covariance_has_no_coordinates_and_proposes_no_step():
    scene = random_scene(1, kind="diagonal")
    covariances = scene.mixture.covariances.copy()
    covariances[0] = 0
    start = Population(Mixture(scene.mixture.amplitudes, scene.mixture.means, covariances))
    constraints = Constraints.of(3, 2, covariance_type="tied", frozen={"covariances": [2]})
    statistics = summarize_samples(start, scene.samples)
    ascent = Ascent(scene.samples, 200, constraints)
    assert ascent.propose(Standing(start, statistics, None), None) is None


def test_pairs_of_steps_are_not_followed_where_a_covariance_is_next_to_singular():
    scene = random_scene(1, kind="diagonal")
    constraints = Constraints.of(3, 2)

    def proposed(smallest):
        covariances = scene.mixture.covariances.copy()
        covariances[0] = [[1.0, 1.0 - smallest], [1.0 - smallest, 1.0]]
        mixture = scene.mixture
        population = Population(Mixture(mixture.amplitudes, mixture.means, covariances))
        statistics = summarize_samples(population, scene.samples)
        chart = Chart.at(population, statistics, constraints)
        memory = Memory(
            population, chart.counts, np.zeros(chart.n_parameters), Secants.none(chart.n_parameters)
        )
        return Ascent(scene.samples, 200, constraints).propose(Standing(population, statistics, None), memory)

    assert proposed(1e-2) is not None
    assert proposed(1e-8) is None
