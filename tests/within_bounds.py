"""When two summaries of the same rows agree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import oracle
from dgmmis.expectation import summarize_samples
from dgmmis.packed import unpack
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from strategies import Scene

AGREEMENT = 1e-12


def summarize(scene: Scene) -> Statistics:
    return summarize_samples(Population(scene.mixture), scene.samples)


def magnitudes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of s q, s q |u| and s q (|u u^T| + |G|), whitened by each component's covariance."""
    A, h, H = np.zeros((3, scene.mixture.n_components))
    for x, S, s in oracle.informative(*scene.oracle_rows):
        q = oracle.responsibilities(x, S, scene.parameters)
        for k, (_, m, V) in enumerate(zip(*scene.parameters, strict=True)):
            u, G = oracle.score(x, S, m, V)
            root = np.linalg.cholesky(V)
            A[k] += s * q[k]
            h[k] += s * q[k] * np.linalg.norm(root.T @ u)
            H[k] += s * q[k] * (np.linalg.norm(root.T @ u) ** 2 + np.linalg.norm(root.T @ G @ root))
    return A, h, H


def whitened(scene: Scene, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    roots = np.linalg.cholesky(scene.mixture.covariances)
    upper = roots.swapaxes(1, 2)
    return np.einsum("kde,ke->kd", upper, first), upper @ second @ roots


def assert_agree(scene: Scene, left: Statistics, right: Statistics | oracle.Scores) -> None:
    """Statistics agree to 1e-12 of the sums of their terms' magnitudes."""
    A, h, H = magnitudes(scene)
    others = right.second if isinstance(right, oracle.Scores) else unpack(right.second)
    first, second = whitened(scene, left.first - right.first, unpack(left.second) - others)
    assert (np.abs(left.zeroth - right.zeroth) <= AGREEMENT * A).all()
    assert (np.linalg.norm(first, axis=1) <= AGREEMENT * h).all()
    assert (np.linalg.norm(second, axis=(1, 2)) <= AGREEMENT * H).all()
    assert left.log_likelihood == pytest.approx(right.log_likelihood, rel=AGREEMENT, abs=AGREEMENT)


def assert_same_bits(left: Statistics, right: Statistics) -> None:
    for field in dataclasses.fields(Statistics):
        assert np.array_equal(getattr(left, field.name), getattr(right, field.name)), field.name
