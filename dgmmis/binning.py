"""What it costs that rows of nearly the same noise share one chance of being observed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dgmmis.imputation import impute_leaf
from dgmmis.imputation_points import draw_points
from dgmmis.noise_classes import NoiseClasses
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut, column_noise, is_certain

__all__ = ["binning_error", "log_chances"]

TRIED_ROWS = 64
BLOCK = 64
"""Points per component, row and replicate; the same random numbers serve both sides of the comparison."""


def binning_error(
    population: Population, observation: Observation, classes: RowClasses | None, sample: Samples, cut: Cut
) -> float:
    """Estimate the error of sum s ln Z from the binning of the rows' noise [total nats].

    Some rows of a random sample are given their own chance of being observed, and that of their class; the
    mean difference, and its standard error added to it, is scaled to all rows.

    Parameters
    ----------
    population : Population
    observation : Observation
    classes : RowClasses or None
    sample : Samples
    cut : Cut
    """
    if classes is None or observation.oversampling is not None:
        return 0.0
    own, shared = _pairs(observation, classes, sample, cut)
    if own.n_classes < 2:
        return 0.0
    difference = log_chances(population, replace(observation, classes=own)) - log_chances(
        population, replace(observation, classes=shared)
    )
    scatter = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return observation.weight * (abs(float(difference.mean())) + scatter)


def _pairs(
    observation: Observation, classes: RowClasses, sample: Samples, cut: Cut
) -> tuple[NoiseClasses, NoiseClasses]:
    """Put some rows into classes of their own, and into those that they share with others."""
    own, nearest, rows = [], [], []
    for group in sample.groups:
        if is_certain(group, cut):
            noise = column_noise(group, cut.columns)
            own.append(np.broadcast_to(noise, (len(group.rows), noise.shape[1])))
            nearest.append(classes.assign(sample, group, cut))
            rows.append(group.rows)
    if not own:
        nobody = NoiseClasses(np.empty((0, 1)), np.empty(0))
        return nobody, nobody
    which, tried = np.concatenate(nearest)[:TRIED_ROWS], np.concatenate(rows)[:TRIED_ROWS]
    held = observation.classes
    theirs = None if sample.covariates is None else sample.covariates[tried][:, None]
    common = None if held.covariates is None else held.covariates[which]
    one = np.ones(len(which))
    noise = np.concatenate(own)[:TRIED_ROWS] if classes.variances is not None else held.noise[which]
    return NoiseClasses(noise, one, theirs), NoiseClasses(held.noise[which], one, common)


def log_chances(population: Population, observation: Observation) -> Array:
    """ln Z (B,) of each class."""
    reference = Reference(population, BLOCK)
    parts = reference.n_parts(observation)
    unobserved = sum(
        impute_leaf(population, observation, draw_points(observation, reference, r, part)).unobserved
        for r in range(REPLICATES)
        for part in range(parts)
    )
    return np.asarray(np.log1p(-unobserved / REPLICATES))
