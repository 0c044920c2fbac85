"""The maps of `algebra` and `conditioning` for populations: what becomes of the backgrounds.

A uniform background stays one when features are left out, given, scaled or shifted.  Where the result would
be no background that this package knows, the map is refused.  Limits of amplitudes and `fixed` are settings
of a fit: maps that change amplitudes drop them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from dgmmis import algebra
from dgmmis.algebra import Columns, noise_of_one
from dgmmis.background import Background, BackgroundLike
from dgmmis.conditioning import condition as condition_mixture
from dgmmis.density_background import DensityBackground
from dgmmis.errors import InvalidSetting
from dgmmis.noise import Noise
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.samples import Samples

__all__ = ["affine", "condition", "convolve", "marginal", "stack"]

MOST = float(np.nextafter(1, 0))
"""Largest sum of the backgrounds' amplitudes: the mixture keeps something, if only the last bit."""


def marginal(population: Population, columns: Columns) -> Population:
    """Keep some of the features, in the order asked for; boxes keep their sides along them."""
    kept = [int(column) for column in columns]
    backgrounds = tuple(background.marginal(kept) for background in population.backgrounds)
    return Population(algebra.marginal(population.mixture, kept), backgrounds)


def condition(
    population: Population, columns: Columns, values: ArrayLike, noise: ArrayLike | None = None
) -> Population:
    """Condition on one row of some features; parameters as in `dgmmis.conditioning.condition`.

    Given x_g, a uniform background is uniform along the other features, and its amplitude is proportional
    to nu_j b_j(x_g).

    Raises
    ------
    InvalidSetting
        If a background is not uniform in a box.
    InvalidData
        If the given values lie beyond any finite density.
    """
    mixture = condition_mixture(population.mixture, columns, values, noise)
    if not population.backgrounds:
        return Population(mixture)
    given = np.asarray(columns, dtype=np.intp)
    free = np.setdiff1d(np.arange(population.n_features), given)
    row = np.atleast_2d(as_numbers(values, "values"))
    part = marginal(population, given)
    terms = part.component_log_densities(Samples.from_arrays(row, noise_of_one(noise, len(given))))[0]
    shares = np.exp(terms - np.logaddexp.reduce(terms))[population.n_components :]
    return Population(
        mixture,
        tuple(
            _box(_uniform(background, "conditioned"), free, float(share))
            for background, share in zip(population.backgrounds, _below_one(shares), strict=True)
        ),
    )


def convolve(population: Population, noise: Noise | ArrayLike) -> Population:
    """Add independent Gaussian noise (D,) variances or (D, D).

    Raises
    ------
    InvalidSetting
        If there is a background: a box with blurred faces is no box.
    """
    if population.backgrounds:
        raise InvalidSetting(
            "a model with a background cannot be convolved: its box would get blurred faces. Give the noise "
            "to log_density or draw instead, which account for it exactly, or convolve the mixture alone: "
            "Model(model.mixture, model.features, model.units).convolve(noise)."
        )
    return Population(algebra.convolve(population.mixture, noise))


def affine(population: Population, matrix: ArrayLike, offset: ArrayLike | None = None) -> Population:
    """Map t to M t + c; parameters as in `dgmmis.algebra.affine`.

    Raises
    ------
    InvalidSetting
        If there is a background and a new feature is not one old feature scaled and shifted, or a
        background is not uniform in a box.
    """
    mixture = algebra.affine(population.mixture, matrix, offset)
    if not population.backgrounds:
        return Population(mixture)
    m, c = algebra.checked_map(population.mixture, matrix, offset)
    if (np.count_nonzero(m, axis=1) != 1).any():
        raise InvalidSetting(
            "this matrix mixes features, which turns the background's box into a body that is no box. Scale "
            "and shift features only, or map the mixture alone: "
            "Model(model.mixture, model.features, model.units).affine(matrix, offset)."
        )
    columns = np.abs(m).argmax(axis=1)
    factors = m[np.arange(len(m)), columns]
    boxes = [_uniform(background, "mapped") for background in population.backgrounds]
    return Population(mixture, tuple(_mapped(box, columns, factors, c) for box in boxes))


def stack(populations: Sequence[Population], weights: ArrayLike) -> Population:
    """Mix populations: all their components and backgrounds, amplitudes scaled by the weights.

    Uniform backgrounds with the same footprint become one.

    Parameters
    ----------
    populations : sequence of M Population
        Of the same features.
    weights : (M,)
        Not negative; divided by their sum.

    Raises
    ------
    InvalidSetting
        If the weights are none.
    """
    shares = algebra.checked_weights(weights, len(populations))
    left = np.array([1 - float(population.background_amplitudes.sum()) for population in populations])
    mixture = algebra.stack([population.mixture for population in populations], shares * left)
    backgrounds: list[BackgroundLike] = []
    for share, population in zip(shares, populations, strict=True):
        for background in population.backgrounds:
            _add(backgrounds, background, float(share) * background.amplitude)
    return Population(mixture, tuple(backgrounds))


def _add(backgrounds: list[BackgroundLike], background: BackgroundLike, amplitude: float) -> None:
    """Append `background` with this amplitude, or add it to the same box."""
    for j, other in enumerate(backgrounds):
        if _same_box(background, other):
            backgrounds[j] = _with_amplitude(other, other.amplitude + amplitude)
            return
    backgrounds.append(_with_amplitude(background, amplitude))


def _same_box(one: BackgroundLike, other: BackgroundLike) -> bool:
    if not (isinstance(one, Background) and isinstance(other, Background)):
        return False
    return bool(np.array_equal(one.footprint, other.footprint))


def _with_amplitude(background: BackgroundLike, amplitude: float) -> BackgroundLike:
    """Return the same density with this amplitude and no limits."""
    if isinstance(background, Background | DensityBackground):
        return replace(background, amplitude=amplitude, amplitude_min=0.0, amplitude_max=1.0, fixed=False)
    return background.with_amplitude(amplitude)


def _uniform(background: BackgroundLike, what: str) -> Background:
    if not isinstance(background, Background):
        _refuse(background, what)
    return background


def _refuse(background: BackgroundLike, what: str) -> NoReturn:
    raise InvalidSetting(
        f"a {type(background).__name__} cannot be {what}: only a uniform box is known to stay one. Leave it "
        "out: Model(model.mixture, model.features, model.units)."
    )


def _box(box: Background, columns: Columns, amplitude: float) -> Background:
    """Return the box's sides along `columns`, with this amplitude."""
    low, high = box.footprint
    return Background((low[columns], high[columns]), amplitude)


def _mapped(box: Background, columns: Columns, factors: Array, offset: Array) -> Background:
    ends = [corner[columns] * factors + offset for corner in box.footprint]
    return replace(box, footprint=(np.minimum(*ends), np.maximum(*ends)))


def _below_one(shares: Array) -> Array:
    """Return `shares`, scaled where rounding left nothing to the mixture."""
    total = float(shares.sum())
    return np.asarray(shares * min(1.0, MOST / total)) if total > MOST else shares
