"""Populations as arrays of an npz file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dgmmis.background import BackgroundLike
from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.population import Population

__all__ = ["arrays_of", "npz_of", "population_of"]


def npz_of(arrays: Mapping[str, Any]) -> bytes:
    """Content of an npz file of arrays."""
    buffer, save = io.BytesIO(), cast("Callable[..., None]", np.savez)
    save(buffer, **arrays)
    return buffer.getvalue()


def arrays_of(population: Population, prefix: str = "") -> dict[str, Array]:
    """Parameters of a population; what its backgrounds are is kept elsewhere."""
    return {
        f"{prefix}amplitudes": population.mixture.amplitudes,
        f"{prefix}means": population.mixture.means,
        f"{prefix}covariances": population.mixture.covariances,
        f"{prefix}background": population.background_amplitudes,
    }


def population_of(
    stored: Mapping[str, NDArray[np.float64]], backgrounds: Sequence[BackgroundLike], prefix: str = ""
) -> Population:
    """Read what `arrays_of` gave, for these backgrounds; raises KeyError or ValueError if it does not fit."""
    mixture = Mixture(*(stored[prefix + name] for name in ("amplitudes", "means", "covariances")))
    amplitudes = stored[f"{prefix}background"]
    return Population(
        mixture,
        tuple(b.with_amplitude(float(a)) for b, a in zip(backgrounds, amplitudes, strict=True)),
    )
