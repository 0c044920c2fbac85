"""Which parameters a fit must leave alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.errors import InvalidSetting

__all__ = ["Frozen"]

KINDS = ("amplitudes", "means", "covariances")


@dataclass(frozen=True)
class Frozen:
    """Masks (K,) of the components whose amplitude, mean or covariance stays as it starts."""

    amplitudes: NDArray[np.bool_]
    means: NDArray[np.bool_]
    covariances: NDArray[np.bool_]

    @classmethod
    def of(cls, frozen: Mapping[str, ArrayLike] | Frozen | None, n_components: int) -> Frozen:
        """Read `{"amplitudes": [...], "means": [...], "covariances": [...]}`.

        Each list holds component indices, or K booleans.

        Raises
        ------
        InvalidSetting
            For another key, an index outside 0..K-1, or a mask that is not K long.
        """
        if not isinstance(n_components, Integral) or isinstance(n_components, bool) or n_components < 1:
            raise InvalidSetting(f"n_components is {n_components!r}; expected a whole number of at least 1.")
        if isinstance(frozen, Frozen):
            return frozen
        frozen = {} if frozen is None else frozen
        if not isinstance(frozen, Mapping):
            raise InvalidSetting(f"frozen is {frozen!r}; expected a dict with keys {', '.join(KINDS)}.")
        unknown = set(frozen) - set(KINDS)
        if unknown:
            raise InvalidSetting(f"frozen has keys {sorted(unknown)}; allowed are {', '.join(KINDS)}.")
        masks = [_mask(frozen.get(kind, ()), n_components, kind) for kind in KINDS]
        return cls(*masks)

    def as_indices(self) -> dict[str, list[int]]:
        """Write the masks as lists of indices, empty ones left out: the form that is stored."""
        indices = {kind: np.flatnonzero(getattr(self, kind)).tolist() for kind in KINDS}
        return {kind: which for kind, which in indices.items() if which}


def _mask(which: ArrayLike, n_components: int, kind: str) -> NDArray[np.bool_]:
    try:
        array = np.asarray(which)
    except ValueError as error:
        raise InvalidSetting(
            f"frozen {kind} is {which!r} ({error}); expected component indices from 0 to {n_components - 1}."
        ) from error
    if array.dtype == bool:
        if array.shape != (n_components,):
            raise InvalidSetting(
                f"frozen {kind} is a mask of shape {array.shape}; expected ({n_components},)."
            )
        return array.copy()
    mask = np.zeros(n_components, dtype=bool)
    if array.size == 0:
        return mask
    if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() >= n_components:
        raise InvalidSetting(
            f"frozen {kind} is {array.tolist()}; expected component indices from 0 to {n_components - 1}."
        )
    mask[array] = True
    return mask
