"""Climbing by steps: it never descends, honours every constraint, and stops where nothing is left to gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dgmmis import fit
from dgmmis.ascent import sample_rows
from dgmmis.background import Background
from dgmmis.constraints import TYPES
from dgmmis.mixture import Mixture
from dgmmis.positive_systems import factorize
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.secants import Secants
from strategies import KINDS, random_mixture, random_scene

SETTINGS = {
    "free": {},
    "frozen": {"frozen": {"amplitudes": [0], "means": [1], "covariances": [2]}},
    "floor": {"floor": [1.2, 0.6]},
    "prior": {"prior": Prior(InverseWishart([0.3, 0.5], pseudo_rows=3.0), Dirichlet(2.0))},
    "background": {
        "background": Background((np.full(2, -9.0), np.full(2, 9.0)), amplitude=0.1, amplitude_max=0.3)
    },
}


def climb(seed: int, kind: str, *, n=400, method="auto", tolerance=0.1, max_passes=400, **more):
    """A fit to random rows from a start that is far from where they were drawn."""
    scene = random_scene(seed, n=n, d=2, k=3, kind=kind, missing=0.2, weighted=True)
    start = random_mixture(np.random.default_rng(seed + 1), 3, 2)
    return fit(
        scene.values, n_components=3, noise=scene.noise, weights=scene.weights, initial=start,
        method=method, tolerance=tolerance, max_passes=max_passes, **{"floor": 0.2, **more},
    )  # fmt: skip


def objectives(result) -> np.ndarray:
    prior = 0.0 if np.isnan(result.objective) else result.objective - result.log_likelihood
    return np.array([scan.log_likelihood for scan in result.history]) + prior


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from(TYPES))
@example(20_000, "shared", "full")  # a component on the floor that is asked to grow by exp(587)
def test_the_log_likelihood_never_falls(seed, kind, covariance_type):
    result = climb(seed, kind, covariance_type=covariance_type)
    assert (np.diff(objectives(result)) >= -1e-9 * abs(result.log_likelihood)).all()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_it_ends_no_lower_than_expectation_maximization_from_where_it_ended(name, covariance_type):
    own = SETTINGS[name]
    scene = random_scene(11, n=1500, d=2, k=3, kind="diagonal", missing=0.2, spread=4.0)
    rows = {"n_components": 3, "noise": scene.noise, "covariance_type": covariance_type, "floor": 0.2, **own}
    result = fit(scene.values, initial=scene.mixture, **rows)
    assert result.converged, result.reason
    further = fit(scene.values, initial=result.population, method="em", tolerance=0, max_passes=300, **rows)
    assert further.objective - result.objective + 1e-6 >= 0
    assert (
        further.objective - result.objective < 0.5
    )  # five times the tolerance that was predicted to be left


@pytest.mark.parametrize("covariance_type", TYPES)
def test_what_is_frozen_keeps_its_bits_and_the_floor_holds(covariance_type):
    start = random_mixture(np.random.default_rng(4), 3, 2)
    if covariance_type != "full":
        start = Mixture(start.amplitudes, start.means, np.array([np.eye(2) * 2.0] * 3))
    scene = random_scene(3, n=400, d=2, k=3, kind="full")
    result = fit(
        scene.values, n_components=3, noise=scene.noise, initial=start, covariance_type=covariance_type,
        floor=0.8, frozen={"amplitudes": [0], "means": [1], "covariances": [2]}, max_passes=100,
    )  # fmt: skip
    assert result.mixture.amplitudes[0] == pytest.approx(start.amplitudes[0], rel=1e-12)
    assert np.array_equal(result.mixture.means[1], start.means[1])
    assert np.array_equal(result.mixture.covariances[2], start.covariances[2])
    assert np.linalg.eigvalsh(result.mixture.covariances[:2]).min() > 0.64 * (1 - 1e-9)


def test_it_needs_a_fraction_of_the_passes_of_expectation_maximization():
    scene = random_scene(5, n=3000, d=2, k=4, kind="diagonal", spread=1.5)
    own = {"n_components": 4, "noise": scene.noise, "initial": scene.mixture}
    slow = fit(scene.values, method="em", tolerance=0.01, max_passes=5000, **own)
    quick = fit(scene.values, tolerance=0.01, **own)
    assert quick.converged
    assert quick.log_likelihood > slow.log_likelihood - 0.1
    assert 4 * quick.n_passes < slow.n_passes


def test_its_prediction_is_what_is_really_left_to_gain():
    scene = random_scene(6, n=4000, d=2, k=3, kind="diagonal", spread=4.0)
    own = {"n_components": 3, "noise": scene.noise, "initial": scene.mixture}
    best = fit(scene.values, tolerance=1e-6, **own).log_likelihood
    history = fit(scene.values, tolerance=1e-3, **own).history
    near = [scan for scan in history if 1e-3 < best - scan.log_likelihood < 20][-4:]
    assert near
    for scan in near:
        assert 0.3 < scan.predicted_gain / (best - scan.log_likelihood) < 3


def test_fresh_points_in_every_pass_leave_it_to_expectation_maximization():
    values = np.random.default_rng(2).normal(size=(400, 1))
    kept = values[values[:, 0] > -0.5]
    result = fit(
        kept, n_components=1, selection=lambda x: (x[:, 0] > -0.5) * 1.0, oversampling=3.0, max_passes=15,
        tolerance=0, prior=None, initial=Mixture([1.0], [[0.2]], [[[1.0]]]),
    )  # fmt: skip
    assert all("step" not in event for scan in result.history for event in scan.events)
    assert result.n_passes == 16


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 1000))
def test_positive_systems_are_solved(p, m, seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(p, p + 2))
    matrix, right = root @ root.T + 0.1 * np.eye(p), rng.normal(size=(p, m))
    factor = factorize(np.tril(matrix))
    assert factor is not None
    assert matrix @ factor.backward(factor.forward(right)) == pytest.approx(right, abs=1e-7)


def test_a_matrix_that_is_not_positive_definite_has_no_factor():
    assert factorize(np.diag([1.0, -1.0])) is None
    assert factorize(np.diag([1.0, 1e-9])) is not None


@given(st.integers(2, 10), st.integers(0, 1000))
def test_the_corrected_information_explains_the_last_step(p, seed):
    rng = np.random.default_rng(seed)
    hessian = np.diag(rng.uniform(0.1, 5.0, p))
    secants = Secants.none(p)
    for _ in range(4):
        step = rng.normal(size=p)
        secants = secants.with_pair(step, hessian @ step)
    found = secants.solve(hessian @ step, lambda left: left.copy())
    assert found == pytest.approx(step, abs=1e-8)


def test_a_pair_along_which_the_objective_curves_upwards_is_not_kept():
    step = np.array([1.0, 2.0])
    assert len(Secants.none(2).with_pair(step, -step)) == 0
    assert len(Secants.none(2).with_pair(step, step)) == 1


def test_the_sample_grows_with_the_rows_and_the_parameters_within_what_is_affordable():
    assert sample_rows(1000, 20) == 1000
    assert sample_rows(10**6, 20) == 625_000  # cheap
    assert sample_rows(10**5, 300) == 30_000
    assert sample_rows(10**5, 40) == 10**5
    assert sample_rows(10**7, 80) == 200_000
    assert sample_rows(10**7, 2000) == 200_000
    assert sample_rows(10**9, 400) == 250_000


@pytest.mark.statistical
@pytest.mark.parametrize("block", range(10))
def test_expectation_maximization_never_descends_in_500_random_fits(block):
    for seed in range(50 * block, 50 * (block + 1)):
        result = climb(
            seed, KINDS[seed % 4], method="em", max_passes=60, covariance_type=TYPES[seed // 4 % 4]
        )
        assert (np.diff(objectives(result)) >= -1e-9 * abs(result.log_likelihood)).all(), seed
