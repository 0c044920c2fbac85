"""Covariances and precisions in the shapes that scikit-learn gives each covariance type."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from dgmmis.constraints import CovarianceType
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.numeric_settings import as_setting
from dgmmis.packed import Array

__all__ = ["expand", "invert", "invert_roots", "root_precisions", "shorten"]


def shorten(covariances: Array, covariance_type: CovarianceType) -> Array:
    """Keep of covariances (K, D, D) what their type leaves free.

    Returns
    -------
    (K, D, D) for full, (D, D) for tied, (K, D) for diagonal, (K,) for spherical
    """
    if covariance_type == "tied":
        return np.array(covariances[0])
    if covariance_type == "diagonal":
        return np.array(np.diagonal(covariances, axis1=1, axis2=2))
    return np.array(covariances[:, 0, 0] if covariance_type == "spherical" else covariances)


def expand(
    given: ArrayLike, name: str, covariance_type: CovarianceType, n_components: int, n_features: int
) -> Array:
    """Write matrices out, (K, D, D), that a caller gave in their type's shape.

    Raises
    ------
    InvalidSetting
        If the shape is not that of the type; `name` says whose it is.
    """
    K, D = n_components, n_features
    expected = {"full": (K, D, D), "tied": (D, D), "diagonal": (K, D), "spherical": (K,)}[covariance_type]
    array = as_setting(given, name, f"finite numbers of shape {expected}")
    if array.shape != expected:
        raise InvalidSetting(
            f"{name} has shape {array.shape}; expected {expected} for {covariance_type} covariances of {K} components "
            f"and {D} features."
        )
    if covariance_type in ("full", "tied"):
        return np.array(np.broadcast_to(array, (K, D, D)))
    variances = array[:, None] if covariance_type == "spherical" else array
    return np.asarray(variances[:, :, None] * np.eye(D))


def invert(matrices: Array, name: str) -> Array:
    """Invert matrices (K, D, D), or raise an `InvalidSetting` about `name`."""
    try:
        return np.asarray(np.linalg.inv(matrices), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise InvalidSetting(f"{name} holds a singular matrix; give covariances_init instead.") from None


def root_precisions(covariances: Array) -> Array:
    """Upper triangular roots U of precisions, V^-1 = U U^T, of covariances.

    Parameters
    ----------
    covariances : (K, D, D)

    Raises
    ------
    InvalidData
        If a covariance is singular, naming the component.
    """
    identity = np.eye(covariances.shape[-1])
    roots = np.empty_like(covariances)
    for k, covariance in enumerate(covariances):
        try:
            lower = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise InvalidData(
                f"covariance of component {k} is singular, so that it has no precision. Set a floor, or use "
                "covariances_.",
                array="covariances_",
                row=k,
            ) from None
        roots[k] = solve_triangular(lower, identity, lower=True).T
    return roots


def invert_roots(roots: Array) -> Array:
    """Precisions U U^T (K, D, D) of their upper triangular roots."""
    return np.asarray(np.einsum("kij,klj->kil", roots, roots))
