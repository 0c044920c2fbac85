"""The expectation step against the oracle, and the laws its statistics obey."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import oracle
from dgmmis.chunk import ArrayChunks
from dgmmis.errors import InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.local_pass import local_summarize
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import pack, unpack
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.tree import Tree, sum_leaves
from strategies import BLOCK_EDGES, KINDS, Scene, random_scene, scenes

AGREEMENT = 1e-12


def summarize(scene: Scene) -> Statistics:
    return summarize_samples(scene.mixture, scene.samples)


def magnitudes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of s q, s q |u| and s q (|u u^T| + |G|), whitened by each component's covariance."""
    A, h, H = np.zeros((3, scene.mixture.n_components))
    for x, S, s in oracle.informative(*scene.oracle_rows):
        q = oracle.responsibilities(x, S, scene.parameters)
        for k, (_, m, V) in enumerate(zip(*scene.parameters, strict=True)):
            u, G = oracle.score(x, S, m, V)
            root = np.linalg.cholesky(V)
            A[k] += s * q[k]
            h[k] += s * q[k] * np.linalg.norm(root.T @ u)
            H[k] += s * q[k] * (np.linalg.norm(root.T @ u) ** 2 + np.linalg.norm(root.T @ G @ root))
    return A, h, H


def whitened(scene: Scene, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    roots = np.linalg.cholesky(scene.mixture.covariances)
    upper = roots.swapaxes(1, 2)
    return np.einsum("kde,ke->kd", upper, first), upper @ second @ roots


def assert_agree(scene: Scene, left: Statistics, right: Statistics | oracle.Scores) -> None:
    """Statistics agree to 1e-12 of the sums of their terms' magnitudes."""
    A, h, H = magnitudes(scene)
    others = right.second if isinstance(right, oracle.Scores) else unpack(right.second)
    first, second = whitened(scene, left.first - right.first, unpack(left.second) - others)
    assert (np.abs(left.zeroth - right.zeroth) <= AGREEMENT * A).all()
    assert (np.linalg.norm(first, axis=1) <= AGREEMENT * h).all()
    assert (np.linalg.norm(second, axis=(1, 2)) <= AGREEMENT * H).all()
    assert left.log_likelihood == pytest.approx(right.log_likelihood, rel=AGREEMENT, abs=AGREEMENT)


def assert_same_bits(left: Statistics, right: Statistics) -> None:
    for field in dataclasses.fields(Statistics):
        assert np.array_equal(getattr(left, field.name), getattr(right, field.name)), field.name


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
def test_log_densities_and_responsibilities_equal_the_oracles(scene):
    rows = list(zip(scene.values, scene.oracle_rows[1], strict=True))
    density = scene.mixture.log_density(scene.values, scene.noise)
    shares = scene.mixture.responsibilities(scene.values, scene.noise)
    assert density == pytest.approx(
        np.array([oracle.log_density(x, S, scene.parameters) for x, S in rows]), rel=1e-12, abs=1e-12
    )
    assert shares == pytest.approx(
        np.array([oracle.responsibilities(x, S, scene.parameters) for x, S in rows]), abs=1e-12
    )
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-14)


