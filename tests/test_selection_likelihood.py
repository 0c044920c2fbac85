"""The likelihood of selected rows, its gradient, and what their imputation promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest

import dgmmis
from dgmmis.background import Background
from dgmmis.imputation import Imputed, combine, impute_leaf, leaves
from dgmmis.imputation_points import draw_points
from dgmmis.iterate import Problem
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.noise_classes import NoiseClasses, coordinates, define_classes
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import pack, unpack
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.selection import Callback, as_selection
from dgmmis.survey import Surveyor
from quadrature import (
    Keeping,
    Law,
    Sums,
    log_likelihood,
    log_omega,
    ndtr,
    observed_sums,
    unobserved_sums,
)
from selected_scenes import climbed, first_passes, imputed_at, numbers_of, problem_of

SEEDS = range(6)
ROUNDING = 1e-9
"""Of the quadrature where the imputed part is exactly 0."""
AMPLITUDES = np.array([0.6, 0.4])
MEANS = np.array([[-0.6, 0.2], [1.3, -0.7]])
COVARIANCES = np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.5, -0.1], [-0.1, 0.9]]])
LOW, HIGH = np.array([-4.0, -3.0]), np.array([3.0, 4.0])


def smooth(t: np.ndarray) -> np.ndarray:
    return 0.05 + 0.9 / (1 + np.exp(-1.5 * t))


def stepped(x: np.ndarray) -> np.ndarray:
    """0.9 in the quadrant above -0.5, 0.3 elsewhere."""
    return np.where((x > -0.5).all(axis=1), 0.9, 0.3)


@dataclass(frozen=True)
class Scene:
    """Rows with weights, the population they are judged by, and the selection, each said twice."""

    values: np.ndarray
    noise: np.ndarray
    weights: np.ndarray
    law: Law
    keeping: Keeping
    population: Population
    selection: Callback
    given_noise: Noise

    def problem(self, **settings: object) -> Problem:
        return problem_of(
            self.values,
            self.population,
            self.selection,
            noise=self.given_noise,
            weights=self.weights,
            **settings,
        )


def scene_of(n_features: int, omega: str, kind: str, missing: bool, behind: bool) -> Scene:
    rng = np.random.default_rng([n_features, missing, behind, len(omega), len(kind)])
    n, d = 8, n_features
    noise, given = noise_of(kind, n, d, rng)
    values = rng.uniform(-1.5, 2.0, (n, d))
    if missing:
        values[::3, 1] = np.nan
    looks_at = [0] if missing else list(range(d))

    def function(x: np.ndarray) -> np.ndarray:
        return smooth(x @ np.array([1.0, 0.5])[: x.shape[1]]) if omega == "smooth" else stepped(x)

    jumps = [(-0.5,) if omega == "stepped" and j in looks_at else () for j in range(d)]
    keeping = Keeping(lambda x: function(x[:, looks_at]), jumps)
    means, covariances = MEANS[:, :d], COVARIANCES[:, :d, :d]
    amplitude = 0.25 if behind else 0.0
    law = Law((1 - amplitude) * AMPLITUDES, means, covariances, amplitude, LOW[:d], HIGH[:d])
    backgrounds = (Background((LOW[:d], HIGH[:d]), amplitude=amplitude),) if behind else ()
    population = Population(Mixture(AMPLITUDES, means, covariances), backgrounds)
    weights = rng.uniform(0.5, 2.0, n)
    return Scene(values, noise, weights, law, keeping, population, Callback(function, looks_at), given)


def noise_of(kind: str, n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, Noise]:
    """Noise covariances (n, d, d), and what is given to the package."""
    roots = rng.normal(size=(n, d, d)) * 0.4
    full = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(d)
    full = np.resize((full + full.swapaxes(1, 2))[:3] / 2, (n, d, d))
    if kind == "none":
        return np.zeros((n, d, d)), Noise.none()
    if kind == "shared":
        return np.repeat(full[:1], n, axis=0), Noise.shared(full[0])
    if kind == "diagonal":
        variances = np.resize([[0.1, 0.4], [1.0, 0.3]], (n, 2))[:, :d]
        return variances[:, :, None] * np.eye(d), Noise.diagonal(variances)
    return full, Noise.full(full)


NOISES = ("none", "shared", "diagonal", "full")
ONE_FEATURE = list(product([1], ["smooth", "stepped"], NOISES, [False], [False, True]))
TWO_FEATURES = list(product([2], ["smooth", "stepped"], NOISES, [False, True], [False, True]))


def named(case: tuple[int, str, str, bool, bool]) -> str:
    n_features, omega, kind, missing, behind = case
    return f"{n_features}d-{omega}-{kind}{'-missing' * missing}{'-background' * behind}"


def all_numbers(sums: Sums) -> np.ndarray:
    """As `numbers_of` orders them."""
    background = [sums.background] if sums.background else []
    second = pack(sums.second)
    return np.concatenate(
        (sums.zeroth, background, sums.first.ravel(), second.ravel(), [sums.log_likelihood])
    )


@pytest.mark.parametrize("case", ONE_FEATURE + TWO_FEATURES, ids=named)
def test_value_and_gradient_are_those_of_the_quadrature(case):
    """What involves no points to 1e-8; the imputed parts within 4 of their own standard errors, by 6 seeds."""
    scene = scene_of(*case)
    costly = case == (2, case[1], case[2], False, True) and case[2] in ("shared", "full")
    problem = scene.problem(points=128 if costly else 2048)
    seen = all_numbers(observed_sums(scene.law, scene.values, scene.noise, scene.weights))
    np.testing.assert_allclose(numbers_of(problem.summarize(scene.population)), seen, rtol=1e-8, atol=1e-8)
    expected = log_omega(scene.values, scene.weights, scene.keeping)
    assert problem.imputation.log_selection == pytest.approx(expected, rel=1e-12)

    sums, completeness = unobserved_sums(scene.law, scene.noise, scene.weights, scene.keeping)
    imputed = [imputed_at(problem, scene.population, seed=seed) for seed in SEEDS]
    replicates = np.array([[numbers_of(one) for one in each.replicates] for each in imputed])
    errors = replicates.std(axis=1, ddof=1) / np.sqrt(REPLICATES)
    mean = np.mean([numbers_of(each.statistics) for each in imputed], axis=0)
    assert_within(mean - all_numbers(sums), errors)
    found = np.array([each.completeness for each in imputed])
    assert_within(found.mean() - completeness, np.array([each.completeness_error for each in imputed]))
    stated = [each.log_likelihood_error for each in imputed]
    np.testing.assert_allclose(stated, errors[:, -1], rtol=1e-10)
    assert np.max(stated) < (0.1 if costly else 0.02) * abs(sums.log_likelihood)


def assert_within(offset: np.ndarray, errors: np.ndarray) -> None:
    """Within 4 standard errors of the mean over seeds."""
    own = np.sqrt((errors**2).mean(axis=0) / len(SEEDS))
    assert (np.abs(offset) <= 4 * own + ROUNDING).all(), np.abs(offset) / (own + ROUNDING)


@pytest.mark.parametrize(
    "case", [(1, "stepped", "diagonal", False, True), (2, "smooth", "shared", True, True)]
)
def test_the_quadratures_statistics_are_the_gradient_of_its_likelihood(case):
    scene = scene_of(*case)
    seen = observed_sums(scene.law, scene.values, scene.noise, scene.weights)
    unseen, _ = unobserved_sums(scene.law, scene.noise, scene.weights, scene.keeping)

    def slope(direction: Law, step: float = 1e-4) -> float:
        moved = [
            replace(
                scene.law,
                amplitudes=scene.law.amplitudes + side * direction.amplitudes,
                means=scene.law.means + side * direction.means,
                covariances=scene.law.covariances + side * direction.covariances,
                background=scene.law.background + side * direction.background,
            )
            for side in (step, -step)
        ]
        up, down = (
            log_likelihood(law, scene.values, scene.noise, scene.weights, scene.keeping) for law in moved
        )
        return (up - down) / (2 * step)

    rng = np.random.default_rng(7)
    still = Law(np.zeros(2), np.zeros_like(scene.law.means), np.zeros_like(scene.law.covariances))
    means = rng.normal(size=still.means.shape)
    expected = np.sum((seen.first + unseen.first) * means)
    assert slope(replace(still, means=means)) == pytest.approx(expected, rel=1e-6)
    roots = rng.normal(size=still.covariances.shape)
    roots = roots + roots.swapaxes(1, 2)
    expected = np.sum((seen.second + unseen.second) * roots) / 2
    assert slope(replace(still, covariances=roots)) == pytest.approx(expected, rel=1e-6)
    exchange = (seen.zeroth + unseen.zeroth) / scene.law.amplitudes
    background = (seen.background + unseen.background) / scene.law.background
    given = slope(replace(still, amplitudes=np.array([1.0, -1.0])))
    assert given == pytest.approx(exchange[0] - exchange[1], rel=1e-6)
    given = slope(replace(still, amplitudes=np.array([1.0, 0.0]), background=-1.0))
    assert given == pytest.approx(exchange[0] - background, rel=1e-6)


@pytest.mark.parametrize(
    "case",
    [
        (1, "stepped", "none", False, False),
        (1, "smooth", "diagonal", False, True),
        (2, "stepped", "full", False, False),
        (2, "stepped", "diagonal", True, True),
    ],
    ids=named,
)
def test_on_fixed_points_no_pass_lowers_the_objective(case):
    scene = scene_of(*case)
    start = replace(
        scene.population,
        mixture=Mixture(AMPLITUDES[::-1], 0.5 * MEANS[:, : case[0]], 2 * scene.law.covariances),
    )
    objectives = np.array(climbed(scene.problem(points=1024), start, 30))
    rounding = 1e-13 * scene.weights.sum() * 30
    assert (np.diff(objectives) >= -rounding).all()
    assert objectives[-1] - objectives[0] > 0.1


def ones(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


def a_half(x: np.ndarray) -> np.ndarray:
    return np.full(len(x), 0.5)


APART = Mixture(AMPLITUDES, 3 * MEANS, COVARIANCES)


def noisy_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    values = APART.draw(n, rng)
    variances = np.resize([[0.1, 0.4], [1.0, 0.3]], values.shape)
    return values + np.sqrt(variances) * rng.normal(size=values.shape), variances


def test_a_selection_that_keeps_everything_changes_no_bit():
    values, variances = noisy_rows(600)
    initial = Mixture(AMPLITUDES, 0.5 * MEANS, COVARIANCES)
    settings = {"n_components": 2, "initial": initial, "noise": variances, "tolerance": 0, "max_passes": 8}
    settings["prior"] = None
    plain = dgmmis.fit(values, **settings)
    kept = dgmmis.fit(values, selection=ones, **settings)
    for name in ("amplitudes", "means", "covariances"):
        assert np.array_equal(getattr(plain.mixture, name), getattr(kept.mixture, name))
    assert [scan.log_likelihood for scan in kept.history] == [scan.log_likelihood for scan in plain.history]
    assert (kept.completeness, kept.completeness_error, kept.log_likelihood_error) == (1, 0, 0)


def test_a_constant_selection_changes_nothing_but_the_completeness():
    """L + N ln(1/2) - N ln(1/2): where the optimum lies the unobserved rows pull at nothing."""
    n = 1_000
    values, variances = noisy_rows(n)
    settings = {"n_components": 2, "initial": APART, "noise": variances, "tolerance": 0.01, "prior": None}
    plain = dgmmis.fit(values, **settings)
    halved = dgmmis.fit(values, selection=a_half, **settings)
    assert plain.converged
    assert halved.converged
    assert halved.completion.score_error <= 0.1
    assert halved.completeness == pytest.approx(0.5, abs=4 * halved.completeness_error)
    noise_of_l = 4 * halved.log_likelihood_error + 0.02
    assert halved.log_likelihood == pytest.approx(plain.log_likelihood, abs=noise_of_l)
    errors = np.sqrt(np.diagonal(COVARIANCES, axis1=1, axis2=2) / (n * AMPLITUDES[:, None]))
    assert (np.abs(halved.mixture.means - plain.mixture.means) < 0.4 * errors).all()
    problem = problem_of(values, plain.population, a_half, noise=Noise.diagonal(variances))
    imputed = [imputed_at(problem, plain.population, seed=seed) for seed in SEEDS]
    pull = np.concatenate((n * plain.mixture.amplitudes, np.zeros(10), [n * np.log(2)]))
    replicates = np.array([[numbers_of(one) for one in each.replicates] for each in imputed])
    own = replicates.std(axis=1, ddof=1) / np.sqrt(REPLICATES)
    assert_within(np.mean([numbers_of(each.statistics) for each in imputed], axis=0) - pull, own)


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
