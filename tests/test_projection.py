"""Rows that see the mixture through a projection, against the oracle, a trusted program and plain laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.densities import component_log_densities, log_densities
from dgmmis.expectation import summarize_samples
from dgmmis.maximization import maximize
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import unpack
from dgmmis.population import Population
from dgmmis.posterior import infer
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from projected_scenes import (
    ProjectedScene,
    assert_agree,
    projected_scene,
    projected_scenes,
    random_projections,
    summarize,
)
from references import load_reference
from strategies import KINDS, random_mixture, random_scene

EXACT = 1e-10


def log_density(scene: ProjectedScene) -> np.ndarray:
    return log_densities(component_log_densities(*scene.parameters, scene.samples))


def updated(population: Population, samples: Samples, times: int) -> Population:
    constraints = Constraints.none(population.n_components, population.n_features)
    for _ in range(times):
        population = maximize(population, summarize_samples(population, samples), constraints)
    return population


@pytest.mark.parametrize("updates", [1, 2, 10])
def test_updates_are_those_of_the_trusted_program(updates):
    case = load_reference("ed_projection")
    samples = Samples.from_arrays(case["X"], case["S"], projection=case["R"])
    start = Population(Mixture(case["amp0"], case["mean0"], case["covar0"]))
    population = updated(start, samples, updates)
    mixture = population.mixture
    assert mixture.amplitudes == pytest.approx(case[f"amp_n{updates}"], abs=EXACT, rel=0)
    assert mixture.means == pytest.approx(case[f"mean_n{updates}"], abs=EXACT, rel=0)
    assert mixture.covariances == pytest.approx(case[f"covar_n{updates}"], abs=EXACT, rel=0)
    told = summarize_samples(population, samples).mean_log_likelihood
    assert told == pytest.approx(float(case[f"llfinal_n{updates}"]), abs=EXACT, rel=0)


@given(projected_scenes())
def test_statistics_equal_the_oracles(scene):
    rows = (scene.values, scene.covariances, scene.weights)
    expected = oracle.score_statistics(*rows, scene.parameters, scene.row_projections)
    assert_agree(scene, summarize(scene), expected)


@pytest.mark.parametrize("shared", [False, True])
def test_an_update_is_the_oracles(shared):
    scene = projected_scene(3, n=80, d=2, n_features=3, shared=shared, missing=0.2)
    rows = (scene.values, scene.covariances, scene.weights)
    expected = oracle.update(*rows, scene.parameters, projection=scene.row_projections)
    told = updated(Population(scene.mixture), scene.samples, 1).mixture
    assert told.amplitudes == pytest.approx(expected.amplitudes, rel=1e-11)
    assert told.means == pytest.approx(expected.means, rel=1e-10)
    assert told.covariances == pytest.approx(expected.covariances, rel=1e-9)


@given(projected_scenes())
def test_log_densities_equal_the_oracles(scene):
    expected = [oracle.log_density(x, S, scene.parameters, R) for x, S, R in scene.oracle_rows]
    assert log_density(scene) == pytest.approx(np.array(expected), rel=1e-12, abs=1e-11)


@given(projected_scenes(shared=(True,)))
def test_a_shared_projection_is_that_projection_for_every_row(scene):
    repeated = dataclasses.replace(scene, projection=scene.row_projections)
    assert_agree(scene, summarize(repeated), summarize(scene))
    assert log_density(repeated) == pytest.approx(log_density(scene), rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_for_every_row_is_no_projection(kind):
    plain = random_scene(5, n=70, d=3, kind=kind, missing=0.3, weighted=True)
    eyes = np.broadcast_to(np.eye(3), (70, 3, 3))
    scene = ProjectedScene(plain.mixture, plain.values, plain.noise, plain.weights, eyes)
    assert_agree(scene, summarize(scene), summarize_samples(Population(plain.mixture), plain.samples))


def test_a_shared_identity_is_dropped():
    samples = Samples.from_arrays(np.zeros((4, 3)), projection=np.eye(3))
    assert not samples.is_projected


@given(projected_scenes(missing=(0.3,)))
def test_a_missing_feature_is_a_row_less_of_the_projection(scene):
    """Row by row, each alone, with no NaN left."""
    told = log_density(scene)
    for x, S, R, one in zip(scene.values, scene.covariances, scene.row_projections, told, strict=True):
        seen = ~np.isnan(x)
        if not seen.any():
            assert one == pytest.approx(0, abs=1e-14)
            continue
        samples = Samples.from_arrays(
            x[None, seen], Noise.shared(S[np.ix_(seen, seen)]), projection=R[seen][None]
        )
        alone = log_densities(component_log_densities(*scene.parameters, samples))[0]
        assert one == pytest.approx(alone, rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_an_invertible_projection_changes_variables(shared, d):
    """ln p(x) = ln p_t(R^-1 x) - ln |det R|: the determinant that counts is of R V R^T, not of V."""
    rng = np.random.default_rng(d)
    mixture, n = random_mixture(rng, 3, d), 30
    projection = random_projections(rng, 1 if shared else n, d, d)
    latent = mixture.draw(n, rng)
    values = np.einsum("nij,nj->ni", projection + np.zeros((n, 1, 1)), latent)
    scene = ProjectedScene(mixture, values, Noise.none(), np.ones(n), projection[0] if shared else projection)
    stretch = np.linalg.slogdet(projection)[1] + np.zeros(n)
    assert np.abs(stretch).min() > 1e-3
    assert log_density(scene) == pytest.approx(mixture.log_density(latent) - stretch, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("unit", [1e-60, 1e60])
def test_units_of_the_rows_only_shift_the_likelihood(shared, unit):
    """Three features: the determinants, 1e-360 and 1e360, must never be formed."""
    scene = projected_scene(8, n=20, d=3, n_features=4, kind="full", shared=shared)
    noise = Noise("full", scene.noise.array * unit**2)
    scaled = dataclasses.replace(
        scene, values=scene.values * unit, noise=noise, projection=scene.projection * unit
    )
    ours, theirs = summarize(scaled), summarize(scene)
    shift = theirs.weight * 3 * np.log(unit)
    assert ours.log_likelihood + shift == pytest.approx(theirs.log_likelihood, abs=1e-13 * abs(shift))
    assert_agree(scene, dataclasses.replace(ours, log_likelihood=theirs.log_likelihood), theirs)


@given(projected_scenes())
def test_the_posterior_is_the_oracles_mixture_of_conditionals(scene):
    told = infer(scene.mixture, scene.samples, 1)
    for i, (x, S, R) in enumerate(scene.oracle_rows):
        q = oracle.responsibilities(x, S, scene.parameters, R)
        parts = [
            oracle.condition(x, S, m, V, R)
            for m, V in zip(scene.mixture.means, scene.mixture.covariances, strict=True)
        ]
        mean = sum(share * b for share, (b, _) in zip(q, parts, strict=True))
        moments = [B + np.outer(b - mean, b - mean) for b, B in parts]
        covariance = sum(share * M for share, M in zip(q, moments, strict=True))
        assert told.responsibilities[i, 0] == pytest.approx(q.max(), rel=1e-10)
        assert told.means[i] == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert unpack(told.covariances[i]) == pytest.approx(covariance, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("shared", [False, True])
def test_density_and_posterior_are_those_of_a_sum_over_a_grid(shared):
    """Two latent features seen in one: the trapezium rule is exact to rounding for smooth, narrow integrands."""
    scene = projected_scene(11, n=4, d=1, n_features=2, kind="diagonal", shared=shared)
    axis, step = np.linspace(-20, 20, 641, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    prior = np.exp(scene.mixture.log_density(grid)) * step**2
    density, told = log_density(scene), infer(scene.mixture, scene.samples, 1)
    for i, (x, S, R) in enumerate(scene.oracle_rows):
        offset = x[0] - grid @ R[0]
        joint = prior * np.exp(-0.5 * offset**2 / S[0, 0]) / np.sqrt(2 * np.pi * S[0, 0])
        mean = joint @ grid / joint.sum()
        covariance = ((grid - mean) * joint[:, None]).T @ (grid - mean) / joint.sum()
        assert density[i] == pytest.approx(np.log(joint.sum()), abs=1e-9)
        assert told.means[i] == pytest.approx(mean, abs=1e-9)
        assert unpack(told.covariances[i]) == pytest.approx(covariance, abs=1e-9)


@given(projected_scenes(), st.data())
def test_statistics_of_chunks_add_up_to_those_of_the_whole(scene, data):
    cut = data.draw(st.integers(1, len(scene.values)))
    chunks = ArrayChunks.from_arrays(
        scene.values, scene.noise, scene.weights, projection=scene.projection, chunk_rows=cut
    )
    assert chunks.latent_features == scene.mixture.n_features
    population = Population(scene.mixture)
    parts = [summarize_samples(population, chunks.read_samples(c)) for c in range(chunks.n_chunks)]
    assert_agree(scene, sum(parts[1:], parts[0]), summarize(scene))
    pilot = chunks.read_pilot(len(scene.values)).samples()
    assert_agree(scene, summarize_samples(population, pilot), summarize(scene))


@pytest.mark.parametrize("shared", [False, True])
def test_points_drawn_from_the_population_itself_count_as_rows(shared):
    scene = projected_scene(2, n=70, shared=shared, missing=0.2)
    density = log_density(scene)
    groups = tuple(dataclasses.replace(group, proposal=density[group.rows]) for group in scene.samples.groups)
    points = dataclasses.replace(scene.samples, groups=groups)
    assert_agree(scene, summarize_samples(Population(scene.mixture), points), summarize(scene))


def test_a_projection_that_shows_nothing_leaves_only_the_noise():
    """R = 0: the rows are noise, whatever the component, and say nothing of it."""
    scene = dataclasses.replace(projected_scene(4, n=10), projection=np.zeros((10, 2, 3)))
    statistics: Statistics = summarize(scene)
    assert not statistics.first.any()
    assert not statistics.second.any()
    assert statistics.zeroth == pytest.approx(scene.weights.sum() * scene.mixture.amplitudes, rel=1e-13)
