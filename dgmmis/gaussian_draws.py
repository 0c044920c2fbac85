"""Random Gaussian vectors whose features may have any units."""

from __future__ import annotations

import numpy as np

from dgmmis.noise import Noise
from dgmmis.packed import Array, unpack

__all__ = ["covariance_roots", "draw_noise"]


def covariance_roots(covariances: Array) -> Array:
    """Find A with A A^T = C for positive semi-definite matrices, singular ones included.

    A is diag(s) times a root of the correlation matrix.  The eigenvectors of C itself would lose features
    with small numbers: with standard deviations of 1e8 and 1 a correlation of 0.5 comes out as 0.34.

    Parameters
    ----------
    covariances : (..., D, D)

    Returns
    -------
    (..., D, D)
    """
    deviations = np.sqrt(np.maximum(np.diagonal(covariances, axis1=-2, axis2=-1), 0))
    scale = np.where(deviations > 0, deviations, 1.0)
    correlations = covariances / scale[..., :, None] / scale[..., None, :]
    try:
        roots = np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:  # some matrix is singular, which eigenvectors do not mind
        eigenvalues, directions = np.linalg.eigh(correlations)
        roots = directions * np.sqrt(np.maximum(eigenvalues, 0))[..., None, :]
    return np.asarray(deviations[..., :, None] * roots)


def draw_noise(noise: Noise, n_rows: int, n_features: int, rng: np.random.Generator) -> Array:
    """Draw each row's error, (N, D); zeros without noise."""
    if noise.array is None:
        return np.zeros((n_rows, n_features))
    normal = rng.standard_normal((n_rows, n_features))
    if noise.kind == "diagonal":
        return np.asarray(np.sqrt(noise.array) * normal)
    if noise.kind == "shared":
        return np.asarray(np.einsum("de,ne->nd", covariance_roots(noise.array), normal))
    return np.asarray(np.einsum("nde,ne->nd", covariance_roots(unpack(noise.array)), normal))
