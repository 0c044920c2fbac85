"""What it costs that rows of nearly the same noise share one chance of being observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dgmmis.densities import component_log_densities, log_densities
from dgmmis.imputation_points import Points, draw_points
from dgmmis.noise import Noise
from dgmmis.noise_classes import NoiseClasses
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut, column_noise, is_certain

__all__ = ["binning_error"]

TRIED_ROWS = 64
BLOCK = 64
"""Points per component, row and replicate; the same points serve both sides of the comparison."""


def binning_error(
    population: Population, observation: Observation, classes: RowClasses | None, sample: Samples, cut: Cut
) -> float:
    """Estimate the error of sum s ln Z from the binning of the rows' noise [total nats].

    As a class has the mean noise S of its rows, what a row's own noise S + d changes to first order cancels.  To
    second order it is (ln Z(S + d) + ln Z(S - d)) / 2 - ln Z(S): its mean over some rows of a random sample, and the
    standard error of that mean added to it, is scaled to all rows.

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
    if shared.n_classes < 2:
        return 0.0
    held = shared.noise
    noises = (held, own, 2 * held - own)
    shares = np.array(_unobserved(population, replace(observation, classes=shared), noises))
    resolved = (np.isfinite(shares) & (shares < 1)).all(axis=0)
    if resolved.sum() < 2:
        return 0.0
    logs = np.log1p(-shares[:, resolved])
    curved = 0.5 * (logs[1] + logs[2]) - logs[0]
    return observation.weight * float(abs(curved.mean()) + curved.std() / np.sqrt(len(curved)))


def _pairs(
    observation: Observation, classes: RowClasses, sample: Samples, cut: Cut
) -> tuple[Array, NoiseClasses]:
    """Noise (n, P) of some rows, and the classes that they share with others, one for each."""
    own, nearest = [], []
    for group in sample.groups:
        if is_certain(group, cut):
            noise = column_noise(group, cut.columns)
            own.append(np.broadcast_to(noise, (len(group.rows), noise.shape[1])))
            nearest.append(classes.assign(sample, group, cut))
    if not own:
        return np.empty((0, 1)), NoiseClasses(np.empty((0, 1)), np.empty(0))
    which = np.concatenate(nearest)
    tried = np.linspace(0, len(which) - 1, min(TRIED_ROWS, len(which))).astype(np.intp)
    held = observation.classes
    common = None if held.covariates is None else held.covariates[which[tried]]
    shared = NoiseClasses(held.noise[which[tried]], np.ones(len(tried)), common)
    noise = np.concatenate(own)[tried] if classes.variances is not None else shared.noise
    return noise, shared


def _unobserved(population: Population, observation: Observation, noises: Sequence[Array]) -> list[Array]:
    """Unobserved share (B,) of each class if its noise were each of `noises` (B, P), from the same points.

    The points are drawn with the class's noise and weighed by the density under the other: a smooth function of
    the noise, so that differences are not lost in the points' error.
    """
    reference, n_classes = Reference(population, BLOCK), observation.classes.n_classes
    shares = [np.zeros(n_classes) for _ in noises]
    for r in range(REPLICATES):
        for part in range(reference.n_parts(observation)):
            points = draw_points(observation, reference, r, part)
            which = np.repeat(np.arange(n_classes), np.diff(points.offsets))
            for share, noise in zip(shares, noises, strict=True):
                log_weights = _log_density(population, observation, points, noise[which]) - points.proposal
                share += np.bincount(which, points.weights * np.exp(log_weights), minlength=n_classes)
    return [share / REPLICATES for share in shares]


def _log_density(population: Population, observation: Observation, points: Points, noise: Array) -> Array:
    """ln p (n,) of points with their noise (n, P); backgrounds with the noise the points were drawn with."""
    if not len(points.values):
        return np.empty(0)
    means, covariances = observation.components(population)
    samples = Samples.from_arrays(points.values, Noise.packed(noise), checked=True)
    terms = component_log_densities(population.amplitudes, means, covariances, samples)
    return log_densities(np.concatenate((terms, population.weighted(points.densities)), axis=1))
