"""Ways to start a fit: those of pyGMMis, of k-means, of a few short fits, and ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from drawing import Array
from scipy.cluster.vq import kmeans2
from start_scenes import StartScene

from dgmmis import Mixture
from dgmmis.constraints import Constraints
from dgmmis.errors import DgmmisError
from dgmmis.iterate import Limits, Problem, iterate
from dgmmis.population import Population
from dgmmis.pygmmis import GMM, initFromDataAtRandom, initFromDataMinMax
from dgmmis.starts import choose_start
from dgmmis.task import Task

__all__ = ["TRUTH", "WAYS", "climb"]

Way = Callable[[StartScene, int], Mixture]
TRUTH = "the truth"
FEW_ROWS, MORE_ROWS = 1000, 4000
SHORT_FITS, SHORT_PASSES = 5, 30


def climb(scene: StartScene, mixture: Mixture, updates: int) -> tuple[Mixture, float]:
    """Update a mixture by expectation maximization on all rows of a scene; it and its mean log-likelihood."""
    constraints = Constraints.none(mixture.n_components, mixture.n_features)
    problem = Problem(scene.passes().summarize, constraints)
    *_, last = iterate(Population(mixture), problem, Limits(0, updates))
    return last.mixture, last.statistics.mean_log_likelihood


def _truth(scene: StartScene, seed: int) -> Mixture:
    return scene.truth


def _pygmmis(init: Callable[..., None]) -> Way:
    def start(scene: StartScene, seed: int) -> Mixture:
        gmm = GMM(scene.truth.n_components, scene.truth.n_features)
        init(gmm, scene.values, rng=np.random.default_rng(seed))
        return Mixture(gmm.amp, gmm.mean, gmm.covar)

    return start


def _pygmmis_kmeans(scene: StartScene, seed: int) -> Mixture:
    """As pyGMMis 1.2.3 has it: scatter of a cluster divided by the number of all rows."""
    k = scene.truth.n_components
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster may be empty
        centers, labels = kmeans2(scene.values, k, minit="random", seed=np.random.default_rng(seed))
    n, d = scene.values.shape
    counts = np.bincount(labels, minlength=k)
    covariances = np.stack([_scatter(scene.values[labels == j] - centers[j]) / n for j in range(k)])
    return Mixture((counts + 1) / (n + k), centers, covariances + 1e-6 * np.eye(d))


def _clusters(rows: int | None, rounds: int) -> Way:
    """k-means++ on some rows and `rounds` of Lloyd's; the noise is not subtracted from the covariances."""

    def start(scene: StartScene, seed: int) -> Mixture:
        rng = np.random.default_rng(seed)
        values = scene.values[: rows or len(scene.values)]
        centers = _plus_plus(values, np.ones(len(values)), scene.truth.n_components, rng)
        return _of_clusters(values, centers, rounds)

    return start


def _parallel_clusters(scene: StartScene, seed: int) -> Mixture:
    """k-means|| (Bahmani et al. 2012): five rounds that each draw 2 K rows, then weighted k-means++ of these."""
    rng, values, k = np.random.default_rng(seed), scene.values, scene.truth.n_components
    candidates = values[[rng.integers(len(values))]]
    for _ in range(5):
        nearest = _distances(values, candidates).min(axis=1)
        drawn = rng.random(len(values)) < 2 * k * nearest / nearest.sum()
        candidates = np.concatenate((candidates, values[drawn]))
    weights = np.bincount(_distances(values, candidates).argmin(axis=1), minlength=len(candidates))
    return _of_clusters(values, _plus_plus(candidates, weights.astype(float), k, rng), 10)


def _short_fits(scene: StartScene, seed: int) -> Mixture:
    """Return the best of five fits of 30 passes on 1,000 rows."""
    few = scene.part(np.arange(FEW_ROWS))
    best, level = scene.truth, -np.inf
    for number in range(SHORT_FITS):
        rng = np.random.default_rng([seed, number])
        centers = _plus_plus(few.values, np.ones(FEW_ROWS), scene.truth.n_components, rng)
        try:
            mixture, reached = climb(few, _of_clusters(few.values, centers, 10), SHORT_PASSES)
        except DgmmisError:
            continue
        if reached > level:
            best, level = mixture, reached
    return best


def _ours(scene: StartScene, seed: int) -> Mixture:
    k, d = scene.truth.n_components, scene.truth.n_features
    rows = scene.chunks().rows
    return choose_start(rows, Task(k, Constraints.none(k, d), seed=seed), whole=True).population.mixture


WAYS: dict[str, Way] = {
    TRUTH: _truth,
    "pyGMMis, random": _pygmmis(initFromDataAtRandom),
    "pyGMMis, minmax": _pygmmis(initFromDataMinMax),
    "pyGMMis, k-means": _pygmmis_kmeans,
    "k-means++, 1 round": _clusters(None, 1),
    "k-means++, 10 rounds, 4,000 rows": _clusters(MORE_ROWS, 10),
    "parallel k-means, 5 draws": _parallel_clusters,
    "best of 5 short fits, 1,000 rows": _short_fits,
    "dgmmis": _ours,
}
"""Rows of the table, the reference first."""


def _of_clusters(values: Array, centers: Array, rounds: int) -> Mixture:
    """Covariances of the clusters, shrunk to that of all rows with D + 2 pseudo-counts."""
    for _ in range(rounds):
        labels = _distances(values, centers).argmin(axis=1)
        counts = np.bincount(labels, minlength=len(centers))
        sums = np.stack([np.bincount(labels, column, minlength=len(centers)) for column in values.T], axis=1)
        centers = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers)
    labels = _distances(values, centers).argmin(axis=1)
    counts = np.bincount(labels, minlength=len(centers))
    pseudo = values.shape[1] + 2
    scatters = np.stack([_scatter(values[labels == j] - centers[j]) for j in range(len(centers))])
    covariances = (scatters + pseudo * np.cov(values.T)) / (counts + pseudo)[:, None, None]
    return Mixture((counts + 1) / (counts + 1).sum(), centers, covariances)


def _plus_plus(values: Array, weights: Array, n_centers: int, rng: np.random.Generator) -> Array:
    centers = values[[rng.choice(len(values), p=weights / weights.sum())]]
    while len(centers) < n_centers:
        chance = weights * _distances(values, centers).min(axis=1)
        centers = np.concatenate((centers, values[[rng.choice(len(values), p=chance / chance.sum())]]))
    return centers


def _distances(values: Array, centers: Array) -> Array:
    return ((values[:, None] - centers) ** 2).sum(axis=2)


def _scatter(offsets: Array) -> Array:
    return offsets.T @ offsets
