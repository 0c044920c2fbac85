"""Where a caller wants a fit to start, in scikit-learn's terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.constraints import Constraints
from dgmmis.covariance_shapes import expand, invert
from dgmmis.errors import InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.numeric_settings import as_setting
from dgmmis.packed import Array

__all__ = ["Wanted"]


@dataclass(frozen=True)
class Wanted:
    """What a caller wants a mixture to start from; None where it is left to us.

    Attributes
    ----------
    weights : (K,)
    means : (K, D)
    covariances, precisions : in the shape of the covariance type, at most one of them
    """

    weights: ArrayLike | None
    means: ArrayLike | None
    covariances: ArrayLike | None
    precisions: ArrayLike | None

    def __post_init__(self) -> None:
        if self.covariances is not None and self.precisions is not None:
            raise InvalidSetting("covariances_init and precisions_init are both given; give one of them.")
        if self.means is None and not self.is_empty:
            raise InvalidSetting(
                "means_init is missing: weights and covariances belong to components, which their means tell "
                "apart. Give means_init too, or none of them."
            )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted."""
        return all(part is None for part in vars(self).values())

    def mixture(
        self, X: Array, row_weights: Array | None, n_components: int, constraints: Constraints
    ) -> Mixture:
        """Make the mixture: weights are 1/K by default, covariances the variances of all rows.

        Raises
        ------
        InvalidSetting, InvalidData
            If a shape does not fit, or the numbers are those of no mixture.
        """
        n_features = X.shape[1]
        assert self.means is not None
        means = as_setting(self.means, "means_init", f"finite numbers of shape {(n_components, n_features)}")
        if means.shape != (n_components, n_features):
            raise InvalidSetting(
                f"means_init has shape {means.shape}; expected {(n_components, n_features)}."
            )
        weights = np.full(n_components, 1 / n_components)
        if self.weights is not None:
            weights = as_setting(self.weights, "weights_init", f"{n_components} numbers that sum to 1")
        return Mixture(weights, means, self._covariances(X, row_weights, n_components, constraints))

    def _covariances(
        self, X: Array, row_weights: Array | None, n_components: int, constraints: Constraints
    ) -> Array:
        kind, n_features = constraints.covariance_type, X.shape[1]
        if self.covariances is not None:
            return expand(self.covariances, "covariances_init", kind, n_components, n_features)
        if self.precisions is not None:
            written_out = expand(self.precisions, "precisions_init", kind, n_components, n_features)
            return invert(written_out, "precisions_init")
        variances = _variances(X, row_weights)
        if kind == "spherical":
            variances = np.full(n_features, variances.mean())
        return np.tile(np.diag(variances), (n_components, 1, 1))


def _variances(X: Array, row_weights: Array | None) -> Array:
    """Variances (D,) of the observed values; 1 where they do not vary."""
    observed = ~np.isnan(X)
    weights = observed * (1.0 if row_weights is None else row_weights[:, None])
    totals = np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    filled = np.where(observed, X, 0)
    offsets = filled - (weights * filled).sum(axis=0) / totals
    variances = (weights * offsets**2).sum(axis=0) / totals
    return np.where(variances > 0, variances, 1.0)
