"""Points that stand for the rows which the selection kept from being observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dgmmis.background import BackgroundLike, uniform_proposal
from dgmmis.densities import component_log_densities, log_densities
from dgmmis.errors import SelectionError
from dgmmis.noise import LARGEST_VARIANCE, Noise
from dgmmis.numeric_input import as_numbers
from dgmmis.observation import WIDENING, Observation, Reference
from dgmmis.packed import Array, is_positive_semidefinite, pack, unpack
from dgmmis.population import background_densities
from dgmmis.samples import Samples

__all__ = ["Points", "draw_points", "noise_at"]

EDGE = 2.0**-32
"""Uniform numbers are kept this far from 0 and 1, where the normal quantile is infinite."""


@dataclass(frozen=True)
class Points:
    """Points of one unit of work that would not have been observed; classes next to each other.

    Attributes
    ----------
    values : (n, f)
        In the columns of the selection.
    offsets : (B + 1,)
        Where each class begins and ends.
    weights : (n,)
        1 - Omega: the chance of not being observed.
    proposal : (n,)
        ln h, h being the sum of the densities the points of a class and replicate were drawn from.
    densities : (n, J)
        ln b_j of the backgrounds.
    noise : None or (n, P)
        Packed noise of each point, where it depends on position.
    """

    values: Array
    offsets: NDArray[np.intp]
    weights: Array
    proposal: Array
    densities: Array
    noise: Array | None = None


def draw_points(observation: Observation, reference: Reference, replicate: int, part: int) -> Points:
    """Draw the points of one replicate and part, evaluate the selection there, and keep the unobserved.

    Every component, and every background, gives the same number of points to every class.  Random numbers
    depend on (seed, refresh, replicate, source, class) and on nothing else.

    Raises
    ------
    SelectionError
        If the selection cannot be evaluated at a point.
    """
    values = _positions(observation, reference, replicate, part)
    n_classes, n_per_class, f = values.shape
    flat = values.reshape(-1, f)
    classes = np.repeat(np.arange(n_classes), n_per_class)
    chance = _omega(observation, flat, classes)
    keep = np.flatnonzero(chance < 1)
    if observation.oversampling is not None:
        stream = _stream(observation, reference, replicate, part, -1)
        keep = np.flatnonzero(stream.random(len(chance)) >= chance)
    flat, classes, chance = flat[keep], classes[keep], chance[keep]
    proposal, densities = _proposal(observation, reference, flat, classes)
    noise = None if observation.noise_at is None else pack(noise_at(observation.noise_at, flat))
    offsets = np.searchsorted(classes, np.arange(n_classes + 1)).astype(np.intp)
    weights = np.ones(len(keep)) if observation.oversampling is not None else 1 - chance
    return Points(np.ascontiguousarray(flat), offsets, weights, proposal, densities, noise)


def _positions(observation: Observation, reference: Reference, replicate: int, part: int) -> Array:
    """Positions (B, points of a class, f), by source inside a class."""
    population = reference.population
    means, covariances = observation.components(population)
    totals = WIDENING**2 * observation.total_covariances(covariances)
    if observation.oversampling is not None:
        totals = observation.total_covariances(covariances)
    lower = np.linalg.cholesky(totals)
    n_classes, n_components, f = totals.shape[:3]
    sources = n_components + len(population.backgrounds)
    per_source = reference.block // reference.n_parts(observation)
    out = np.empty((n_classes, sources, per_source, f))
    for k in range(n_components):
        uniform = _uniform(observation, reference, (replicate, part, k), f)
        out[:, k] = means[k] + np.einsum("bde,bne->bnd", lower[:, k], ndtri(uniform))
    for j, background in enumerate(population.backgrounds):
        uniform = _uniform(observation, reference, (replicate, part, n_components + j), 2 * f)
        inside = _marginal(background, observation).from_unit(uniform[..., :f].reshape(-1, f))
        roots = _roots(unpack(observation.classes.noise))
        noisy = np.einsum("bde,bne->bnd", roots, ndtri(uniform[..., f:]))
        out[:, n_components + j] = inside.reshape(n_classes, per_source, f) + noisy
    return out.reshape(n_classes, sources * per_source, f)


def _marginal(background: BackgroundLike, observation: Observation) -> BackgroundLike:
    return background.marginal(observation.columns.tolist())


def _roots(covariances: Array) -> Array:
    """Square roots of positive semi-definite matrices (B, f, f)."""
    values, vectors = np.linalg.eigh(covariances)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[:, None, :])


def _uniform(
    observation: Observation, reference: Reference, key: tuple[int, int, int], n_dimensions: int
) -> Array:
    """Numbers in (0, 1), (B, n, dimensions); each class takes the next block of one scrambled Sobol sequence."""
    from scipy.stats import qmc

    replicate, part, source = key
    n_classes, parts = observation.classes.n_classes, reference.n_parts(observation)
    size = reference.block // parts
    if observation.oversampling is not None:
        stream = _stream(observation, reference, replicate, part, source)
        return np.asarray(stream.random((n_classes, size, n_dimensions)).clip(EDGE, 1 - EDGE))
    sequence = qmc.Sobol(n_dimensions, bits=32, rng=_stream(observation, reference, replicate, 0, source))
    out = np.empty((n_classes, size, n_dimensions))
    position = 0
    for b in range(n_classes):
        begin = b * reference.block + part * size
        if begin > position:
            sequence.fast_forward(begin - position)
        out[b] = sequence.random(size)
        position = begin + size
    return out.clip(EDGE, 1 - EDGE)


def _stream(
    observation: Observation, reference: Reference, replicate: int, part: int, source: int
) -> np.random.Generator:
    key = (observation.seed, reference.refresh, replicate, part, source + 1)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _omega(observation: Observation, values: Array, classes: NDArray[np.intp]) -> Array:
    """Omega at points given in the selection's columns; its mean over the covariates of their classes."""
    selection, covariates = observation.selection, observation.classes.covariates
    whole = np.full((len(values), len(selection.names.features)), np.nan)
    whole[:, observation.columns] = values
    if covariates is None:
        return selection.evaluate(whole)
    total = np.zeros(len(values))
    for q in range(covariates.shape[1]):
        total += selection.evaluate(whole, covariates[classes, q])
    return np.asarray(total / covariates.shape[1])


