"""The expectation step against the oracle, and the laws its statistics obey."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from dgmmis.chunk import ArrayChunks
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.local_pass import local_summarize
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import unpack
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.tree import Tree, sum_leaves
from strategies import BLOCK_EDGES, KINDS, Scene, random_scene, scenes
from within_bounds import assert_agree, assert_same_bits, magnitudes, summarize


@settings(max_examples=60)
@given(scenes())
def test_statistics_equal_the_oracles(scene):
    assert_agree(scene, summarize(scene), oracle.score_statistics(*scene.oracle_rows, scene.parameters))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_rows", BLOCK_EDGES)
def test_statistics_equal_the_oracles_at_the_edges_of_blocks(kind, n_rows):
    scene = random_scene(n_rows, n=n_rows, d=3, k=2, kind=kind, weighted=True)
    assert_agree(scene, summarize(scene), oracle.score_statistics(*scene.oracle_rows, scene.parameters))


@given(scenes())
def test_the_log_likelihood_is_the_weighted_sum_of_log_densities(scene):
    weights = scene.oracle_rows[2]
    seen = ~np.isnan(scene.values).all(axis=1)
    statistics = summarize(scene)
    density = scene.mixture.log_density(scene.values, scene.noise)
    assert statistics.log_likelihood == pytest.approx(weights @ density, rel=1e-12, abs=1e-12)
    assert statistics.weight == pytest.approx(weights[seen].sum(), rel=1e-14)
    assert statistics.rows == seen.sum()
    assert statistics.zeroth.sum() == pytest.approx(statistics.weight, rel=1e-12)


@given(scenes(), st.data())
def test_statistics_of_a_whole_are_the_sum_of_its_parts(scene, data):
    n_rows = len(scene.values)
    cut = data.draw(st.integers(1, n_rows))
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=cut)
    population = Population(scene.mixture)
    parts = [summarize_samples(population, chunks.read_samples(c)) for c in range(chunks.n_chunks)]
    assert chunks.n_chunks == -(-n_rows // cut)
    assert_agree(scene, sum(parts[1:], parts[0]), summarize(scene))


@settings(max_examples=10)
@given(scenes(rows=st.integers(100, 300)), st.data())
def test_any_split_of_chunks_in_any_order_gives_the_same_bits(scene, data):
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=13)
    cuts = sorted(data.draw(st.sets(st.integers(1, chunks.n_chunks))) | {0, chunks.n_chunks})
    population = Population(scene.mixture)
    tree: Tree[Statistics] = Tree()
    for start, stop in data.draw(st.permutations(list(pairwise(cuts)))):
        tree.add(
            sum_leaves(
                start,
                stop,
                lambda c: summarize_samples(population, chunks.read_samples(c), negligible=NEGLIGIBLE),
            )
        )
    assert_same_bits(tree.total(), local_summarize(chunks, threads=1)(population))


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(kind):
    scene = random_scene(1, n=1000, d=3, kind=kind, missing=0.2, weighted=True)
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=37)
    population = Population(scene.mixture)
    alone = local_summarize(chunks, threads=1)(population)
    for threads in (2, 3, 16):
        assert_same_bits(local_summarize(chunks, threads=threads)(population), alone)


@given(scenes(), st.randoms(use_true_random=False))
def test_permuting_rows_changes_no_statistic(scene, random):
    order = np.array(random.sample(range(len(scene.values)), len(scene.values)))
    weights = None if scene.weights is None else scene.weights[order]
    permuted = Scene(scene.mixture, scene.values[order], scene.noise.take(order), weights)
    assert_agree(scene, summarize(permuted), summarize(scene))


@given(scenes(), st.data())
def test_a_row_with_nothing_observed_changes_no_bit(scene, data):
    """Wherever it stands, whatever its weight and noise."""
    at = data.draw(st.integers(0, len(scene.values)))
    n_features = scene.values.shape[1]
    values = np.insert(scene.values, at, np.nan, axis=0)
    weights = None if scene.weights is None else np.insert(scene.weights, at, 7.0)
    noise = scene.noise
    if noise.kind == "diagonal":
        noise = Noise.diagonal(np.insert(noise.array, at, np.nan, axis=0))
    elif noise.kind == "full":
        whole = np.insert(
            noise.covariances(*scene.values.shape), at, np.full((n_features, n_features), np.nan), axis=0
        )
        noise = Noise.full(whole)
    longer = Scene(scene.mixture, values, noise, weights)
    assert_same_bits(summarize(longer), summarize(scene))
    density = scene.mixture.log_density(values, noise)
    assert density[at] == pytest.approx(0, abs=1e-15)
    assert np.array_equal(np.delete(density, at), scene.mixture.log_density(scene.values, scene.noise))


@given(scenes())
def test_a_weight_of_two_is_the_row_twice(scene):
    n_rows = len(scene.values)
    twice = np.repeat(np.arange(n_rows), 2)
    weights = np.ones(n_rows) if scene.weights is None else scene.weights
    doubled = Scene(scene.mixture, scene.values, scene.noise, 2 * weights)
    repeated = Scene(scene.mixture, scene.values[twice], scene.noise.take(twice), weights[twice])
    assert_agree(doubled, summarize(doubled), summarize(repeated))


@given(scenes(), st.data())
def test_a_weight_of_zero_is_no_row(scene, data):
    kept = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(scene.values), max_size=len(scene.values)))
    )
    kept[0] = True
    weights = scene.oracle_rows[2]
    zeroed = Scene(scene.mixture, scene.values, scene.noise, np.where(kept, weights, 0))
    fewer = Scene(scene.mixture, scene.values[kept], scene.noise.take(kept), weights[kept])
    assert_agree(fewer, summarize(zeroed), summarize(fewer))


@given(scenes(kinds=("shared",)))
def test_shared_noise_is_the_same_noise_repeated(scene):
    repeated = Noise.full(scene.noise.covariances(*scene.values.shape))
    assert_agree(scene, summarize(dataclasses.replace(scene, noise=repeated)), summarize(scene))


@given(scenes(kinds=("diagonal",)))
def test_diagonal_noise_is_full_noise_without_correlations(scene):
    full = Noise.full(scene.noise.covariances(*scene.values.shape))
    assert_agree(scene, summarize(dataclasses.replace(scene, noise=full)), summarize(scene))


@given(scenes(kinds=("none",)))
def test_no_noise_is_noise_of_variance_zero(scene):
    for zero in (
        Noise.diagonal(np.zeros(scene.values.shape)),
        Noise.shared(np.zeros((scene.values.shape[1],) * 2)),
    ):
        assert_agree(scene, summarize(dataclasses.replace(scene, noise=zero)), summarize(scene))


@given(scenes(kinds=KINDS, max_components=3))
def test_a_component_of_amplitude_zero_changes_nothing(scene):
    mixture = scene.mixture
    ghost = Mixture(
        np.append(mixture.amplitudes, 0),
        np.concatenate((mixture.means, mixture.means[:1] + 1)),
        np.concatenate((mixture.covariances, mixture.covariances[:1])),
    )
    with_ghost, without = summarize(dataclasses.replace(scene, mixture=ghost)), summarize(scene)
    assert with_ghost.zeroth[-1] == 0
    assert not with_ghost.first[-1].any()
    assert not with_ghost.second[-1].any()
    assert_agree(
        scene,
        dataclasses.replace(
            with_ghost,
            zeroth=with_ghost.zeroth[:-1],
            first=with_ghost.first[:-1],
            second=with_ghost.second[:-1],
        ),
        without,
    )


@given(scenes(rows=st.integers(20, 60), max_features=3, max_components=3), st.integers(0, 2**32 - 1))
def test_statistics_are_the_gradient_of_the_log_likelihood(scene, seed):
    """Along a random direction, against the oracle's log-likelihood a step ahead and a step back."""
    rng = np.random.default_rng(seed)
    mixture, step = scene.mixture, 1e-4
    dm = rng.normal(size=mixture.means.shape)
    dV = rng.normal(size=mixture.covariances.shape)
    dV = dV + dV.swapaxes(1, 2)

    def log_likelihood(t):
        moved = oracle.Parameters(
            mixture.amplitudes, mixture.means + t * dm, mixture.covariances + t * dV / 20
        )
        return oracle.score_statistics(*scene.oracle_rows, moved).log_likelihood

    statistics = summarize(scene)
    slope = (statistics.first * dm).sum() + (unpack(statistics.second) * dV).sum() / 40
    ahead, back = log_likelihood(step), log_likelihood(-step)
    size = sum(part.sum() for part in magnitudes(scene)) + 1
    assert slope == pytest.approx((ahead - back) / (2 * step), abs=1e-4 * size)
