"""Cross-validation finds the number of components that the rows were drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dgmmis
from simulated import noisy_rows

SIMULATIONS = 24
LEAST = 0.75
"""Of the simulations, in which the right K is to win; docs/comparison.md has what was measured."""

pytestmark = pytest.mark.statistical


@pytest.mark.timeout(900)
def test_the_right_number_of_components_wins_by_cross_validation_and_loses_on_the_rows_fitted() -> None:
    """Noise of each row's own, a fifth of the values missing.  The likelihood of fitted rows always wants more."""
    left_out, fitted = [], []
    for seed in range(SIMULATIONS):
        values, noise = noisy_rows(1_000, seed=100 + seed)
        found = dgmmis.compare(
            values, noise=noise, n_components=(1, 2, 3, 4, 5), folds=5, restarts=4, seed=seed, max_passes=150
        )
        numbers = np.array([one.fitted.n_components for one in found.models])
        left_out.append(found.best.fitted.n_components)
        fitted.append(numbers[np.argmax([one.fitted.log_likelihood for one in found.models])])
    share = float(np.mean(np.array(left_out) == 3))
    error = math.sqrt(share * (1 - share) / SIMULATIONS)
    assert share >= LEAST, f"{share:.2f} +- {error:.2f}: {np.bincount(left_out)}"
    assert min(left_out) >= 3
    assert min(fitted) > 3
