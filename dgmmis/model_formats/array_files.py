"""Mixtures as the arrays of `.npz` files: by pyGMMis' names, and by the names of scikit-learn's attributes."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from dgmmis.constraints import CovarianceType
from dgmmis.covariance_shapes import expand, root_precisions
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.model import Model
from dgmmis.model_formats.parameters import mixture_of, unreadable
from dgmmis.plain_arrays import read_arrays

__all__ = ["PYGMMIS", "SKLEARN", "read_pygmmis", "read_sklearn", "write_pygmmis", "write_sklearn"]

PYGMMIS = ("amp", "mean", "covar")
SKLEARN = ("weights_", "means_", "covariances_")
TYPES: dict[str, CovarianceType] = {
    "full": "full",
    "tied": "tied",
    "diag": "diagonal",
    "spherical": "spherical",
}
"""scikit-learn's names of covariance types, and ours."""


def write_pygmmis(model: Model, file: IO[bytes]) -> None:
    """Write amp, mean, covar; beside a background, the amplitudes sum to 1 less its own, as pyGMMis has it."""
    mixture = model.mixture
    amplitudes = (
        model.population.amplitudes[: mixture.n_components] if model.backgrounds else mixture.amplitudes
    )
    np.savez(file, amp=amplitudes, mean=mixture.means, covar=mixture.covariances)


def read_pygmmis(content: bytes, path: Path) -> Model:
    """Read what pyGMMis' `GMM.save` wrote; arrays beside its three are left alone."""
    arrays = _arrays(content, path, PYGMMIS, "a mixture of pyGMMis")
    return Model(mixture_of(arrays["amp"], arrays["mean"], arrays["covar"], path))


def write_sklearn(model: Model, file: IO[bytes]) -> None:
    """Write the attributes of a fitted `sklearn.mixture.GaussianMixture`, its covariances in full."""
    mixture = model.mixture
    np.savez(
        file,
        weights_=mixture.amplitudes,
        means_=mixture.means,
        covariances_=mixture.covariances,
        precisions_cholesky_=root_precisions(mixture.covariances),
        covariance_type=np.array("full"),
        feature_names_in_=np.array(model.features, dtype=np.str_),
    )


def read_sklearn(content: bytes, path: Path) -> Model:
    """Read attributes of scikit-learn's that somebody saved: weights_, means_, covariances_, their type and names."""
    names = (*SKLEARN, "covariance_type", "feature_names_in_")
    arrays = _arrays(content, path, names, "a mixture of scikit-learn", required=SKLEARN)
    kind = str(arrays.get("covariance_type", "full"))
    means = arrays["means_"]
    try:
        n_components, n_features = means.shape
        covariances = expand(arrays["covariances_"], "covariances_", TYPES[kind], n_components, n_features)
    except (KeyError, ValueError, InvalidSetting) as error:
        raise unreadable(path, "a mixture of scikit-learn", f"covariance type '{kind}': {error}") from error
    features = tuple(str(name) for name in np.atleast_1d(arrays.get("feature_names_in_", ())))
    try:
        return Model(mixture_of(arrays["weights_"], means, covariances, path), features)
    except InvalidData:
        raise
    except ValueError as error:  # names that do not fit
        raise unreadable(path, "a mixture of scikit-learn", error) from error


def _arrays(
    content: bytes, path: Path, names: tuple[str, ...], what: str, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    try:
        arrays = read_arrays(content, names)
    except ValueError as error:
        raise unreadable(path, what, error) from error
    missing = [name for name in required or names if name not in arrays]
    if missing:
        raise unreadable(path, what, f"it has no array {', '.join(missing)}")
    return arrays
