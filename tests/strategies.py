"""Random scenes: a mixture, and rows it may have made, with noise, missing features and weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.samples import Samples
from oracle import Parameters

KINDS = ("none", "shared", "diagonal", "full")
BLOCK_EDGES = (1, 63, 64, 65, 128, 129)
"""Numbers of rows about which the kernels' blocks of 64 begin and end."""

ROWS = st.integers(1, 150) | st.sampled_from((*BLOCK_EDGES, 300))


@dataclass(frozen=True)
class Scene:
    """Some rows, and a mixture near the one they were drawn from."""

    mixture: Mixture
    values: np.ndarray
    noise: Noise
    weights: np.ndarray | None

    @property
    def samples(self) -> Samples:
        return Samples.from_arrays(self.values, self.noise, self.weights)

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.mixture.amplitudes, self.mixture.means, self.mixture.covariances)

    @property
    def oracle_rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, noise covariances (N, D, D) and weights, written out."""
        weights = np.ones(len(self.values)) if self.weights is None else self.weights
        return self.values, self.noise.covariances(*self.values.shape), weights


def random_covariances(rng: np.random.Generator, n: int, d: int, low=0.3, high=3.0) -> np.ndarray:
    """`n` covariances (d, d) in random directions, eigenvalues between `low` and `high`."""
    directions = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    scaled = directions * rng.uniform(low, high, size=(n, 1, d))
    matrices = scaled @ directions.swapaxes(1, 2)
    return (matrices + matrices.swapaxes(1, 2)) / 2


def random_mixture(rng: np.random.Generator, k: int, d: int, spread=3.0) -> Mixture:
    """A mixture of `k` well-conditioned components whose means scatter by `spread`."""
    amplitudes = rng.uniform(0.5, 1.5, size=k)
    means = rng.normal(scale=spread, size=(k, d))
    return Mixture(amplitudes / amplitudes.sum(), means, random_covariances(rng, k, d))


def random_noise(rng: np.random.Generator, kind: str, n: int, d: int) -> Noise:
    """Noise of `n` rows, of about the components' size."""
    if kind == "shared":
        return Noise.shared(random_covariances(rng, 1, d)[0])
    if kind == "diagonal":
        return Noise.diagonal(rng.uniform(0.1, 2.0, size=(n, d)))
    if kind == "full":
        return Noise.full(random_covariances(rng, n, d))
    return Noise.none()


def disturb(rng: np.random.Generator, values: np.ndarray, noise: Noise) -> np.ndarray:
    """Add a draw of its noise to each row."""
    covariances = noise.covariances(*values.shape)
    root = np.linalg.cholesky(covariances + 1e-300 * np.eye(values.shape[1]))
    return values + np.einsum("nde,ne->nd", root, rng.normal(size=values.shape))


def random_scene(seed: int, n=200, d=2, k=3, kind="none", missing=0.0, weighted=False, spread=3.0) -> Scene:
    """One scene; the mixture is the one the rows were drawn from."""
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, k, d, spread)
    noise = random_noise(rng, kind, n, d)
    values = disturb(rng, mixture.draw(n, rng), noise)
    values[rng.random(values.shape) < missing] = np.nan
    weights = rng.uniform(0, 3, size=n) if weighted else None
    return Scene(mixture, values, noise, weights)


@st.composite
def scenes(
    draw,
    rows=ROWS,
    kinds=KINDS,
    max_features=3,
    max_components=5,
    missing=(0.0, 0.3),
) -> Scene:
    """Scenes of up to 3 features (each more has kernels to compile), 5 components and 300 rows."""
    return random_scene(
        draw(st.integers(0, 2**32 - 1)),
        n=draw(rows),
        d=draw(st.integers(1, max_features)),
        k=draw(st.integers(1, max_components)),
        kind=draw(st.sampled_from(kinds)),
        missing=draw(st.sampled_from(missing)),
        weighted=draw(st.booleans()),
    )
