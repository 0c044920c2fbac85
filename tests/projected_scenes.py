"""Random rows that see a mixture through projections, and what their statistics are known to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

import oracle
from dgmmis.expectation import summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import unpack
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from strategies import BLOCK_EDGES, KINDS, disturb, random_mixture, random_noise

AGREEMENT = 1e-12


@dataclass(frozen=True)
class ProjectedScene:
    """Some rows, how they see a mixture, and the mixture they were drawn from."""

    mixture: Mixture
    values: np.ndarray
    noise: Noise
    weights: np.ndarray
    projection: np.ndarray

    @property
    def samples(self) -> Samples:
        return Samples.from_arrays(self.values, self.noise, self.weights, projection=self.projection)

    @property
    def parameters(self) -> oracle.Parameters:
        return oracle.Parameters(self.mixture.amplitudes, self.mixture.means, self.mixture.covariances)

    @property
    def row_projections(self) -> np.ndarray:
        """One projection per row, written out."""
        return np.broadcast_to(self.projection, (len(self.values), *self.projection.shape[-2:]))

    @property
    def covariances(self) -> np.ndarray:
        """Noise covariances (N, d, d), written out."""
        return self.noise.covariances(*self.values.shape)

    @property
    def oracle_rows(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Values, noise covariance and projection of each row."""
        return list(zip(self.values, self.covariances, self.row_projections, strict=True))


def random_projections(rng: np.random.Generator, n: int, d: int, n_features: int) -> np.ndarray:
    """`n` matrices (d, D) in random directions, singular values between 0.5 and 2."""
    left = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    right = np.linalg.qr(rng.normal(size=(n, n_features, n_features)))[0]
    middle = np.zeros((n, d, n_features))
    diagonal = np.arange(min(d, n_features))
    middle[:, diagonal, diagonal] = rng.uniform(0.5, 2.0, size=(n, len(diagonal)))
    return left @ middle @ right


def projected_scene(
    seed: int, n=100, d=2, n_features=3, k=2, kind="full", shared=False, missing=0.0
) -> ProjectedScene:
    """One scene, weighted."""
    rng = np.random.default_rng(seed)
    mixture, noise = random_mixture(rng, k, n_features), random_noise(rng, kind, n, d)
    projection = random_projections(rng, 1 if shared else n, d, n_features)
    values = disturb(
        rng, np.einsum("nij,nj->ni", projection + np.zeros((n, 1, 1)), mixture.draw(n, rng)), noise
    )
    values[rng.random(values.shape) < missing] = np.nan
    weights = rng.uniform(0, 3, size=n)
    return ProjectedScene(mixture, values, noise, weights, projection[0] if shared else projection)


@st.composite
def projected_scenes(draw, kinds=KINDS, shared=(False, True), missing=(0.0, 0.3)) -> ProjectedScene:
    """Scenes of up to 4 features on either side; without noise no more of the rows' than of the mixture's."""
    kind, n_features = draw(st.sampled_from(kinds)), draw(st.integers(1, 4))
    return projected_scene(
        draw(st.integers(0, 2**32 - 1)),
        n=draw(st.integers(1, 40) | st.sampled_from(BLOCK_EDGES)),
        d=draw(st.integers(1, n_features if kind == "none" else 4)),
        n_features=n_features,
        k=draw(st.integers(1, 3)),
        kind=kind,
        shared=draw(st.sampled_from(shared)),
        missing=draw(st.sampled_from(missing)),
    )


def summarize(scene: ProjectedScene) -> Statistics:
    return summarize_samples(Population(scene.mixture), scene.samples)


def assert_agree(scene: ProjectedScene, left: Statistics, right: Statistics | oracle.Scores) -> None:
    """Statistics agree to 1e-12 of the sums of their terms' magnitudes."""
    A, h, H = np.zeros((3, scene.mixture.n_components))
    rows = oracle.projected(scene.values, scene.covariances, scene.weights, scene.row_projections)
    for (x, S, s), R in rows:
        q = s * oracle.responsibilities(x, S, scene.parameters, R)
        for k, (_, m, V) in enumerate(zip(*scene.parameters, strict=True)):
            u, G = oracle.score(x, S, m, V, R)
            A[k] += q[k]
            h[k] += q[k] * np.linalg.norm(u)
            H[k] += q[k] * (u @ u + np.linalg.norm(G))
    second = right.second if isinstance(right, oracle.Scores) else unpack(right.second)
    assert (np.abs(left.zeroth - right.zeroth) <= AGREEMENT * A).all()
    assert (np.linalg.norm(left.first - right.first, axis=1) <= AGREEMENT * h).all()
    assert (np.linalg.norm(unpack(left.second) - second, axis=(1, 2)) <= AGREEMENT * H).all()
    assert left.log_likelihood == pytest.approx(right.log_likelihood, rel=AGREEMENT, abs=AGREEMENT)
