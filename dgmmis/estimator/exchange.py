"""From a model to scikit-learn's own `GaussianMixture`, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dgmmis.covariance_shapes import expand, root_precisions
from dgmmis.errors import InvalidSetting
from dgmmis.estimator.library import SklearnMixture
from dgmmis.mixture import Mixture
from dgmmis.model import Model

__all__ = ["from_sklearn", "to_sklearn"]

TYPES: dict[str, Any] = {"full": "full", "tied": "tied", "diag": "diagonal", "spherical": "spherical"}
"""scikit-learn's names of covariance types, and ours."""


def to_sklearn(model: Model, *, lossy: bool = False) -> Any:
    """Make a fitted `sklearn.mixture.GaussianMixture` of a model, with the same bits.

    Parameters
    ----------
    model : Model
        Units and the selection of its data are not kept.
    lossy : bool
        Whether its background may be left out.

    Raises
    ------
    InvalidSetting
        If the model has a background and `lossy` is false.
    InvalidData
        If a covariance is singular, so that it has no precision.
    """
    if model.backgrounds and not lossy:
        raise InvalidSetting(
            "scikit-learn's mixture holds no background, and without it the density is another. Leave it out with "
            "lossy=True."
        )
    mixture = model.mixture
    estimator = SklearnMixture(mixture.n_components, covariance_type="full")
    estimator.weights_, estimator.means_ = mixture.amplitudes.copy(), mixture.means.copy()
    estimator.covariances_ = mixture.covariances.copy()
    estimator.precisions_cholesky_ = root_precisions(mixture.covariances)
    estimator.precisions_ = estimator.precisions_cholesky_ @ estimator.precisions_cholesky_.transpose(0, 2, 1)
    estimator.n_features_in_ = mixture.n_features
    estimator.converged_, estimator.n_iter_, estimator.lower_bound_ = True, 0, np.nan
    return estimator


def from_sklearn(estimator: Any, *, features: Sequence[str] = (), units: Sequence[str] = ()) -> Model:
    """Make a model of a fitted `sklearn.mixture.GaussianMixture`, of any covariance type, with the same bits.

    Parameters
    ----------
    estimator : GaussianMixture
    features, units : sequence of D str, optional
        By default the names that the estimator saw in its data, if it did.

    Raises
    ------
    InvalidSetting
        If it is no fitted mixture.
    InvalidData
        If its numbers are those of no mixture.
    """
    try:
        weights, means = np.asarray(estimator.weights_), np.asarray(estimator.means_)
        kind, given = estimator.covariance_type, estimator.covariances_
        covariances = expand(given, "covariances_", TYPES[kind], *means.shape)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidSetting(
            f"{type(estimator).__name__} is no fitted GaussianMixture of scikit-learn ({error!r}). Fit it first."
        ) from error
    names = tuple(features) or tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    return Model(Mixture(weights, means, covariances), names, tuple(units))
