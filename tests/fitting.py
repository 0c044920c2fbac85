"""Fits of the tests' random scenes."""

from __future__ import annotations

from dgmmis import FitResult, fit
from strategies import Scene


def fit_scene(scene: Scene, **settings) -> FitResult:
    """Fit from the scene's own mixture and with its weights, unless told otherwise."""
    settings = {"initial": scene.mixture, "weights": scene.weights, **settings}
    return fit(scene.values, n_components=scene.mixture.n_components, noise=scene.noise, **settings)
