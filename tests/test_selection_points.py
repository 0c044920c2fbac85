"""Where imputed points lie, what they are asked, and the classes of noise that share them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.imputation import Imputed, combine, impute_leaf, leaves
from dgmmis.imputation_points import draw_points
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.noise_classes import NoiseClasses, coordinates, define_classes
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import pack, unpack
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.selection import Box, Callback, as_selection
from dgmmis.survey import Surveyor
from quadrature import (
    ndtr,
)
from selected_scenes import (
    AMPLITUDES,
    COVARIANCES,
    HIGH,
    LOW,
    MEANS,
    first_passes,
    noisy_rows,
    numbers_of,
    ones,
    problem_of,
    scene_of,
    stepped,
)


class Counted:
    """A selection that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.asked.append(len(x))
        return stepped(x)


def test_the_selection_is_asked_about_each_point_once_per_refresh():
    scene = scene_of(2, "stepped", "diagonal", False, True)
    selection = Counted()
    scene = replace(scene, selection=as_selection(selection))
    problem = scene.problem(points=512)
    reference = problem.imputation.first_reference(scene.population)
    selection.asked.clear()
    moved = replace(scene.population, mixture=Mixture(AMPLITUDES, MEANS + 0.05, COVARIANCES))
    for population in (scene.population, moved, scene.population):
        problem.imputation.impute(population, reference)
        assert sum(selection.asked) == reference.n_points(problem.imputation.observation)
    problem.imputation.impute(moved, reference.moved_to(moved))
    assert sum(selection.asked) == 2 * reference.n_points(problem.imputation.observation)


def test_passes_of_a_fit_ask_the_selection_only_where_the_points_are_drawn_anew():
    values, variances = noisy_rows(500)
    selection = Counted()
    start = Population(Mixture(AMPLITUDES, 0.2 * MEANS, 0.1 * COVARIANCES))
    problem = problem_of(values, start, selection, noise=Noise.diagonal(variances), points=1024)
    selection.asked.clear()
    passes = first_passes(problem, start, 25)
    refreshes = {one.completion.reference.refresh: one.completion.reference for one in passes}
    assert 1 < len(refreshes) < 10
    observation = problem.imputation.observation
    assert sum(selection.asked) == sum(one.n_points(observation) for one in refreshes.values())


def hidden_observation(seed: int = 0, n_classes: int = 2) -> Observation:
    """Of a selection that keeps (almost) nothing, so that no point is dropped."""
    scene = scene_of(2, "stepped", "diagonal", False, False)
    scene = replace(scene, selection=Callback(lambda x: np.full(len(x), 0.25)))
    observation = scene.problem(seed=seed).imputation.observation
    classes = observation.classes
    return replace(
        observation,
        classes=replace(classes, noise=classes.noise[:n_classes], weights=classes.weights[:n_classes]),
    )


def drawn(observation: Observation, reference: Reference, replicate: int = 0, part: int = 0) -> np.ndarray:
    """Points (B, sources, n, f)."""
    points = draw_points(observation, reference, replicate, part)
    n_sources = reference.population.n_components + len(reference.population.backgrounds)
    return points.values.reshape(observation.classes.n_classes, n_sources, -1, points.values.shape[1])


def test_points_depend_on_seed_component_class_replicate_and_refresh_and_on_nothing_else():
    mixture = Mixture(AMPLITUDES, MEANS, COVARIANCES)
    both = Reference(Population(mixture), 32)
    observation = hidden_observation()
    points = drawn(observation, both)
    assert np.array_equal(drawn(observation, both), points)
    first = Reference(Population(Mixture(np.ones(1), MEANS[:1], COVARIANCES[:1])), 32)
    assert np.array_equal(drawn(observation, first)[:, 0], points[:, 0])
    assert np.array_equal(drawn(hidden_observation(n_classes=1), both)[0], points[0])
    behind = Reference(Population(mixture, (Background((LOW, HIGH)),)), 32)
    assert np.array_equal(drawn(observation, behind)[:, :2], points)
    others = [
        drawn(hidden_observation(seed=1), both),
        drawn(observation, both, replicate=1),
        drawn(observation, replace(both, refresh=1)),
    ]
    twins = Reference(Population(Mixture(np.full(2, 0.5), MEANS[[0, 0]], COVARIANCES[[0, 0]])), 32)
    same_place = drawn(observation, twins)
    assert np.array_equal(same_place[:, 0], points[:, 0])
    others.append(same_place[:, [1, 1]])
    for other in others:
        assert not np.isclose(other[:, 0], points[:, 0]).any(axis=-1).any()


def test_points_in_parts_are_the_points_of_the_whole_and_their_sums_add(monkeypatch):
    scene = scene_of(2, "stepped", "diagonal", False, True)
    observation = scene.problem().imputation.observation
    reference = Reference(scene.population, 64)

    def sums() -> tuple[list[np.ndarray], Imputed]:
        points = [draw_points(observation, reference, *leaf) for leaf in leaves(observation, reference)]
        each = [impute_leaf(scene.population, observation, some) for some in points]
        rows = [np.column_stack((p.values, p.weights, p.proposal, p.densities)) for p in points]
        return rows, combine(scene.population, observation, each)

    whole_rows, whole = sums()
    monkeypatch.setattr("dgmmis.observation.POINTS_OF_PART", 100)
    part_rows, parted = sums()
    assert (len(whole_rows), len(part_rows)) == (REPLICATES, 4 * REPLICATES)
    for replicate, rows in enumerate(whole_rows):
        parts = np.concatenate(part_rows[4 * replicate : 4 * replicate + 4])
        assert np.array_equal(np.unique(parts, axis=0), np.unique(rows, axis=0))
    np.testing.assert_allclose(
        numbers_of(parted.statistics), numbers_of(whole.statistics), rtol=1e-11, atol=1e-11
    )
    assert parted.completeness == pytest.approx(whole.completeness, rel=1e-13)


