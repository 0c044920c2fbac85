"""Rows as a user gives them: values, noise, weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.samples import Samples

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a data set.

    Attributes
    ----------
    values : (N, D)
        NaN means not observed.
    noise : Noise
        Of these N rows.
    weights : (N,) or None
        None means 1 each.
    """

    values: Array
    noise: Noise
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_features(self) -> int:
        """D."""
        return int(self.values.shape[1])

    def take(self, which: slice | NDArray[np.intp]) -> Rows:
        """Return some of these rows."""
        weights = None if self.weights is None else self.weights[which]
        return Rows(self.values[which], self.noise.take(which), weights)

    def samples(
        self, *, names: tuple[str, ...] | None = None, first_row: int = 0, checked: bool = False
    ) -> Samples:
        """Group these rows for the kernels; parameters as in `Samples.from_arrays`."""
        return Samples.from_arrays(
            self.values, self.noise, self.weights, names=names, first_row=first_row, checked=checked
        )
