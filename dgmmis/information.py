"""Fisher information from a random sample: what an error of the score means in standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.constraints import Constraints
from dgmmis.packed import Array, lower_indices
from dgmmis.population import Population
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics

__all__ = ["Information", "gradient", "information"]

FLAT = 1e-9
"""Directions with less than this share of the largest information carry none."""


@dataclass(frozen=True)
class Information:
    """Observed information about the free parameters, from the outer products of row scores.

    Parameters are, in this order: logits of the free amplitudes against the last of them; means in units of
    their component's dispersions; covariances in units of the dispersions' products.

    Attributes
    ----------
    matrix : (p, p)
    population : Population
        Where it was taken.
    constraints : Constraints
    """

    matrix: Array
    population: Population
    constraints: Constraints

    def in_standard_errors(self, score: Array) -> float:
        """Root-mean-square shift of the parameters, in their standard errors, that an extra score (p,) makes."""
        values, vectors = np.linalg.eigh(self.matrix)
        known = values > FLAT * values[-1]
        along = np.einsum("pq,p->q", vectors[:, known], score)
        return float(np.sqrt(np.sum(along**2 / values[known]) / known.sum()))

    def amplitude_errors(self) -> Array:
        """Standard errors of the amplitudes (K + J,), components first, from the inverse of the matrix."""
        population = self.population
        amplitudes = np.concatenate((population.amplitudes, population.background_amplitudes))
        free = _free_amplitudes(population, self.constraints)
        errors = np.zeros(len(amplitudes))
        moving = np.flatnonzero(free)[:-1]
        covariance = np.linalg.pinv(self.matrix, rcond=FLAT, hermitian=True)[: len(moving), : len(moving)]
        total = amplitudes[free].sum()
        for k in np.flatnonzero(free):
            slope = amplitudes[k] * ((moving == k) - amplitudes[moving] / total)
            errors[k] = np.sqrt(slope @ covariance @ slope)
        return errors


def information(
    population: Population,
    sample: Samples,
    weight: float,
    constraints: Constraints,
    imputed: Statistics | None = None,
) -> Information:
    """Information of rows of this total weight, estimated on a random sample of them.

    Parameters
    ----------
    population : Population
    sample : Samples
        As `prepare` returned them; their outer products are scaled to `weight`.
    weight : float
        Sum of the weights of all rows.
    constraints : Constraints
    imputed : Statistics, optional
        Of all unobserved rows: their score, the gradient of -ln Z, is shared among the rows alike.
    """
    shared = 0.0 if imputed is None else gradient(population, imputed, constraints) / weight
    matrix, total = np.zeros(()), 0.0
    for rows in row_scores(population, sample):
        scores = shared + _coordinates(
            population, constraints, rows.zeroth, rows.background, rows.first, rows.second
        )
        matrix = matrix + np.einsum("n,np,nq->pq", rows.weights, scores, scores)
        total += float(rows.weights.sum())
    return Information(np.asarray(matrix * (weight / total)), population, constraints)


def gradient(population: Population, statistics: Statistics, constraints: Constraints) -> Array:
    """Gradient (p,) of the log-likelihood in the coordinates of `Information`."""
    s = statistics
    return _coordinates(population, constraints, s.zeroth, s.background, s.first, s.second)


def _free_amplitudes(population: Population, constraints: Constraints) -> Array:
    fixed = [background.fixed for background in population.backgrounds]
    return ~np.concatenate((constraints.frozen.amplitudes, np.array(fixed, dtype=bool)))


def _coordinates(
    population: Population,
    constraints: Constraints,
    zeroth: Array,
    background: Array,
    first: Array,
    second: Array,
) -> Array:
    """Map (..., K), (..., J), (..., K, D), (..., K, P) to the free parameters' scores (..., p)."""
    scale = np.sqrt(np.diagonal(population.mixture.covariances, axis1=1, axis2=2))
    counts = np.concatenate((zeroth, background), axis=-1)
    amplitudes = np.concatenate((population.amplitudes, population.background_amplitudes))
    free = _free_amplitudes(population, constraints)
    held = counts[..., free].sum(axis=-1, keepdims=True)
    logits = counts[..., free] - held * (amplitudes[free] / amplitudes[free].sum())
    means = (first * scale)[..., ~constraints.frozen.means, :]
    parts = (logits[..., :-1], _flat(means, 2), _of_covariances(constraints, second, scale))
    return np.concatenate(parts, axis=-1)


def _of_covariances(constraints: Constraints, second: Array, scale: Array) -> Array:
    """Scores of the covariances' free numbers, by type."""
    rows, columns = lower_indices(scale.shape[1])
    scores = second * scale[:, rows] * scale[:, columns] * np.where(rows == columns, 0.5, 1.0)
    scores = scores[..., ~constraints.frozen.covariances, :]
    if constraints.covariance_type == "tied":
        return np.asarray(scores.sum(axis=-2))
    if constraints.covariance_type == "full":
        return _flat(scores, 2)
    diagonal = scores[..., rows == columns]
    return _flat(diagonal, 2) if constraints.covariance_type == "diagonal" else np.asarray(diagonal.sum(axis=-1))


def _flat(array: Array, n_axes: int) -> Array:
    return array.reshape(*array.shape[: array.ndim - n_axes], -1)
