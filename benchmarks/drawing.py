"""What scenes are made of: random mixtures, rows and noise drawn from them, and a start."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array", "common_start", "draw_noise", "draw_rows", "noise_covariances", "random_factors", "random_mixture",
]  # fmt: skip

Array = NDArray[np.float64]


def random_mixture(
    rng: np.random.Generator, n_components: int, n_features: int, dispersions: tuple[float, float]
) -> tuple[Array, Array, Array]:
    """Amplitudes, means in a box of half width 6, and factors F with V = F F^T."""
    amplitudes = rng.dirichlet(np.full(n_components, 5.0))
    means = rng.uniform(-6, 6, (n_components, n_features))
    return amplitudes, means, random_factors(rng, n_components, n_features, dispersions)


def random_factors(
    rng: np.random.Generator, n_components: int, n_features: int, dispersions: tuple[float, float]
) -> Array:
    """Axes turned at random, each of a length drawn from `dispersions`."""
    axes = np.linalg.qr(rng.standard_normal((n_components, n_features, n_features))).Q
    return axes * rng.uniform(*dispersions, (n_components, 1, n_features))


def draw_rows(rng: np.random.Generator, rows: int, amplitudes: Array, means: Array, factors: Array) -> Array:
    """Draw rows (n, D) of a mixture with covariances F F^T."""
    component = rng.choice(len(amplitudes), size=rows, p=amplitudes)
    unit = rng.standard_normal((rows, means.shape[1], 1))
    return means[component] + (factors[component] @ unit)[:, :, 0]


def noise_covariances(
    rng: np.random.Generator, rows: int, n_features: int, errors: tuple[float, float]
) -> Array:
    """Wishart-like shapes times an error drawn for each row, kept away from singular."""
    shape = rng.standard_normal((rows, n_features, n_features))
    scale = rng.uniform(*errors, (rows, 1, 1)) ** 2 / n_features
    return scale * (shape @ shape.swapaxes(1, 2)) + 1e-4 * np.eye(n_features)


def draw_noise(rng: np.random.Generator, noise: Array) -> Array:
    """Draw a deviation (n, D) for each covariance (n, D, D)."""
    unit = rng.standard_normal((*noise.shape[:2], 1))
    return (np.linalg.cholesky(noise) @ unit)[:, :, 0]


def common_start(rng: np.random.Generator, values: Array, n_components: int) -> tuple[Array, Array, Array]:
    """Equal amplitudes, means on random rows, covariances that share out the variances of all rows."""
    filled = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    means = filled[rng.choice(len(filled), n_components, replace=False)]
    share = filled.var(axis=0) / n_components ** (2 / filled.shape[1])
    covariances = np.tile(np.diag(share), (n_components, 1, 1))
    return np.full(n_components, 1 / n_components), means, covariances
