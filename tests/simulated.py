"""Small simulated catalogues for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import dgmmis
from dgmmis.background import Background
from dgmmis.selection import Box

TRUTH = dgmmis.Mixture(
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.0, 0.0, 0.0], [4.0, 1.0, -2.0], [-3.0, 5.0, 1.0]]),
    np.array(
        [
            [[1.0, 0.3, 0.0], [0.3, 1.0, 0.2], [0.0, 0.2, 0.5]],
            [[0.5, 0.0, 0.1], [0.0, 2.0, 0.0], [0.1, 0.0, 1.0]],
            [[1.5, -0.6, 0.0], [-0.6, 1.0, 0.0], [0.0, 0.0, 0.3]],
        ]
    ),
)


def noisy_rows(n_rows: int, seed: int = 0, missing: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Values (N, 3) with NaN, and their noise covariances (N, 3, 3)."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_rows, 3, 3)) * rng.uniform(0.1, 0.6, (n_rows, 1, 1))
    noise = factors @ factors.swapaxes(1, 2) + 1e-3 * np.eye(3)
    noise = (noise + noise.swapaxes(1, 2)) / 2
    values = TRUTH.draw(n_rows, rng)
    values += np.einsum("nij,nj->ni", np.linalg.cholesky(noise), rng.normal(size=(n_rows, 3)))
    values[rng.random(values.shape) < missing] = np.nan
    return values, noise


def flat(mixture: dgmmis.Mixture, feature: int) -> dgmmis.Mixture:
    """The mixture without any spread in one feature: rows without noise there have no density."""
    spread = np.arange(mixture.n_features) != feature
    covariances = mixture.covariances * spread[:, None] * spread
    return dgmmis.Mixture(mixture.amplitudes, mixture.means, covariances)


def write_catalog(path: Path, *, n_rows: int, chunk_rows: int, seed: int = 0) -> dgmmis.Catalog:
    """Ingest simulated rows."""
    values, noise = noisy_rows(n_rows, seed)
    return dgmmis.ingest(values, path, features=("a", "b", "c"), noise=noise, chunk_rows=chunk_rows)


SELECTION = Box([-5.0, -4.0], [5.0, 6.0], features=("a", "b"))
FOOTPRINT = ((-10.0, -10.0, -10.0), (10.0, 10.0, 10.0))


def write_selected_catalog(path: Path, *, n_rows: int, chunk_rows: int, seed: int = 0) -> dgmmis.Catalog:
    """Ingest what `SELECTION` kept of simulated rows, a tenth of which are uniform in `FOOTPRINT`.

    Only the feature that the selection does not look at is missing from some rows.  Errors are independent:
    the background behind correlated ones costs far more than all else.
    """
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.01, 0.4, (n_rows, 3))
    values = TRUTH.draw(n_rows, rng) + np.sqrt(noise) * rng.normal(size=(n_rows, 3))
    behind = rng.random(n_rows) < 0.1
    values[behind] = rng.uniform(*FOOTPRINT, (behind.sum(), 3))
    kept = SELECTION.answer(values[:, :2])
    values, noise = values[kept], noise[kept]
    values[rng.random(len(values)) < 0.2, 2] = np.nan
    return dgmmis.ingest(values, path, features=("a", "b", "c"), noise=noise, chunk_rows=chunk_rows)


def whole_model() -> dict[str, object]:
    """Settings of a fit of `write_selected_catalog` that uses every part of the observation model."""
    return {
        "n_components": 3,
        "selection": SELECTION,
        "background": Background(FOOTPRINT, amplitude=0.2),
        "floor": 0.1,
    }


def bits_of(result: dgmmis.FitResult) -> str:
    """Hash of every bit of the fitted population and its log-likelihood."""
    mixture, behind = result.mixture, result.population.background_amplitudes
    digest = hashlib.sha256()
    for array in (
        mixture.amplitudes,
        mixture.means,
        mixture.covariances,
        behind,
        np.array(result.log_likelihood),
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
