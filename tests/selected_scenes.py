"""Rows that a selection kept, drawn with their noise, and fits of them taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np

from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.imputation import Imputed
from dgmmis.iterate import Limits, Pass, Problem, iterate
from dgmmis.local_pass import LocalPasses
from dgmmis.maximization import maximize
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.task import information_sample, look, set_up
from dgmmis.task_settings import build_selecting, build_task


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
