"""Rows that a selection kept, drawn with their noise, and fits of them taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.imputation import Imputed
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.maximization import maximize
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import pack
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.selection import Callback
from dgmmis.task import information_sample, look, set_up
from dgmmis.task_settings import build_selecting, build_task
from quadrature import Keeping, Law, Sums

AMPLITUDES = np.array([0.6, 0.4])
MEANS = np.array([[-0.6, 0.2], [1.3, -0.7]])
COVARIANCES = np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.5, -0.1], [-0.1, 0.9]]])
LOW, HIGH = np.array([-4.0, -3.0]), np.array([3.0, 4.0])


def problem_of(
    values: np.ndarray,
    population: Population,
    selection: object,
    *,
    noise: object = None,
    weights: np.ndarray | None = None,
    chunk_rows: int = 1000,
    threads: int = 1,
    points: int | None = None,
    seed: int = 0,
    oversampling: float | None = None,
) -> Problem:
    """Set up a fit as `dgmmis.fit` does."""
    chunks = ArrayChunks.from_arrays(values, noise, weights, chunk_rows=chunk_rows)
    selecting = build_selecting(
        selection,
        chunks.features,
        before_noise=False,
        noise_model=None,
        projection=None,
        oversampling=oversampling,
        seed=seed,
    )
    task = build_task(
        population.n_components,
        population.n_features,
        frozen=None,
        covariance_type="full",
        floor=None,
        prior=None,
        background=population.backgrounds,
        selecting=selecting,
        seed=seed,
        pruning=0.0,
    )
    passes = LocalPasses(chunks, threads=threads, cut=task.cut)
    sample = information_sample(chunks, task)
    problem = set_up(passes, sample, task, population, look(passes, sample, task))
    if points is None or problem.imputation is None:
        return problem
    return replace(problem, imputation=replace(problem.imputation, points=points))


def imputed_at(problem: Problem, population: Population, *, seed: int | None = None) -> Imputed:
    """Impute by points drawn around the population itself, with another seed if one is given."""
    imputation = problem.imputation
    assert imputation is not None
    if seed is None:
        return imputation.impute(population, imputation.first_reference(population))
    observation = replace(imputation.observation, seed=seed)
    nothing = ArrayChunks.from_arrays(np.zeros((1, population.n_features)))
    impute = LocalPasses(nothing, threads=1).impute(observation)
    return impute(population, imputation.first_reference(population))


def climbed(problem: Problem, population: Population, n_updates: int) -> list[float]:
    """Objectives of passes whose points never change."""
    imputation = problem.imputation
    assert imputation is not None
    reference = imputation.first_reference(population)
    objectives = []
    for _ in range(n_updates):
        imputed = imputation.impute(population, reference)
        statistics = imputation.together(problem.summarize(population), imputed)
        objectives.append(statistics.log_likelihood)
        population = maximize(population, statistics, problem.constraints)
    return objectives


def first_passes(problem: Problem, population: Population, n_passes: int) -> list[Pass]:
    """As a fit makes them."""
    return list(islice(iterate(population, problem, Limits(0, n_passes)), n_passes + 1))


def numbers_of(statistics: Statistics) -> np.ndarray:
    """All statistics and the log-likelihood in one row."""
    s = statistics
    return np.concatenate((s.zeroth, s.background, s.first.ravel(), s.second.ravel(), [s.log_likelihood]))


def kept_rows(
    rng: np.random.Generator,
    mixture: Mixture,
    omega: Callable[[np.ndarray], np.ndarray],
    n_rows: int,
    *,
    background: Background | None = None,
    dispersions: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) that omega kept of `n_rows`, and the variances (N, D) of their noise.

    `dispersions` (n, D) are taken in turn.
    """
    values = mixture.draw(n_rows, rng)
    if background is not None:
        behind = rng.random(n_rows) < background.amplitude
        values[behind] = background.draw(int(behind.sum()), rng)
    errors = np.zeros_like(values) if dispersions is None else np.resize(dispersions, values.shape)
    values = values + errors * rng.normal(size=values.shape)
    kept = rng.random(n_rows) < omega(values)
    return values[kept], errors[kept] ** 2


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


def ones(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


APART = Mixture(AMPLITUDES, 3 * MEANS, COVARIANCES)


def noisy_rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    values = APART.draw(n, rng)
    variances = np.resize([[0.1, 0.4], [1.0, 0.3]], values.shape)
    return values + np.sqrt(variances) * rng.normal(size=values.shape), variances
