"""What is expected of the rows that were not observed, in the statistics of split and merge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dgmmis.densities import component_log_densities, log_densities
from dgmmis.imputation_points import Points, draw_points
from dgmmis.misfit import Examiner, Misfit
from dgmmis.observation import Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.samples import PatternGroup, Samples

__all__ = ["imputed_misfit"]

LEAST_CHANCE = 0.01
"""Least chance of being observed that a class of noise counts with: these sums only rank."""


def imputed_misfit(examiner: Examiner, observation: Observation, reference: Reference) -> Misfit:
    """Sum over the points of one replicate, each class weighing s_b / Z_b as in an imputation.

    A ranking needs no more than an eighth of the points, so they are drawn here, whoever drew them for the passes.

    Parameters
    ----------
    examiner : Examiner
    observation : Observation
    reference : Reference
        Around which the points are drawn; it covers the examiner's population.

    Raises
    ------
    SelectionError
        If the selection cannot be evaluated at a point.
    """
    population, n_classes = examiner.population, observation.classes.n_classes
    parts, missing = [], np.zeros(n_classes)
    for part in range(reference.n_parts(observation)):
        points = draw_points(observation, reference, 0, part)
        if len(points.values):
            classes = np.repeat(np.arange(n_classes), np.diff(points.offsets))
            samples = _samples(population, observation, points, observation.classes.noise[classes])
            weights = points.weights * np.exp(_log_density(population, samples) - points.proposal)
            missing += np.bincount(classes, weights, minlength=n_classes)
            parts.append((samples, weights, classes))
    factors = observation.classes.weights / np.maximum(1 - missing, LEAST_CHANCE)
    total = Misfit.zero(population.n_components, population.n_features)
    for samples, weights, classes in parts:
        total = total + examiner.examine(_weighing(samples, weights * factors[classes]))
    return total


def _samples(population: Population, observation: Observation, points: Points, noise: Array) -> Samples:
    """Points as rows that show the columns of the selection, or what the rows' projection makes of them."""
    n_rows, n_columns = points.values.shape
    R = observation.projection
    group = PatternGroup(
        observation.columns if R is None else np.arange(n_columns),
        np.arange(n_rows),
        points.values,
        noise if points.noise is None else points.noise,
        np.ones(n_rows),
        points.densities,
        projection=R,
    )
    return Samples(n_rows, n_columns, population.n_features, "full", (group,))


def _log_density(population: Population, samples: Samples) -> Array:
    mixture = population.mixture
    terms = component_log_densities(population.amplitudes, mixture.means, mixture.covariances, samples)
    (group,) = samples.groups
    return log_densities(np.concatenate((terms, population.weighted(group.densities)), axis=1))


def _weighing(samples: Samples, weights: Array) -> Samples:
    (group,) = samples.groups
    return replace(samples, groups=(replace(group, weights=weights),))
