"""dgmmis itself, through `dgmmis.fit` on arrays."""

from __future__ import annotations

from scenes import Scene

import dgmmis
from contenders.outcome import Outcome

__all__ = ["fit"]


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates; the scan that `dgmmis.fit` makes after the last one is part of its cost."""
    result = dgmmis.fit(
        scene.values,
        n_components=len(scene.amplitudes),
        noise=scene.noise,
        initial=dgmmis.Mixture(scene.amplitudes, scene.means, scene.covariances),
        tolerance=0,
        max_passes=updates,
    )
    before = result.history[updates - 1].mean_log_likelihood
    mixture = result.mixture
    return Outcome(before, mixture.amplitudes, mixture.means, mixture.covariances)
