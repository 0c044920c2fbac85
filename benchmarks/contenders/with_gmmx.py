"""gmmx, on JAX's processor backend, without its regularisation of covariances.

It refuses any number that is not float32, so single precision is all there is.
"""

from __future__ import annotations

import numpy as np
from gmmx import EMFitter, GaussianMixtureModelJax
from jax import numpy as jnp
from scenes import Scene

from contenders.outcome import Outcome

__all__ = ["fit"]


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates; it knows neither noise nor missing values."""
    start = GaussianMixtureModelJax.from_squeezed(
        means=scene.means.astype(np.float32),
        covariances=scene.covariances.astype(np.float32),
        weights=scene.amplitudes.astype(np.float32),
    )
    values = jnp.asarray(scene.values, dtype=np.float32)
    result = EMFitter(max_iter=updates, tol=0, reg_covar=0).fit(values, start)
    mixture = result.gmm
    return Outcome(
        float(result.log_likelihood),
        mixture.weights_numpy.astype(np.float64),
        mixture.means_numpy.astype(np.float64),
        mixture.covariances.values_numpy.astype(np.float64),
    )