@given(scenes(max_components=1))
def test_a_row_has_scipys_normal_density_in_its_observed_features(scene):
    density = scene.mixture.log_density(scene.values, scene.noise)
    mean, covariance = scene.mixture.means[0], scene.mixture.covariances[0]
    for x, S, told in zip(scene.values, scene.oracle_rows[1], density, strict=True):
        seen = ~np.isnan(x)
        expected = 0.0
        if seen.any():
            total = (covariance + S)[np.ix_(seen, seen)]
            expected = multivariate_normal.logpdf(x[seen], mean[seen], total)
        assert told == pytest.approx(expected, rel=1e-11, abs=1e-11)


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
    parts = [summarize_samples(scene.mixture, chunks.read_samples(c)) for c in range(chunks.n_chunks)]
    assert chunks.n_chunks == -(-n_rows // cut)
    assert_agree(scene, sum(parts[1:], parts[0]), summarize(scene))


@settings(max_examples=10)
@given(scenes(rows=st.integers(100, 300)), st.data())
def test_any_split_of_chunks_in_any_order_gives_the_same_bits(scene, data):
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=13)
    cuts = sorted(data.draw(st.sets(st.integers(1, chunks.n_chunks))) | {0, chunks.n_chunks})
    tree: Tree[Statistics] = Tree()
    for start, stop in data.draw(st.permutations(list(pairwise(cuts)))):
        tree.add(sum_leaves(start, stop, lambda c: summarize_samples(scene.mixture, chunks.read_samples(c))))
    assert_same_bits(tree.total(), local_summarize(chunks, threads=1)(scene.mixture))


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_threads_gives_the_same_bits(kind):
    scene = random_scene(1, n=1000, d=3, kind=kind, missing=0.2, weighted=True)
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=37)
    alone = local_summarize(chunks, threads=1)(scene.mixture)
    for threads in (2, 3, 16):
        assert_same_bits(local_summarize(chunks, threads=threads)(scene.mixture), alone)


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


@given(scenes(), st.data())
def test_missing_features_leave_the_marginal_mixture(scene, data):
    d = scene.values.shape[1]
    seen = np.array(sorted(data.draw(st.sets(st.integers(0, d - 1), min_size=1))))
    hidden = np.full(scene.values.shape, np.nan)
    hidden[:, seen] = scene.values[:, seen]
    block = np.ix_(seen, seen)
    marginal = Mixture(
        scene.mixture.amplitudes,
        scene.mixture.means[:, seen],
        np.stack([V[block] for V in scene.mixture.covariances]),
    )
    noise = Noise.full(scene.oracle_rows[1][:, seen][:, :, seen])
    assert scene.mixture.log_density(hidden, scene.noise) == pytest.approx(
        marginal.log_density(scene.values[:, seen], noise), rel=1e-12, abs=1e-12
    )


@given(scenes(kinds=("diagonal", "full"), missing=(0.3,)), st.floats(-5, 5))
def test_a_missing_feature_is_the_limit_of_large_noise(scene, anything):
    """Up to the density of the number that stands there, which no parameter changes."""
    large = 1e12
    missing = np.isnan(scene.values)
    covariances = scene.oracle_rows[1].copy()
    either = missing[:, :, None] | missing[:, None, :]
    covariances[either] = 0
    rows, features = np.nonzero(missing)
    covariances[rows, features, features] = large
    noisy = Scene(
        scene.mixture, np.where(missing, anything, scene.values), Noise.full(covariances), scene.weights
    )
    constant = -0.5 * np.log(2 * np.pi * large) * missing.sum(axis=1)
    assert noisy.mixture.log_density(noisy.values, noisy.noise) - constant == pytest.approx(
        scene.mixture.log_density(scene.values, scene.noise), abs=1e-8
    )
    limit, exact = summarize(noisy), summarize(scene)
    size = magnitudes(noisy)[2].sum() + 1
    assert limit.first == pytest.approx(exact.first, abs=1e-8 * size)
    assert limit.second == pytest.approx(exact.second, abs=1e-8 * size)


