"""How densities curve: with it the outer products of the scores become the Hessian, whatever the rows are like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import TYPES, Constraints
from dgmmis.coordinates import Chart
from dgmmis.density_curvature import density_curvature, hermite_moments
from dgmmis.expectation import summarize_samples
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.outer_products import outer_products
from dgmmis.population import Population
from dgmmis.samples import Samples
from strategies import KINDS, random_covariances, random_mixture, random_scene
from test_coordinates import FROZEN, scene_with


def curves_along(chart: Chart, samples: Samples, step: np.ndarray, length: float = 1e-3) -> float:
    """Minus the second difference of the log-likelihood along a straight line of the parameters."""
    origin, change = chart.origin, chart.tangent(length * step)
    amplitudes = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    levels = []
    for sign in (-1, 0, 1):
        moved, k = amplitudes + sign * change.amplitudes, origin.n_components
        mixture = origin.mixture
        there = origin.with_parameters(
            moved[:k],
            moved[k:],
            mixture.means + sign * change.means,
            mixture.covariances + sign * change.covariances,
        )
        levels.append(summarize_samples(there, samples).log_likelihood)
    return float(-(levels[0] - 2 * levels[1] + levels[2]) / length**2)


def assert_is_hessian(chart: Chart, samples: Samples, seed: int) -> None:
    products = outer_products(chart, samples).matrix.whole
    hessian = products - density_curvature(chart, hermite_moments(chart.origin, samples))
    rng = np.random.default_rng(seed)
    for _ in range(5):
        step = rng.normal(size=chart.n_parameters)
        scale = float(step @ products @ step)
        assert step @ hessian @ step == pytest.approx(curves_along(chart, samples, step), abs=1e-4 * scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_outer_products_less_the_curvature_of_densities_are_the_hessian(covariance_type, kind):
    population, samples, constraints = scene_with(covariance_type, kind=kind, seed=5)
    chart = Chart.at(population, summarize_samples(population, samples), constraints)
    assert_is_hessian(chart, samples, seed=1)


@pytest.mark.parametrize("own", [{"background": True}, {"frozen": FROZEN}, {"floor": 1.2}], ids=str)
def test_it_is_so_with_backgrounds_and_with_less_freedom(own):
    population, samples, constraints = scene_with("full", kind="full", seed=8, **own)
    chart = Chart.at(population, summarize_samples(population, samples), constraints)
    assert_is_hessian(chart, samples, seed=2)


@pytest.mark.parametrize("each", [False, True], ids=["one projection", "a projection for each row"])
def test_it_is_so_for_projected_rows(each):
    rng = np.random.default_rng(3)
    population = Population(random_mixture(rng, 2, 3))
    projection = rng.normal(size=(200, 2, 3) if each else (2, 3))
    noise = random_covariances(rng, 200, 2, 0.1, 0.5)
    samples = Samples.from_arrays(3 * rng.normal(size=(200, 2)), noise, projection=projection)
    chart = Chart.at(population, summarize_samples(population, samples), Constraints.none(2, 3))
    assert_is_hessian(chart, samples, seed=3)


@given(st.sampled_from(KINDS), st.integers(1, 4), st.integers(0, 10**6))
def test_moments_of_a_whole_are_the_sum_of_its_parts(kind, d, seed):
    scene = random_scene(seed, n=90, d=d, k=3, kind=kind, missing=0.2, weighted=True)
    population = Population(scene.mixture)
    whole = hermite_moments(population, scene.samples)
    noise = scene.noise.covariances(*scene.values.shape)
    parts = [
        hermite_moments(population, Samples.from_arrays(scene.values[some], noise[some], scene.weights[some]))
        for some in (slice(0, 31), slice(31, 90))
    ]
    together = parts[0] + parts[1]
    assert together.entries == pytest.approx(whole.entries, abs=1e-9 * (1 + np.abs(whole.entries).max()))


def test_moments_have_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(4)
    chunks = ArrayChunks.from_arrays(rng.normal(size=(3000, 2)), chunk_rows=400)
    population = Population(random_mixture(rng, 3, 2))
    one, three = (LocalPasses(chunks, threads=threads).curve(population) for threads in (1, 3))
    assert np.array_equal(one.entries, three.entries)


def test_rows_of_the_mixture_itself_have_next_to_no_curvature():
    """Its expectation is 0: what many rows leave is the scatter of their sum, and a wrong mixture leaves more."""
    truth = Mixture(np.array([0.6, 0.4]), np.array([[0.0, 0.0], [4.0, 0.0]]), np.stack([np.eye(2)] * 2))
    rng = np.random.default_rng(7)
    values = truth.means[rng.choice(2, 40_000, p=truth.amplitudes)] + rng.normal(size=(40_000, 2))
    samples = Samples.from_arrays(values)
    wrong = Mixture(truth.amplitudes, truth.means, 1.5 * truth.covariances)
    sizes = []
    for mixture in (truth, wrong):
        population = Population(mixture)
        chart = Chart.at(population, summarize_samples(population, samples), Constraints.none(2, 2))
        curvature = density_curvature(chart, hermite_moments(population, samples))
        sizes.append(np.linalg.norm(curvature, 2))
    assert sizes[0] < 0.1 < sizes[1]
