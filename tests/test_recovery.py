"""Over many simulated catalogues a fit is unbiased where it knows the noise, and biased where it does not."""

from __future__ import annotations

import numpy as np
import pytest

import dgmmis
from simulated import TRUTH, noisy_rows

pytestmark = [pytest.mark.statistical, pytest.mark.timeout(1500)]

N_CATALOGUES, N_ROWS = 100, 3_000


def parameters(mixture: dgmmis.Mixture) -> np.ndarray:
    """All parameters in one row."""
    lower = np.tril_indices(3)
    return np.concatenate(
        [mixture.amplitudes, mixture.means.ravel(), mixture.covariances[:, lower[0], lower[1]].ravel()]
    )


def deviations(*, with_noise: bool, missing: float) -> np.ndarray:
    """Mean deviation of each parameter from the truth in units of its own standard error."""
    found = []
    for seed in range(N_CATALOGUES):
        values, noise = noisy_rows(N_ROWS, seed, missing)
        fit = dgmmis.fit(values, n_components=3, noise=noise if with_noise else None, initial=TRUTH)
        found.append(parameters(fit.mixture))
    offsets = np.array(found) - parameters(TRUTH)
    return offsets.mean(axis=0) / (offsets.std(axis=0) / np.sqrt(N_CATALOGUES))


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_parameters_are_unbiased_within_the_error_of_the_mean(missing: float) -> None:
    # A maximum-likelihood covariance is too small by about 1/n of itself, a tenth of its standard error here.
    assert np.abs(deviations(with_noise=True, missing=missing)).max() < 4.5


def test_ignoring_the_noise_fails_the_same_test() -> None:
    assert np.abs(deviations(with_noise=False, missing=0.3)).max() > 20
