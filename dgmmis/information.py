"""Fisher information from a random sample: what an error of the score means in standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dgmmis.block_matrix import FLAT
from dgmmis.constrained_covariances import ON_FLOOR, floor_eigenvalues
from dgmmis.constraints import Constraints
from dgmmis.freedom import free_amplitudes
from dgmmis.packed import Array, lower_indices, pack
from dgmmis.population import Population
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut

__all__ = ["Information", "gradient", "information", "prior_score"]

MOST_TOGETHER = 300
"""With more parameters than these, only the information within each component is kept: the square would cost
more than the passes, and the random sample could not fill it."""


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
        values, _ = self._spectrum
        return float(np.sqrt(2 * self.predicted_gain(score) / max(1, len(values))))

    def predicted_gain(self, score: Array) -> float:
        """Predict what a Newton step would add to the objective, its gradient being `score` (p,) [nats]."""
        values, vectors = self._spectrum
        along = np.einsum("pq,p->q", vectors, score)
        return float(0.5 * np.sum(along**2 / values))

    @cached_property
    def _spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of the directions that the rows tell anything of."""
        values, vectors = np.linalg.eigh(self.matrix)
        known = values > FLAT * values.max(initial=0.0)
        return values[known], vectors[:, known]

    def amplitude_errors(self) -> Array:
        """Return standard errors of the amplitudes (K + J,), components first."""
        population = self.population
        amplitudes = np.concatenate((population.amplitudes, population.background_amplitudes))
        free = free_amplitudes(population, self.constraints)
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
    cut: Cut | None = None,
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
    cut : Cut, optional
        The selection that the rows passed.
    """
    shared = 0.0 if imputed is None else gradient(population, imputed, constraints) / weight
    n_parameters = len(gradient(population, _no_score(population), constraints))
    matrix, total = np.zeros((n_parameters, n_parameters)), 0.0
    for rows in row_scores(population, sample, cut):
        scores = shared + _coordinates(
            population, constraints, rows.zeroth, rows.background, rows.first, rows.second
        )
        for block in _blocks(population, constraints, scores.shape[1]):
            within = scores[:, block]
            matrix[np.ix_(block, block)] += np.einsum("n,np,nq->pq", rows.weights, within, within)
        total += float(rows.weights.sum())
    return Information(matrix * (weight / total), population, constraints)


def gradient(population: Population, statistics: Statistics, constraints: Constraints) -> Array:
    """Gradient (p,) of the log-likelihood in the coordinates of `Information`."""
    s = statistics
    return _coordinates(population, constraints, s.zeroth, s.background, s.first, s.second)


def prior_score(population: Population, constraints: Constraints) -> Statistics:
    """Write the gradient of the log-prior as statistics: rows that would have it as their score.

    For the inverse Wishart, twice the gradient by V is V^-1 Psi V^-1 - (nu + D + 1) V^-1.
    """
    n_components, n_features = population.n_components, population.n_features
    score = _no_score(population)
    prior = constraints.prior
    if prior is None:
        return score
    if prior.amplitudes is not None:
        score.zeroth[:] = prior.amplitudes.rows(n_components)
    if prior.covariances is not None:
        judged = constraints.distinct_covariances  # one that is frozen may be singular
        inverse = np.linalg.inv(population.mixture.covariances[judged])
        pull = inverse @ prior.covariances.matrix(n_features) @ inverse
        score.second[judged] = pack(pull - prior.covariances.rows(n_features) * inverse)
    return score


def _free_covariances(population: Population, constraints: Constraints) -> NDArray[np.bool_]:
    """Components (K,) whose covariance may move: not frozen, and not on its floor."""
    free = ~constraints.frozen.covariances
    if constraints.floor is not None:
        lowest = floor_eigenvalues(population.mixture.covariances, constraints.floor)
        free &= lowest > 1 + ON_FLOOR
    return np.asarray(free)


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
    free = free_amplitudes(population, constraints)
    held = counts[..., free].sum(axis=-1, keepdims=True)
    logits = counts[..., free] - held * (amplitudes[free] / amplitudes[free].sum())
    means = (first * scale)[..., ~constraints.frozen.means, :]
    parts = (logits[..., :-1], _flat(means, 2), _of_covariances(population, constraints, second, scale))
    return np.concatenate(parts, axis=-1)


def _of_covariances(population: Population, constraints: Constraints, second: Array, scale: Array) -> Array:
    """Scores of the covariances' free numbers, by type."""
    rows, columns = lower_indices(scale.shape[1])
    scores = second * scale[:, rows] * scale[:, columns] * np.where(rows == columns, 0.5, 1.0)
    scores = scores[..., _free_covariances(population, constraints), :]
    if constraints.covariance_type == "tied":
        return np.asarray(scores.sum(axis=-2))
    if constraints.covariance_type == "full":
        return _flat(scores, 2)
    diagonal = scores[..., rows == columns]
    return (
        _flat(diagonal, 2) if constraints.covariance_type == "diagonal" else np.asarray(diagonal.sum(axis=-1))
    )


def _no_score(population: Population) -> Statistics:
    return Statistics.zero(population.n_components, population.n_features, len(population.backgrounds))


def _blocks(population: Population, constraints: Constraints, n_parameters: int) -> list[NDArray[np.intp]]:
    """Parameters whose information is kept together: all of them, or each component's own if they are many."""
    if n_parameters <= MOST_TOGETHER or constraints.covariance_type == "tied":
        return [np.arange(n_parameters)]
    n_logits = max(0, int(free_amplitudes(population, constraints).sum()) - 1)
    n_means = int((~constraints.frozen.means).sum()) * population.n_features
    free = np.flatnonzero(_free_covariances(population, constraints))
    per_covariance = (n_parameters - n_logits - n_means) // max(1, len(free))
    owner = np.concatenate(
        (
            np.flatnonzero(free_amplitudes(population, constraints))[:n_logits],
            np.repeat(np.flatnonzero(~constraints.frozen.means), population.n_features),
            np.repeat(free, per_covariance),
        )
    )
    return [np.flatnonzero(owner == k) for k in np.unique(owner)]


def _flat(array: Array, n_axes: int) -> Array:
    return array.reshape(*array.shape[: array.ndim - n_axes], -1)