@given(scenes(missing=(0.0,)), st.sampled_from([1e-60, 1e-30, 1e30, 1e60]))
def test_units_only_rescale_the_statistics(scene, unit):
    """Determinants of 6 features at 1e-60 lie far below the smallest number: they must never be formed."""
    mixture = scene.mixture
    d = scene.values.shape[1]
    scaled = Scene(
        Mixture(mixture.amplitudes, mixture.means * unit, mixture.covariances * unit**2),
        scene.values * unit,
        Noise.none() if scene.noise.kind == "none" else Noise(scene.noise.kind, scene.noise.array * unit**2),
        scene.weights,
    )
    ours, theirs = summarize(scaled), summarize(scene)
    back = Statistics(
        ours.rows,
        ours.weight,
        ours.log_likelihood + theirs.weight * d * np.log(unit),
        ours.zeroth,
        ours.first * unit,
        ours.second * unit**2,
    )
    assert np.isfinite(ours.log_likelihood)
    size = theirs.weight * d * abs(np.log(unit)) + abs(theirs.log_likelihood)
    assert back.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-13 * size + 1e-13)
    assert_agree(scene, dataclasses.replace(back, log_likelihood=theirs.log_likelihood), theirs)


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
def test_components_of_very_different_sizes_keep_their_statistics(seed, kind):
    """Six features, dispersions of 1e-12, 1 and 1e12: the determinants span 288 decades."""
    scene = random_scene(seed, n=60, d=6, k=3, kind=kind)
    sizes = np.array([1e-12, 1, 1e12])
    mixture = scene.mixture
    mixture = Mixture(
        mixture.amplitudes, mixture.means * sizes[:, None], mixture.covariances * sizes[:, None, None] ** 2
    )
    values = scene.values * np.repeat(sizes, 20)[:, None]
    told = mixture.log_density(values, scene.noise)
    parameters = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
    expected = [
        oracle.log_density(x, S, parameters) for x, S in zip(values, scene.oracle_rows[1], strict=True)
    ]
    assert told == pytest.approx(np.array(expected), rel=1e-9)
    statistics = summarize_samples(mixture, Samples.from_arrays(values, scene.noise))
    assert statistics.log_likelihood == pytest.approx(np.sum(expected), rel=1e-9)


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


def test_a_far_row_has_a_finite_density_and_a_responsibility():
    """1e8 sigma away, its density is far below the smallest number, its logarithm is not."""
    mixture = Mixture([0.5, 0.5], [[0.0], [1.0]], [[[1.0]], [[1.0]]])
    assert mixture.log_density([[1e8]])[0] == pytest.approx(-0.5e16, rel=1e-7)
    assert mixture.responsibilities([[1e8]]).tolist() == [[0, 1]]


@pytest.mark.parametrize("noise", [None, Noise.diagonal([[1.0], [1.0], [1.0]])])
def test_a_row_beyond_any_density_is_named(noise):
    mixture = Mixture([1.0], [[0.0]], [[[1.0]]])
    samples = Samples.from_arrays([[0.0], [1e200], [np.nan]], noise)
    with pytest.raises(InvalidData, match="row 101 ") as caught:
        summarize_samples(mixture, samples, first_row=100)
    assert (caught.value.array, caught.value.row) == ("values", 101)


def test_a_singular_component_without_noise_is_refused_and_with_noise_is_not():
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0]] * 2, [np.eye(2), np.ones((2, 2))])
    values = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 0.5]])
    with pytest.raises(InvalidData, match="singular"):
        summarize_samples(mixture, Samples.from_arrays(values))
    noise = np.full((3, 2), 0.1)
    statistics = summarize_samples(mixture, Samples.from_arrays(values, noise))
    parameters = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
    expected = oracle.score_statistics(values, np.stack([np.diag(v) for v in noise]), np.ones(3), parameters)
    assert statistics.zeroth == pytest.approx(expected.zeroth, rel=1e-12)
    assert statistics.second == pytest.approx(pack(expected.second), rel=1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["diagonal", "full"]))
def test_features_with_hopeless_noise_leave_a_finite_density(seed, kind):
    """Errors of 1e10 stand for "not measured" in many catalogues; 20 of them make a determinant of 1e400."""
    scene = random_scene(seed, n=5, d=20, k=2)
    variances = np.full(scene.values.shape, 1e20)
    noise = Noise.diagonal(variances)
    if kind == "full":
        noise = Noise.full(noise.covariances(*variances.shape))
    told = scene.mixture.log_density(scene.values, noise)
    assert told == pytest.approx(-10 * np.log(2 * np.pi * 1e20), rel=1e-12)