def test_threads_change_no_bit_of_a_fit(monkeypatch):
    monkeypatch.setattr("dgmmis.observation.POINTS_OF_PART", 2_000)
    values, variances = noisy_rows(400)
    start = Population(Mixture(AMPLITUDES, 0.5 * MEANS, COVARIANCES))

    def after(threads: int) -> np.ndarray:
        problem = problem_of(
            values, start, stepped, noise=Noise.diagonal(variances), threads=threads, chunk_rows=70
        )
        last = first_passes(problem, start, 6)[-1]
        return np.concatenate((numbers_of(last.statistics), last.population.mixture.means.ravel()))

    assert np.array_equal(after(1), after(3))


def classes_of(noise: np.ndarray, scale: np.ndarray, most: int) -> NoiseClasses:
    """Classes of rows with packed noise (n, P) in features with variances `scale`, as a survey finds them."""
    d = len(scale)
    samples = Samples.from_arrays(np.ones((len(noise), d)), Noise.packed(noise))
    start = Population(Mixture(np.ones(1), np.zeros((1, d)), np.eye(d)[None]))
    cut = problem_of(np.ones((2, d)), start, ones).imputation.cut
    classes = RowClasses(define_classes(coordinates(noise, scale), most), scale, None)
    return Surveyor(cut, classes).survey(samples).classes()


def test_few_distinct_noises_are_classes_of_their_own():
    rng = np.random.default_rng(3)
    distinct = rng.lognormal(-1, 1.5, 64)
    chosen = np.concatenate((distinct, rng.choice(distinct, 500)))[:, None]
    classes = classes_of(chosen, np.ones(1), 64)
    order = np.argsort(classes.noise[:, 0])
    known, counts = np.unique(chosen, return_counts=True)
    np.testing.assert_allclose(classes.noise[order, 0], known, rtol=1e-14)
    assert np.array_equal(classes.weights[order], counts)


def test_binning_continuous_noise_costs_less_than_a_thousandth_and_less_with_more_classes():
    """Of sum ln Z for N(0, 1) kept above 1.5: Z = Phi(-1.5 / sqrt(1 + S)), with errors from .05 to 5."""
    rng = np.random.default_rng(4)
    variances = np.exp(rng.uniform(np.log(0.05), np.log(5.0), (4_000, 1))) ** 2

    def log_chance(noise: np.ndarray) -> np.ndarray:
        return np.log(ndtr(-1.5 / np.sqrt(1 + noise)))

    exact = log_chance(variances).sum()
    errors = []
    for most in (16, 32, 64, 128):
        classes = classes_of(variances, np.ones(1), most)
        assert classes.n_classes == most
        errors.append(abs(np.sum(classes.weights * log_chance(classes.noise[:, 0])) / exact - 1))
    assert errors[2] < 1e-3
    assert errors == sorted(errors, reverse=True)


def test_binning_correlated_noise_costs_less_than_a_thousandth_and_less_with_more_classes():
    """Of sum ln Z where x0 + x1 > 1.5, with errors from .05 to 1 and correlations up to a half."""
    n = 3_000
    rng = np.random.default_rng(6)
    errors = np.exp(rng.uniform(np.log(0.05), 0.0, (n, 2)))
    noise = pack(errors[:, :, None] * errors[:, None, :])
    noise[:, 1] *= rng.uniform(-0.5, 0.5, n)

    def log_chance(packed: np.ndarray) -> np.ndarray:
        return np.log(ndtr(-1.5 / np.sqrt((COVARIANCES[0] + unpack(packed)).sum(axis=(1, 2)))))

    exact = log_chance(noise).sum()
    offsets = []
    for most in (16, 32, 64, 128):
        classes = classes_of(noise, COVARIANCES[0].diagonal(), most)
        offsets.append(abs(np.sum(classes.weights * log_chance(classes.noise)) / exact - 1))
    assert offsets[2] < 1e-3
    assert offsets == sorted(offsets, reverse=True)


def test_points_are_summed_alike_by_straight_lines_and_by_loops_over_features(monkeypatch):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(4000, 2)) * [1.0, 2.0] + rng.normal(size=(4000, 2)) * 0.3
    kept = values[values[:, 0] > -0.5]
    settings = {
        "n_components": 2,
        "noise": 0.09 * np.eye(2),
        "selection": Box.of(x0=(-0.5, np.inf)),
        "background": Background((np.full(2, -8.0), np.full(2, 8.0)), 0.05),
        "initial": Mixture([0.5, 0.5], [[0.0, 0.0], [0.5, 1.0]], [np.eye(2), 3 * np.eye(2)]),
        "tolerance": 0,
        "max_passes": 4,
    }
    by_class = dgmmis.fit(kept, **settings)
    monkeypatch.setattr("dgmmis.imputation.MANY_POINTS", 10**9)
    at_once = dgmmis.fit(kept, **settings)
    assert by_class.completeness == pytest.approx(at_once.completeness, rel=1e-12)
    assert by_class.log_likelihood == pytest.approx(at_once.log_likelihood, rel=1e-13)
    np.testing.assert_allclose(by_class.mixture.means, at_once.mixture.means, rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_class.mixture.covariances, at_once.mixture.covariances, rtol=0, atol=1e-12)
