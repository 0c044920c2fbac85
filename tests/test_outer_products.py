"""Outer products of row scores: what they add up to, in which order, and on which rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

import oracle
from dgmmis import outer_products as module
from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.class_scores import ClassScores
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.expectation import summarize_samples
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.outer_product_kernels import add_outer_products, write_products
from dgmmis.outer_products import OuterProducts, Scorer, outer_products, places_of
from dgmmis.population import Population
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples
from dgmmis.selection import Box
from dgmmis.task import information_sample, look, set_up
from dgmmis.task_settings import build_selecting, build_task
from strategies import KINDS, Scene, random_scene, scenes


def chart_of(scene: Scene, constraints: Constraints | None = None) -> Chart:
    population = Population(scene.mixture)
    constraints = constraints or Constraints.none(population.n_components, population.n_features)
    return Chart.at(population, summarize_samples(population, scene.samples), constraints)


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_kernel_sums_what_matrix_products_do(n: int, p: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, weights = rng.normal(size=(n, p)), rng.uniform(0, 2, n)
    total = np.zeros((p, p))
    add_outer_products(scores, weights, 0, p, total)
    expected = np.tril((scores * weights[:, None]).T @ scores)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-13 * n)


def test_slabs_and_bands_of_rows_give_the_bits_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    scores, weights = rng.normal(size=(203, 37)), rng.uniform(0, 2, 203)
    whole, parts = np.zeros((37, 37)), np.zeros((37, 37))
    add_outer_products(scores, weights, 0, 37, whole)
    for rows in (slice(0, 65), slice(65, 134), slice(134, 203)):
        for start, stop in ((18, 37), (3, 18), (0, 3)):
            add_outer_products(scores[rows], weights[rows], start, stop, parts)
    np.testing.assert_array_equal(parts, whole)


@given(st.integers(1, 150), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_rows_are_multiplied_as_by_the_matrix_and_alone_as_among_others(
    n: int, a: int, q: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, matrix = rng.normal(size=(n, a)), rng.normal(size=(a, q))
    products, alone = np.full((n, q + 3), 7.0), np.zeros((1, q))
    write_products(rows, matrix, 2, products)
    np.testing.assert_allclose(products[:, 2:-1], rows @ matrix, rtol=0, atol=1e-13)
    assert (products[:, [0, 1, -1]] == 7).all()
    write_products(rows[-1:], matrix, 0, alone)
    np.testing.assert_array_equal(alone[0], products[-1, 2:-1])


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_a_row_have_the_same_bits_alone_and_among_others(kind: str) -> None:
    scene = random_scene(5, n=150, d=3, k=3, kind=kind)
    population, noise = Population(scene.mixture), scene.noise.covariances(150, 3)
    (among,) = row_scores(population, Samples.from_arrays(scene.values, noise))
    for row in (0, 77, 149):
        (alone,) = row_scores(population, Samples.from_arrays(scene.values[[row]], noise[[row]]))
        np.testing.assert_array_equal(alone.first[0], among.first[row])
        np.testing.assert_array_equal(alone.second[0], among.second[row])


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = random_scene(3, n=500, d=3, k=4, kind="full", missing=0.2, weighted=True)
    chart = chart_of(scene)
    alone = outer_products(chart, scene.samples)
    monkeypatch.setattr(module, "SHARED_BY_THREADS", 1)
    together = outer_products(chart, scene.samples, threads=3)
    np.testing.assert_array_equal(together.matrix.whole, alone.matrix.whole)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_rows_are_slopes_of_the_oracles_log_density(kind: str) -> None:
    scene = random_scene(11, n=30, d=2, k=2, kind=kind, missing=0.2, weighted=True, spread=1.0)
    chart = chart_of(scene)
    values, noise, weights = scene.oracle_rows
    seen = ~np.isnan(values).all(axis=1)
    step, slopes = 1e-3, []
    for j in range(chart.n_parameters):
        terms = []
        for sign in (1, -1):
            mixture = chart.place(sign * step * (np.arange(chart.n_parameters) == j)).population.mixture
            there = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
            terms.append(
                [oracle.log_density(x, S, there) for x, S in zip(values[seen], noise[seen], strict=True)]
            )
        slopes.append((np.array(terms[0]) - np.array(terms[1])) / (2 * step))
    scores = np.array(slopes).T
    expected = np.einsum("n,np,nq->pq", weights[seen], scores, scores)
    found = outer_products(chart, scene.samples)
    np.testing.assert_allclose(found.matrix.whole, expected, rtol=1e-5, atol=1e-6)
    assert found.rows == seen.sum()


@given(scenes(max_features=3))
def test_scores_of_rows_add_up_to_the_statistics(scene: Scene) -> None:
    population = Population(scene.mixture)
    expected = summarize_samples(population, scene.samples)
    parts = list(row_scores(population, scene.samples))
    for name in ("zeroth", "first", "second"):
        total = (
            sum(np.einsum("n,n...->...", part.weights, getattr(part, name)) for part in parts)
            if parts
            else 0.0
        )
        wanted = getattr(expected, name)
        np.testing.assert_allclose(total, wanted, rtol=1e-9, atol=1e-9 * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("shape", ["one", "each"])
def test_scores_of_projected_rows_add_up_to_the_statistics(shape: str) -> None:
    rng = np.random.default_rng(4)
    population = Population(random_scene(5, d=3, k=2).mixture)
    R = rng.normal(size=(2, 3) if shape == "one" else (80, 2, 3))
    from dgmmis.samples import Samples

    samples = Samples.from_arrays(rng.normal(size=(80, 2)), rng.uniform(0.1, 1, (80, 2)), projection=R)
    expected = summarize_samples(population, samples)
    parts = list(row_scores(population, samples))
    for name in ("zeroth", "first", "second"):
        total = sum(np.einsum("n,n...->...", part.weights, getattr(part, name)) for part in parts)
        np.testing.assert_allclose(total, getattr(expected, name), rtol=1e-9, atol=1e-9)


@given(scenes(), st.integers(1, 60))
def test_the_outer_products_of_a_whole_are_the_sum_of_its_parts(scene: Scene, chunk_rows: int) -> None:
    chart = chart_of(scene)
    scorer = Scorer(chart, squares=True)
    whole = scorer.score(scene.samples)
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, scene.weights, chunk_rows=chunk_rows)
    parts = LocalPasses(chunks, threads=1).score(scorer)
    agree(parts, whole)


def agree(one: OuterProducts, other: OuterProducts) -> None:
    assert one.rows == other.rows
    np.testing.assert_allclose(one.weight, other.weight, rtol=1e-12)
    for a, b in ((one.matrix, other.matrix), (one.squared, other.squared)):
        if a is not None and b is not None:
            scale = np.abs(b.whole).max(initial=1e-9)
            np.testing.assert_allclose(a.whole, b.whole, rtol=0, atol=1e-11 * scale)


def test_threads_over_chunks_change_no_bit() -> None:
    scene = random_scene(7, n=1000, d=2, k=3, kind="diagonal", missing=0.1)
    scorer = Scorer(chart_of(scene))
    chunks = ArrayChunks.from_arrays(scene.values, scene.noise, chunk_rows=90)
    one, three = (LocalPasses(chunks, threads=threads).score(scorer) for threads in (1, 3))
    np.testing.assert_array_equal(one.matrix.whole, three.matrix.whole)


def test_a_weight_counts_as_so_many_rows_and_its_square_in_the_variance() -> None:
    scene = random_scene(8, n=60, d=2, k=2, kind="diagonal")
    weights = np.random.default_rng(1).integers(0, 4, 60).astype(float)
    weighted = Scene(scene.mixture, scene.values, scene.noise, weights)
    repeated = np.repeat(np.arange(60), weights.astype(int))
    chart = chart_of(weighted)
    found = Scorer(chart, squares=True).score(weighted.samples)
    noise = scene.noise.covariances(60, 2)[repeated]
    again = Scorer(chart).score(Scene(scene.mixture, scene.values[repeated], noise, None).samples)
    agree(OuterProducts(again.rows, found.weight, found.score, found.matrix), again)
    squared = Scorer(chart).score(Scene(scene.mixture, scene.values, scene.noise, weights**2).samples)
    np.testing.assert_allclose(found.squared.whole, squared.matrix.whole, rtol=1e-12, atol=1e-14)


def test_the_blocks_of_very_many_parameters_are_blocks_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = random_scene(9, n=300, d=2, k=4, kind="diagonal")
    chart = chart_of(scene)
    whole = outer_products(chart, scene.samples).matrix.whole
    monkeypatch.setattr(module, "MOST_TOGETHER", 10)
    blocks = outer_products(chart, scene.samples).matrix
    assert len(blocks.places) == 5  # amplitudes, and four components
    np.testing.assert_array_equal(np.sort(np.concatenate(places_of(chart))), np.arange(chart.n_parameters))
    for place, block in zip(blocks.places, blocks.blocks, strict=True):
        np.testing.assert_array_equal(block, whole[np.ix_(place, place)])


def cut_rows(values: np.ndarray, noise: np.ndarray, population: Population, selection: object):
    """Chart, scorer and passes of rows that a selection kept, and what their scores must add up to."""
    chunks = ArrayChunks.from_arrays(values, noise, chunk_rows=500)
    selecting = build_selecting(
        selection, chunks.features, before_noise=False, noise_model=None, projection=None, oversampling=None, seed=0
    )  # fmt: skip
    task = build_task(
        population.n_components, population.n_features, frozen=None, covariance_type="full", floor=None, prior=None,
        background=population.backgrounds, selecting=selecting, seed=0, pruning=0.0,
    )  # fmt: skip
    passes, sample = LocalPasses(chunks, threads=1, cut=task.cut), information_sample(chunks, task)
    imputation = set_up(passes, sample, task, population, look(passes, sample, task)).imputation
    imputed = imputation.impute(population, imputation.first_reference(population))
    together = imputation.together(passes.summarize(population), imputed)
    chart = Chart.at(population, together, task.constraints)
    of_classes = ClassScores.of(chart, imputation.observation, imputed.sums, task.cut, imputation.classes)
    scorer = Scorer(chart, task.cut, of_classes)
    return chart, scorer, passes, chart.gradient(population, together)


def test_under_a_selection_each_row_has_the_chance_that_its_noise_gives() -> None:
    """One Gaussian cut at x > 0: ln Z is a normal integral, and so is its slope."""
    rng = np.random.default_rng(2)
    noise = np.where(rng.random(3000) < 0.5, 0.05, 2.0)
    values = rng.normal(0.5, 1.0, 3000) + np.sqrt(noise) * rng.normal(size=3000)
    kept = values > 0
    values, noise = values[kept, None], noise[kept, None]
    population = Population(Mixture([1.0], [[0.5]], [[[1.0]]]))
    chart, scorer, passes, total = cut_rows(values, noise, population, Box([0.0], [np.inf]))
    found = passes.score(scorer)

    def terms(x: np.ndarray) -> np.ndarray:
        there = chart.place(x).population.mixture
        sigma = np.sqrt(there.covariances[0, 0, 0] + noise[:, 0])
        z = (values[:, 0] - there.means[0, 0]) / sigma
        return norm.logpdf(z) - np.log(sigma) - norm.logcdf(there.means[0, 0] / sigma)

    scores = np.array([(terms(h) - terms(-h)) / 2e-2 for h in (np.array([1e-2, 0]), np.array([0, 1e-2]))])
    np.testing.assert_allclose(found.matrix.whole, scores @ scores.T, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found.score, total, rtol=1e-9, atol=1e-9)
    assert np.ptp(scorer.of_classes.scores, axis=0).max() > 1e-4  # the two kinds of rows do differ


def test_scores_of_rows_that_lack_what_the_selection_saw_add_up_to_the_gradient() -> None:
    rng = np.random.default_rng(6)
    mixture = random_scene(12, d=2, k=2, spread=1.0).mixture
    behind = Background(((-9.0, -9.0), (9.0, 9.0)), amplitude=0.1)
    noise = np.where(rng.random((1500, 1)) < 0.5, 0.1, 0.6) * np.ones((1, 2))
    values = mixture.draw(1500, rng) + np.sqrt(noise) * rng.normal(size=(1500, 2))
    kept = np.abs(values[:, 0]) < 2
    values, noise = values[kept], noise[kept]
    values[rng.random(len(values)) < 0.3, 0] = np.nan
    population = Population(mixture, (behind,))
    _, scorer, passes, total = cut_rows(values, noise, population, Box([-2.0, -np.inf], [2.0, np.inf]))
    found = passes.score(scorer)
    assert found.rows == len(values)
    np.testing.assert_allclose(found.score, total, rtol=1e-8, atol=1e-8)
    assert (np.linalg.eigvalsh(found.matrix.whole) > 0).all()
