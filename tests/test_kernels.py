"""Straight-line kernels against the generic ones, and bounds against what they bound."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dgmmis.kernels
from dgmmis import expectation
from dgmmis.block_bounds import BlockBounds
from dgmmis.chunk import ArrayChunks
from dgmmis.component_views import ComponentViews
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.kernels import LARGEST, straight_kernels
from dgmmis.kernels.elementary import exponential, logarithm
from dgmmis.kernels.generator import file_name, source
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.population import Population
from dgmmis.samples import Samples
from strategies import KINDS, Scene, random_covariances, random_scene
from within_bounds import assert_agree, assert_same_bits, summarize


@pytest.mark.parametrize("d", range(1, LARGEST + 1))
def test_the_committed_kernels_are_what_the_generator_writes(d):
    assert (Path(dgmmis.kernels.__file__).parent / file_name(d)).read_text() == source(d)


def test_the_exponential_is_good_to_two_units_in_the_last_place():
    for reach in (1e-9, 1.0, 30.0, 700.0):
        x = -np.random.default_rng(0).uniform(0, reach, 2000)
        ours = np.array([exponential(one) for one in x])
        assert np.abs(ours / np.exp(x) - 1).max() <= 2 * np.finfo(float).eps


def test_the_exponential_ends_at_zero_and_passes_nan_on():
    assert exponential(-1e3) == exponential(-math.inf) == 0.0
    assert exponential(0.0) == 1.0
    assert math.isnan(exponential(math.nan))


def test_the_logarithm_is_good_to_two_units_in_the_last_place():
    for reach in (1e-9, 1e-3, 1.0, 700.0):
        x = np.exp(np.random.default_rng(0).uniform(-reach, reach, 2000))
        ours = np.array([logarithm(one) for one in x])
        exact = np.log(x)
        assert (np.abs(ours - exact) <= 2 * np.finfo(float).eps * np.abs(exact)).all()


def generic(population: Population, samples: Samples, monkeypatch: pytest.MonkeyPatch):
    """Statistics by the kernels that work for any number of features."""
    with monkeypatch.context() as patched:
        patched.setattr(expectation, "LARGEST", 0)
        return summarize_samples(population, samples)


@pytest.mark.parametrize("kind", ["none", "diagonal", "full"])
@pytest.mark.parametrize(
    "d", [1, 2, 3, *(pytest.param(d, marks=pytest.mark.thorough) for d in (4, 5, 6, 7, 8))]
)
def test_straight_lines_equal_loops_over_features(d, kind, monkeypatch):
    for seed, n_rows in enumerate((1, 65, 700)):
        scene = random_scene(seed, n=n_rows, d=d, k=3, kind=kind, missing=0.0, weighted=True)
        population, samples = Population(scene.mixture), scene.samples
        loops = generic(population, samples, monkeypatch)
        assert_agree(scene, summarize_samples(population, samples), loops)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(KINDS),
    st.lists(st.floats(-6, 6), min_size=3, max_size=3),
    st.floats(-1e6, 1e6),
)
def test_units_and_origins_do_not_matter(seed, kind, powers, offset):
    """Features in units from 1e-6 to 1e6, their origin up to 1e6 sigma away."""
    scene = random_scene(seed, n=150, d=3, k=2, kind=kind)
    scale = 10.0 ** np.array(powers)
    shifted = scene.values + offset
    moved = Scene(
        Mixture(
            scene.mixture.amplitudes,
            (scene.mixture.means + offset) * scale,
            scene.mixture.covariances * np.outer(scale, scale),
        ),
        shifted * scale,
        _scaled(scene.noise, scale),
        scene.weights,
    )
    near, far = summarize(scene), summarize(moved)
    rounding = 1e-11 + 1e-15 * abs(offset) * 10
    size = near.zeroth.sum()
    log_unit = len(scene.values) * np.log(scale).sum()
    assert far.log_likelihood + log_unit == pytest.approx(near.log_likelihood, abs=rounding * size)
    np.testing.assert_allclose(far.zeroth, near.zeroth, atol=rounding * size)
    np.testing.assert_allclose(far.first * scale, near.first, atol=rounding * size * 10)


def _scaled(noise: Noise, scale: np.ndarray) -> Noise:
    if noise.kind == "none":
        return noise
    if noise.kind == "diagonal":
        return Noise.diagonal(noise.array * scale**2)
    if noise.kind == "shared":
        return Noise.shared(noise.array * np.outer(scale, scale))
    i, j = np.tril_indices(len(scale))
    return Noise.packed(noise.array * scale[i] * scale[j])


def lattice(rng, d, k, kind, n_rows=3000, missing=0.0) -> tuple[Population, Samples]:
    """Compact components on a jittered lattice: most do not matter to most rows."""
    side = math.ceil(k ** (1 / d))
    points = np.stack(np.meshgrid(*[np.arange(side)] * d), -1).reshape(-1, d)[:k]
    means = 10.0 * points + rng.uniform(-2, 2, size=(k, d))
    amplitudes = rng.dirichlet(np.full(k, 5.0))
    mixture = Mixture(amplitudes, means, random_covariances(rng, k, d, 0.5, 3.0))
    values = mixture.draw(n_rows, rng)
    noise = {
        "none": None,
        "shared": 0.3 * np.eye(d),
        "diagonal": rng.uniform(0.1, 1.0, size=values.shape),
        "full": random_covariances(rng, n_rows, d, 0.05, 1.0),
    }[kind]
    values[rng.random(values.shape) < missing] = np.nan
    weights = rng.uniform(0.5, 2.0, n_rows)
    return Population(mixture), ArrayChunks.from_arrays(values, noise, weights).samples[0]


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("negligible", [NEGLIGIBLE, 1e-6])
def test_what_is_left_out_is_within_the_reported_bound(kind, missing, negligible):
    for seed in range(3):
        population, samples = lattice(np.random.default_rng(seed), 3, 60, kind, missing=missing)
        every = summarize_samples(population, samples)
        pruned = summarize_samples(population, samples, negligible=negligible)
        assert every.pairs == every.rows * 60
        assert every.left_out == 0
        assert (
            pruned.pairs < (0.9 if missing == 0 else 1.0) * every.pairs
        )  # patterns of few rows have wide boxes
        assert 0 < pruned.left_out <= negligible * every.weight
        rounding = 1e-13 * abs(every.log_likelihood)
        assert 0 <= every.log_likelihood - pruned.log_likelihood + rounding <= pruned.left_out + 2 * rounding
        assert np.abs(every.zeroth - pruned.zeroth).max() <= pruned.left_out + 1e-13 * every.weight


def test_a_larger_share_leaves_more_out_and_says_so():
    population, samples = lattice(np.random.default_rng(1), 2, 100, "diagonal")
    several = [summarize_samples(population, samples, negligible=share) for share in (1e-15, 1e-9, 1e-4)]
    assert several[0].pairs > several[1].pairs > several[2].pairs
    assert several[0].left_out < several[1].left_out < several[2].left_out
    true = summarize_samples(population, samples).log_likelihood
    assert true - several[2].log_likelihood > 1e-4 * several[2].left_out  # something was left out indeed


def test_pruning_does_not_change_what_broad_components_tell():
    scene = random_scene(3, n=500, d=2, k=4, kind="diagonal")
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights)
    pruned = summarize_samples(Population(scene.mixture), chunks.samples[0], negligible=NEGLIGIBLE)
    assert_agree(scene, pruned, summarize(scene))


@pytest.mark.parametrize("kind", ["none", "diagonal", "full"])
@pytest.mark.parametrize("d", [1, 2, 3, pytest.param(5, marks=pytest.mark.thorough)])
def test_bounds_of_boxes_hold_every_density_in_them(d, kind):
    rng = np.random.default_rng(d)
    population, samples = lattice(rng, d, 12, kind, n_rows=700)
    (group,) = samples.groups
    terms = population.component_log_densities(samples)[group.rows]
    bounds, k = group.bounds, np.arange(12)
    kernels, views = straight_kernels(d), ComponentViews(population)
    if kind == "none":
        fixed = views.fixed(group, 0)
        parameters = fixed.constants, fixed.means, fixed.whiteners
    else:
        noisy = views.noisy(group)
        parameters = noisy.log_amplitudes, noisy.means, noisy.covariances
    bound = getattr(kernels, f"_bounds_{'fixed' if kind == 'none' else 'noisy'}")
    upper, lower, tile = np.empty(12), np.empty(12), np.empty(64 * (d + d * (d + 1) // 2 + 2))
    for level in range(len(bounds.starts) - 1):
        run = 64 << level
        for node in range(bounds.starts[level], bounds.starts[level + 1]):
            first = (node - bounds.starts[level]) * run
            box = bounds.low[node], bounds.high[node]
            noise = () if kind == "none" else (bounds.noise_low[node], bounds.noise_high[node])
            bound(k, 12, *box, *noise, *parameters, upper, lower, tile)
            inside = terms[first : first + run]
            rounding = 1e-12 * np.abs(inside).max()
            assert (inside.max(axis=0) <= upper + rounding).all()
            assert (inside.min(axis=0) >= lower - rounding).all()


def test_noise_lies_between_its_diagonal_bounds_in_the_order_of_loewner():
    rng = np.random.default_rng(0)
    scale = np.array([1e-3, 1.0, 1e3])
    noise = random_covariances(rng, 200, 3, 0.1, 1.0) * np.outer(scale, scale)
    i, j = np.tril_indices(3)
    bounds = BlockBounds.of(rng.normal(size=(200, 3)), noise[:, i, j])
    units = np.outer(scale, scale)
    for leaf in range(4):
        for S in noise[64 * leaf : 64 * leaf + 64]:
            assert np.linalg.eigvalsh((np.diag(bounds.noise_high[leaf]) - S) / units)[0] >= -1e-12
            assert np.linalg.eigvalsh((S - np.diag(bounds.noise_low[leaf])) / units)[0] >= -1e-12
    assert (bounds.noise_low > 0).any()


def test_nearly_singular_components_are_left_to_the_guarded_kernels(monkeypatch):
    """Straight lines do not look at pivots: a component without extent in one direction must not reach them."""
    monkeypatch.setattr(expectation, "straight_kernels", None)
    flat = np.array([[[1.0, 1.0], [1.0, 1.0]]])
    mixture = Mixture(np.ones(1), np.zeros((1, 2)), flat)
    samples = Samples.from_arrays(np.zeros((5, 2)), np.full((5, 2), 0.5))
    assert summarize_samples(Population(mixture), samples).log_likelihood == pytest.approx(
        5 * (-np.log(2 * np.pi) - 0.5 * np.log(1.5**2 - 1))
    )


def test_moments_are_summed_in_vector_registers():
    """Should compilers stop turning rows into vectors, passes would take several times as long."""
    kernels = straight_kernels(3)
    compiled = numba.njit(error_model="numpy", fastmath={"contract", "nsz"})(
        kernels._moments_diagonal.py_func
    )
    block, size = kernels.BLOCK, 6
    rows, ones = np.ones(8 * block), np.ones(block)
    sums = np.zeros(1), np.zeros((1, 3)), np.zeros((1, size))
    compiled(0, rows, ones, ones, np.zeros((1, 3)), np.ones((1, size)), *sums)
    (assembly,) = compiled.inspect_asm().values()
    if "ymm" not in assembly and "zmm" not in assembly:
        pytest.skip("this processor has no vector registers that are known here")
    assert len(re.findall(r"v(?:f?n?m\w+|add|sub|mul)pd\b.*[yz]mm", assembly)) > 50
    assert len(re.findall(r"vdivpd\b.*[yz]mm", assembly)) >= 3  # one for each pivot


def test_a_box_between_neighbouring_numbers_holds_both():
    """Its centre is one of them; half the difference would leave the other outside."""
    for origin in (1e3, 1e8, 1e16):
        step = np.spacing(origin)
        values = np.full((128, 1), origin)
        values[100:] += step
        mixture = Mixture(
            [0.9, 0.1],
            [[origin + step], [origin]],
            [[[(step / 20) ** 2]], [[(10 * step) ** 2]]],
        )
        samples = ArrayChunks.from_arrays(values).samples[0]
        every = summarize_samples(Population(mixture), samples)
        pruned = summarize_samples(Population(mixture), samples, negligible=NEGLIGIBLE)
        assert pruned.log_likelihood == pytest.approx(every.log_likelihood, rel=1e-14)


@pytest.mark.parametrize("variance", [5e-324, 5e-310, 1e-300])
def test_noise_too_small_to_be_squared_still_has_bounds(variance):
    rng = np.random.default_rng(0)
    mixture = Mixture([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), 400 * np.eye(2)])
    values = mixture.draw(4096, rng)
    noise = Noise.full(np.tile(variance * np.eye(2), (4096, 1, 1)))
    samples = ArrayChunks.from_arrays(values, noise).samples[0]
    every = summarize_samples(Population(mixture), samples)
    pruned = summarize_samples(Population(mixture), samples, negligible=NEGLIGIBLE)
    assert pruned.log_likelihood == pytest.approx(every.log_likelihood, rel=1e-13)


def test_units_whose_product_overflows_are_left_to_the_guarded_kernels(monkeypatch):
    """The determinant is in reach, but not on the way to it."""
    scale = np.array([1e-70, 1e-70, 1e-70, 1e70, 1e70])
    mixture = Mixture([1.0], np.zeros((1, 5)), np.diag(scale**2)[None])
    values = np.random.default_rng(0).normal(size=(300, 5)) * scale
    samples = Samples.from_arrays(values, np.full((300, 5), 0.01) * scale**2)
    straight = summarize_samples(Population(mixture), samples).log_likelihood
    assert straight == pytest.approx(
        generic(Population(mixture), samples, monkeypatch).log_likelihood, rel=1e-12
    )


def test_components_that_are_not_kept_between_chunks_give_the_same_bits(monkeypatch):
    scene = random_scene(4, n=300, d=3, k=4, kind="shared", missing=0.3)
    kept = summarize(scene)
    monkeypatch.setattr("dgmmis.component_views.MOST_KEPT", 0)
    assert_same_bits(summarize(scene), kept)
