"""Rows as a user gives them: values, noise, weights, projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.projection import latent_features, take_projection
from dgmmis.row_order import RowOrder
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
    projection : None, (d, D) or (N, d, D)
        How these rows see the D features of the mixture, as `as_projection` returns it; `values` then has
        d columns.
    covariates : (N, C) or None
        What else a selection looked at.
    """

    values: Array
    noise: Noise
    weights: Array | None = None
    projection: Array | None = None
    covariates: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_features(self) -> int:
        """Columns of the values."""
        return int(self.values.shape[1])

    @property
    def latent_features(self) -> int:
        """D, the features of the mixture behind the rows: `n_features` unless they are projected."""
        return latent_features(self.projection, self.n_features)

    def take(self, which: slice | NDArray[np.intp]) -> Rows:
        """Return some of these rows."""
        weights = None if self.weights is None else self.weights[which]
        projection = take_projection(self.projection, which)
        covariates = None if self.covariates is None else self.covariates[which]
        return Rows(self.values[which], self.noise.take(which), weights, projection, covariates)

    def samples(
        self,
        *,
        names: tuple[str, ...] | None = None,
        first_row: int = 0,
        checked: bool = False,
        keep_noise: Sequence[int] = (),
        order: RowOrder = "given",
    ) -> Samples:
        """Group these rows for the kernels; parameters as in `Samples.from_arrays`."""
        samples = Samples.from_arrays(
            self.values,
            self.noise,
            self.weights,
            projection=self.projection,
            names=names,
            first_row=first_row,
            checked=checked,
            keep_noise=keep_noise,
            order=order,
        )
        return samples if self.covariates is None else replace(samples, covariates=self.covariates)
