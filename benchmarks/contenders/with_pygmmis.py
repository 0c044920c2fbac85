"""pyGMMis, as published."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pygmmis
from scenes import BACKGROUND_START, FOOTPRINT, Array, Scene, keep

from contenders.outcome import Outcome

__all__ = ["fit", "fit_with_cutoff"]

MISSING_VARIANCE = 2e10
"""What it gives a missing value, at 0; the log-likelihood then counts that value's density."""


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates over all rows and components."""
    return _fit(scene, updates, None)


def fit_with_cutoff(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates, each component seeing only rows within 5 sigma: approximate, and quicker."""
    return _fit(scene, updates, 5)


def _fit(scene: Scene, updates: int, cutoff: float | None) -> Outcome:
    mixture = pygmmis.GMM(*scene.means.shape)
    mixture.amp[:] = scene.amplitudes
    mixture.mean[:] = scene.means
    mixture.covar[:] = scene.covariances
    total, _ = pygmmis.fit(
        mixture,
        scene.values,
        covar=_as_covariances(scene),
        init_method="none",
        cutoff=cutoff,
        tol=0,
        miniter=updates,
        maxiter=updates,
        background=_background(scene),
        **_selection(scene),
    )
    n_missing = int(np.isnan(scene.values).sum())
    total += n_missing * 0.5 * math.log(2 * math.pi * MISSING_VARIANCE)
    return Outcome(total / len(scene.values), mixture.amp, mixture.mean, mixture.covar)


def _as_covariances(scene: Scene) -> Array | None:
    """Make matrices of variances: it takes nothing else."""
    noise = scene.noise
    if noise is None or noise.ndim == 3 or not scene.own_noise:
        return noise
    return noise[:, :, None] * np.eye(noise.shape[1])


def _background(scene: Scene) -> pygmmis.Background | None:
    return pygmmis.Background(np.array(FOOTPRINT), BACKGROUND_START) if scene.has_background else None


def _selection(scene: Scene) -> dict[str, Any]:
    """Tell it of rows that are not there: it is to draw ten per observed row, with the shared noise."""
    if not scene.is_selected:
        return {}
    return {
        "sel_callback": keep,
        "oversampling": 10,
        "covar_callback": partial(pygmmis.covar_callback_default, default=scene.noise),
        "rng": np.random.RandomState(0),
    }
