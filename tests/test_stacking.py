"""Stacking weights are those of the best mixture of models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from dgmmis.stacking import stack_scores


def value(weights: np.ndarray, scores: np.ndarray) -> float:
    return float(np.mean(np.log(weights @ np.exp(scores - scores.max(axis=0))) + scores.max(axis=0)))


@given(seed=st.integers(0, 2**32 - 1), models=st.integers(1, 8), rows=st.integers(1, 300))
def test_no_weights_are_better_than_by_the_gap(seed: int, models: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(models, rows)) * rng.uniform(0.1, 30)
    found = stack_scores(scores)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (found.weights >= 0).all()
    assert found.gap <= 1e-6
    assert found.mean_log_density == pytest.approx(value(found.weights, scores), abs=1e-9)
    others = [*np.eye(models), *rng.dirichlet(np.full(models, 0.5), size=50)]
    others += [0.99 * found.weights + 0.01 * other for other in others]
    assert max(value(other, scores) for other in others) <= found.mean_log_density + found.gap + 1e-12


def test_weights_are_those_with_which_the_rows_were_drawn() -> None:
    """Two normals apart: the weight of one has a binomial standard error."""
    rng = np.random.default_rng(4)
    x = np.where(rng.random(4000) < 0.3, rng.normal(10, 1, 4000), rng.normal(0, 1, 4000))
    found = stack_scores(np.array([norm.logpdf(x, 0, 1), norm.logpdf(x, 10, 1), norm.logpdf(x, -30, 1)]))
    assert found.weights == pytest.approx([0.7, 0.3, 0], abs=4 * np.sqrt(0.21 / 4000))
    assert found.weights[2] == 0


def test_a_row_of_weight_3_is_3_rows() -> None:
    rng = np.random.default_rng(5)
    scores, weights = rng.normal(size=(3, 40)), rng.integers(1, 4, 40)
    repeated = stack_scores(np.repeat(scores, weights, axis=1), gap=1e-9)
    assert stack_scores(scores, weights.astype(float), gap=1e-9).weights == pytest.approx(
        repeated.weights, abs=1e-5
    )


def test_models_that_say_the_same_share_a_weight() -> None:
    scores = np.random.default_rng(6).normal(size=(1, 30))
    assert stack_scores(np.repeat(scores, 4, axis=0)).weights == pytest.approx([0.25] * 4)
