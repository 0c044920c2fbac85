"""scikit-learn's GaussianMixture, without its regularisation of covariances."""

from __future__ import annotations

import warnings

import numpy as np
from scenes import Scene
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from contenders.outcome import Outcome

__all__ = ["fit"]


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates; it knows neither noise nor missing values."""
    mixture = GaussianMixture(
        len(scene.amplitudes),
        tol=0,
        reg_covar=0,
        max_iter=updates,
        weights_init=scene.amplitudes,
        means_init=scene.means,
        precisions_init=np.linalg.inv(scene.covariances),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is asked for few updates
        mixture.fit(scene.values)
    return Outcome(mixture.lower_bound_, mixture.weights_, mixture.means_, mixture.covariances_)
