"""What the Hessian adds to a fit: it does not stop on a plateau or at a saddle, and is sure of what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis import fit
from dgmmis.ascent import Ascent
from dgmmis.chunk import ArrayChunks
from dgmmis.climbing import Pilot
from dgmmis.confined_step import Information
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.expectation import summarize_samples
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.observed_hessian import FARTHEST, FLAT, Hessian
from dgmmis.preparation import prepare_fit
from dgmmis.proposal import Standing
from dgmmis.samples import Samples
from dgmmis.seeding import seeded_mixture
from strategies import random_covariances
from test_coordinates import scene_with

LIMITS = Limits(0.1, 100)


def some_chart(seed: int) -> Chart:
    population, samples, constraints = scene_with("full", seed=seed)
    return Chart.at(population, summarize_samples(population, samples), constraints)


def some_hessian(seed: int, curvatures: np.ndarray | float) -> tuple[Chart, Hessian, np.ndarray]:
    """A Hessian whose curvatures are given, in a random frame; and the unit of the curvatures."""
    chart, rng = some_chart(seed), np.random.default_rng(seed)
    root = rng.normal(size=(chart.n_parameters, chart.n_parameters + 5))
    products = root @ root.T / chart.n_parameters
    unit = products + np.diag(1e-3 * chart.observed_information)
    lower = np.linalg.cholesky(unit)
    frame = np.linalg.qr(rng.normal(size=unit.shape))[0]
    matrix = lower @ (frame * curvatures) @ frame.T @ lower.T
    found = Hessian.of(chart, products, products - matrix)
    assert found is not None
    return chart, found, unit


def spread_curvatures(seed: int, lowest: float, highest: float) -> np.ndarray:
    return np.sort(np.random.default_rng(seed + 1).uniform(lowest, highest, some_chart(seed).n_parameters))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_curvatures_are_the_generalised_eigenvalues(seed):
    wanted = spread_curvatures(seed, -2, 2)
    _, hessian, unit = some_hessian(seed, wanted)
    assert hessian.curvatures == pytest.approx(wanted, abs=1e-8)
    assert hessian.directions.T @ unit @ hessian.directions == pytest.approx(np.eye(len(wanted)), abs=1e-8)
    assert hessian.duals == pytest.approx(unit @ hessian.directions, abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_near_a_maximum_a_step_is_newtons(seed):
    chart, hessian, _ = some_hessian(seed, spread_curvatures(seed, 0.1, 2))
    assert hessian.positive.whole == pytest.approx(hessian.matrix, abs=1e-8)
    gradient = 1e-3 * np.random.default_rng(seed).normal(size=chart.n_parameters)
    assert hessian.leading_away(gradient) == pytest.approx(gradient, abs=1e-15)
    step = np.linalg.solve(hessian.matrix, gradient)
    assert hessian.gain(gradient, step) == pytest.approx(gradient @ step / 2, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_a_saddle_without_a_slope_is_left_along_its_flattest_directions(seed):
    chart, hessian, unit = some_hessian(seed, spread_curvatures(seed, -1, 2))
    asked = hessian.leading_away(np.zeros(chart.n_parameters))
    step = Information.of(hessian.positive).divide(asked)
    along = hessian.directions.T @ unit @ step
    flat = hessian.curvatures < FLAT
    assert flat.any()
    assert (np.abs(along[flat]) > 0).all()
    assert (np.abs(along[flat]) <= FARTHEST * (1 + 1e-6)).all()
    assert along[~flat] == pytest.approx(0, abs=1e-6)
    assert hessian.gain(np.zeros(chart.n_parameters), step) > 0


def test_the_gain_of_a_step_is_that_of_its_best_length():
    chart, hessian, _ = some_hessian(3, 1.0)
    gradient = np.random.default_rng(0).normal(size=chart.n_parameters)
    best = np.linalg.solve(hessian.matrix, gradient)
    most = hessian.promised(gradient, best)
    assert hessian.gain(gradient, 7 * best) == pytest.approx(most)
    assert hessian.gain(gradient, 0.5 * best) == pytest.approx(hessian.promised(gradient, 0.5 * best))
    assert hessian.promised(gradient, 7 * best) < 0


def test_a_flat_direction_makes_less_certain():
    assert some_hessian(1, 1.0)[1].certainty == pytest.approx(1)
    curvatures = np.ones(some_chart(1).n_parameters)
    for least, certainty in ((0.4, 0.4), (-0.4, 0.4), (1e-3, 0.03)):
        assert some_hessian(1, np.append(least, curvatures[1:]))[1].certainty == pytest.approx(certainty)


def test_without_information_there_is_none():
    chart = some_chart(0)
    assert Hessian.of(chart, np.full((chart.n_parameters, chart.n_parameters), np.nan), np.eye(1)) is None


# --- what a fit makes of it


def test_it_is_that_of_all_rows_though_the_information_is_a_samples():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3000, 2)) + 1.5 * rng.integers(0, 2, size=(3000, 1))
    chunks, constraints = ArrayChunks.from_arrays(values, chunk_rows=500), Constraints.none(2, 2)
    population = fit(values, n_components=2, max_passes=6).population
    samples, few = Samples.from_arrays(values), Samples.from_arrays(values[:600])
    standing = Standing(population, summarize_samples(population, samples), None)

    def step(sample, all_rows):
        return Ascent(sample, 3000, constraints, all_rows=all_rows).propose(standing, None).step

    passes = LocalPasses(chunks)
    newton, scoring = step(samples, passes), step(few, None)
    unit = np.linalg.norm(newton)
    assert np.linalg.norm(step(few, passes) - newton) < 1e-4 * unit
    assert np.linalg.norm(scoring - newton) > 0.1 * unit


def crude(seed: int, n: int, k: int, d: int, spread: float, *, noisy: bool):
    """Rows of overlapping clusters, and a start from a tenth of them."""
    rng = np.random.default_rng(seed)
    amplitudes, means = rng.dirichlet(np.full(k, 5.0)), rng.normal(0, spread, (k, d))
    factors = np.linalg.cholesky(random_covariances(rng, k, d, 0.4, 2.0))
    which = rng.choice(k, n, p=amplitudes)
    values = means[which] + np.einsum("nij,nj->ni", factors[which], rng.normal(size=(n, d)))
    noise = random_covariances(rng, n, d, 0.2, 1.5) if noisy else None
    if noise is not None:
        values += np.einsum("nij,nj->ni", np.linalg.cholesky(noise), rng.normal(size=(n, d)))
    return {
        "values": values,
        "noise": noise,
        "n_components": k,
        "initial": seeded_mixture(values[: n // 10], k, rng),
    }


def left(problem, result) -> float:
    """What going on to the very end gains."""
    further = fit(**{**problem, "initial": result.population}, tolerance=1e-4, max_passes=500)
    return further.log_likelihood - result.log_likelihood


def ends(which):
    problems = [crude(seed, 4000, 6, 2, 2.0, noisy=noisy) for seed, noisy in which]
    results = [fit(**problem, max_passes=1000) for problem in problems]
    return [
        (result.converged, left(problem, result)) for problem, result in zip(problems, results, strict=True)
    ]


def test_fits_stop_where_nothing_is_left_and_without_the_hessian_they_do_not(monkeypatch):
    which = [(1, False), (4, True)]
    assert all(converged and gain < 0.1 for converged, gain in ends(which))
    monkeypatch.setattr(Pilot, "knowing_curvature", lambda self, task: self)
    assert all(converged and gain > 1 for converged, gain in ends(which))


@pytest.mark.statistical
def test_at_least_nine_in_ten_fits_from_crude_starts_stop_with_less_than_a_tenth_of_a_nat_left():
    found = ends([(seed, noisy) for seed in range(25) for noisy in (False, True)])
    assert all(converged for converged, _ in found)
    assert np.mean([gain < 0.1 for _, gain in found]) >= 0.9


def test_a_selection_leaves_it_out_and_so_does_a_sample_that_is_not_all_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 1))
    whole = prepare_fit(values, n_components=1, limits=LIMITS)
    cut = prepare_fit(
        values[values[:, 0] > 0], n_components=1, selection=lambda x: (x[:, 0] > 0) * 1.0, limits=LIMITS
    )
    for prepared, known in ((whole, True), (cut, False)):
        pilot = Pilot.of(prepared.chunks, prepared.task)
        assert (pilot.knowing_curvature(prepared.task).all_rows is not None) == known
        part = replace(pilot, n_rows=pilot.n_rows + 1)
        assert part.knowing_curvature(prepared.task).all_rows is None
