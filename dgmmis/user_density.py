"""Calls to a density that a user wrote: how rows are put to it, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData, UntrustedFunction
from dgmmis.noise import Noise, NoiseKind
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array, unpack
from dgmmis.samples import PatternGroup

__all__ = ["Density", "MarginalDensity", "MarginalSampler", "Sampler", "ask_density", "written_out"]

Density = Callable[[Array, Array], Array]
Sampler = Callable[[int, np.random.Generator], Array]


def ask_density(density: Density, values: Array, covariances: Array, rows: NDArray[np.intp]) -> Array:
    """Ask a user's density about rows (n, D) and check what it answers, (n,).

    Parameters
    ----------
    density : callable
    values : (n, D)
        NaN where missing.
    covariances : (n, D, D)
    rows : (n,)
        What the rows are called in messages.

    Raises
    ------
    InvalidData
        If it raises, or answers with another shape, or numbers that are not finite and at least 0.
    """
    try:
        answer = density(values, covariances)
    except UntrustedFunction:
        raise
    except Exception as error:
        raise InvalidData(
            f"the background's density raised {error!r} when asked about {len(rows)} rows, the first being "
            f"row {rows[0]} with values {values[0]}. It must take values (n, D) and covariances (n, D, D), NaN and 0 "
            "where a feature is missing, and return n densities.",
            array="background",
            row=int(rows[0]),
        ) from error
    densities = as_numbers(answer, "the background's density")
    if densities.shape != (len(rows),):
        raise InvalidData(
            f"the background's density answered with shape {densities.shape} about {len(rows)} rows; expected "
            f"({len(rows)},): one density a row.",
            array="background",
            row=int(rows[0]),
        )
    bad = np.flatnonzero(~(np.isfinite(densities) & (densities >= 0)))
    if len(bad):
        i = int(bad[0])
        raise InvalidData(
            f"the background's density of row {rows[i]} is {densities[i]}, its values being {values[i]}; it must "
            "be finite and at least 0. Missing features are NaN in values: give the density of the others.",
            array="background",
            row=int(rows[i]),
            value=float(densities[i]),
        )
    return densities


@dataclass(frozen=True)
class MarginalDensity:
    """A density that is asked about some of its features only."""

    density: Density
    n_features: int
    columns: tuple[int, ...]

    def __call__(self, values: Array, covariances: Array) -> Array:
        """Ask the whole density about rows that lack the other features."""
        n, kept = len(values), np.array(self.columns)
        whole, noise = np.full((n, self.n_features), np.nan), np.zeros((n, self.n_features, self.n_features))
        whole[:, kept] = values
        noise[:, kept[:, None], kept] = covariances
        return self.density(whole, noise)


@dataclass(frozen=True)
class MarginalSampler:
    """A sampler of which some features are kept."""

    sampler: Sampler
    columns: tuple[int, ...]

    def __call__(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw whole rows and keep some of their features."""
        return np.asarray(self.sampler(n_rows, rng)[:, self.columns])


def written_out(group: PatternGroup, part: slice, n_features: int, kind: NoiseKind) -> tuple[Array, Array]:
    """Values (n, D), NaN where missing, and noise covariances (n, D, D) of some rows of a group."""
    observed, block = group.observed, group.values[part]
    values = np.full((len(block), n_features), np.nan)
    values[:, observed] = block
    covariances = np.zeros((len(block), n_features, n_features))
    if group.noise is not None:
        noise = (
            unpack(group.noise)
            if kind == "shared"
            else Noise(kind, group.noise[part]).covariances(*block.shape)
        )
        covariances[:, observed[:, None], observed] = noise
    return values, covariances
