"""Components as groups of rows see them, each way of seeing prepared once."""

from __future__ import annotations

import numpy as np

from dgmmis.densities import FixedComponents, NoisyComponents, fixed_components, noisy_components
from dgmmis.population import Population
from dgmmis.samples import PatternGroup

__all__ = ["MOST_KEPT", "ComponentViews"]

Key = tuple[bytes, ...]

MOST_KEPT = 2**25
"""Bytes of prepared components that are kept; with many patterns the others are prepared anew for each chunk."""


class ComponentViews:
    """Prepares a population's components for groups of rows and remembers what it prepared.

    With thousands of components that takes as long as the rows of a chunk, and the chunks of a pass, or of a
    worker's share of it, ask for the same few.  Several threads may ask at once: at worst they prepare the same.

    Parameters
    ----------
    population : Population
    most_kept : int, optional
        Bytes of prepared components that are kept at most; default `MOST_KEPT`.
    """

    def __init__(self, population: Population, most_kept: int | None = None) -> None:
        self.population = population
        self._most_kept = MOST_KEPT if most_kept is None else most_kept
        self._fixed: dict[Key, FixedComponents] = {}
        self._noisy: dict[Key, NoisyComponents] = {}
        self._nbytes = 0

    def fixed(self, group: PatternGroup, first_row: int) -> FixedComponents:
        """Prepare for rows that share one noise or have none; parameters and errors as of `fixed_components`."""
        key, mixture = _key(group), self.population.mixture
        if key in self._fixed:
            return self._fixed[key]
        fixed = fixed_components(
            self.population.amplitudes, mixture.means, mixture.covariances, group, first_row=first_row
        )
        if self._has_room(fixed):
            self._fixed[key] = fixed
        return fixed

    def noisy(self, group: PatternGroup) -> NoisyComponents:
        """Prepare for rows that each have their own noise."""
        key, mixture = _key(group), self.population.mixture
        if key in self._noisy:
            return self._noisy[key]
        noisy = noisy_components(self.population.amplitudes, mixture.means, mixture.covariances, group)
        if not noisy.needs_noise and self._has_room(noisy):
            self._noisy[key] = noisy
        return noisy

    def _has_room(self, components: FixedComponents | NoisyComponents) -> bool:
        """Count what is to be kept, if it may be; threads that count at once may be off by one of them."""
        nbytes = sum(array.nbytes for array in vars(components).values() if isinstance(array, np.ndarray))
        if self._nbytes + nbytes > self._most_kept:
            return False
        self._nbytes += nbytes
        return True


def _key(group: PatternGroup) -> Key:
    """Tell what of a group its components are prepared for."""
    shared = b"" if group.noise is None or group.noise.ndim == 2 else np.asarray(group.noise).tobytes()
    projection = b"" if group.projection is None else group.projection.tobytes()
    return group.observed.tobytes(), shared, projection