def _proposal(
    observation: Observation, reference: Reference, values: Array, classes: NDArray[np.intp]
) -> tuple[Array, Array]:
    """ln h of points, and ln b_j: h is the sum over sources of their density times their number of points."""
    population = reference.population
    means, covariances = observation.components(population)
    widening = 1.0 if observation.oversampling is not None else WIDENING**2
    noise = observation.classes.noise[classes]
    if len(values) == 0:
        return np.empty(0), np.empty((0, len(population.backgrounds)))
    equal = np.ones(len(means))
    widened = Samples.from_arrays(values, Noise.packed(widening * noise), checked=True)
    terms = component_log_densities(equal, means, widening * covariances, widened)
    samples = Samples.from_arrays(values, Noise.packed(noise), checked=True)
    marginals = tuple(_marginal(background, observation) for background in population.backgrounds)
    densities = background_densities(marginals, samples)
    proposals = tuple(uniform_proposal(one) for one in marginals)
    same = all(one is other for one, other in zip(marginals, proposals, strict=True))
    uniform = densities if same else background_densities(proposals, samples)
    sources = np.concatenate((terms, uniform), axis=1)
    return log_densities(sources) + np.log(reference.block), densities


def noise_at(noise_model: Callable[[Array], Array], values: Array) -> Array:
    """Noise covariances (n, D, D) of the parent population at positions (n, D).

    Raises
    ------
    SelectionError
        If the model answers with anything else.
    """
    try:
        given = noise_model(values)
    except Exception as error:
        raise SelectionError(
            f"noise_model raised {error!r} for positions of shape {values.shape}. It must return covariances (n, D, D) "
            "for positions (n, D).",
            array="noise_model",
        ) from error
    answer = as_numbers(given, "what noise_model answered")
    expected = (len(values), values.shape[1], values.shape[1])
    if answer.shape != expected or not (np.abs(answer) <= LARGEST_VARIANCE).all():
        raise SelectionError(
            f"noise_model answered shape {answer.shape} for positions of shape {values.shape}; expected finite "
            f"covariances {expected}.",
            array="noise_model",
        )
    bad = np.flatnonzero(~is_positive_semidefinite(pack(answer)))
    if len(bad):
        raise SelectionError(
            f"noise_model answered {answer[bad[0]].tolist()} at {values[bad[0]].tolist()}, which is no covariance. "
            "Mend it: variances on the diagonal, and covariances that they allow.",
            array="noise_model",
            value=answer[bad[0]].tolist(),
        )
    return answer
