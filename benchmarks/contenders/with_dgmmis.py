"""dgmmis itself, through `dgmmis.fit` on arrays."""

from __future__ import annotations

from scenes import BACKGROUND_START, FOOTPRINT, Scene, keep

import dgmmis
from contenders.outcome import Outcome

__all__ = ["fit", "fit_with_fresh_draws"]


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates; the scan that `dgmmis.fit` makes after the last one is part of its cost."""
    return _fit(scene, updates, None)


def fit_with_fresh_draws(scene: Scene, updates: int) -> Outcome:
    """Impute as pyGMMis does, ten random points per observed row in every pass."""
    return _fit(scene, updates, 10)


def _fit(scene: Scene, updates: int, oversampling: float | None) -> Outcome:
    result = dgmmis.fit(
        scene.values,
        n_components=len(scene.amplitudes),
        noise=scene.noise,
        selection=keep if scene.is_selected else None,
        background=dgmmis.Background(FOOTPRINT, BACKGROUND_START) if scene.has_background else None,
        oversampling=oversampling,
        prior=None,
        initial=dgmmis.Mixture(scene.amplitudes, scene.means, scene.covariances),
        tolerance=0,
        max_passes=updates,
    )
    before = result.history[updates - 1].mean_log_likelihood
    mixture = result.mixture
    return Outcome(before, mixture.amplitudes, mixture.means, mixture.covariances)
