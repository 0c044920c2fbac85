"""dgmmis itself, through `dgmmis.fit` on arrays, or on a catalogue whose rows were ordered throughout."""

from __future__ import annotations

import atexit
import shutil
import tempfile

from scenes import BACKGROUND_START, FOOTPRINT, Scene, keep

import dgmmis
from contenders.outcome import Outcome

__all__ = ["fit", "fit_ordered", "fit_with_fresh_draws"]


def fit(scene: Scene, updates: int) -> Outcome:
    """Make `updates` updates; the scan that `dgmmis.fit` makes after the last one is part of its cost."""
    return _fit(scene, updates, None)


def fit_with_fresh_draws(scene: Scene, updates: int) -> Outcome:
    """Impute as pyGMMis does, ten random points per observed row in every pass."""
    return _fit(scene, updates, 10)


def fit_ordered(scene: Scene, updates: int) -> Outcome:
    """Fit a catalogue of rows without noise, each chunk of which covers a small region; every pass reads it."""
    return _fit(scene, updates, None, _ordered_catalogue(scene))


_catalogues: dict[int, dgmmis.Catalog] = {}
"""Of the scenes of this process, by identity."""


def _ordered_catalogue(scene: Scene) -> dgmmis.Catalog:
    if id(scene) not in _catalogues:
        folder = tempfile.mkdtemp(prefix="ordered-")
        atexit.register(shutil.rmtree, folder)
        features = [f"x{j}" for j in range(scene.values.shape[1])]
        path = f"{folder}/rows.zarr"
        _catalogues[id(scene)] = dgmmis.ingest(scene.values, path, features=features, order="catalog")
    return _catalogues[id(scene)]


def _fit(
    scene: Scene, updates: int, oversampling: float | None, catalogue: dgmmis.Catalog | None = None
) -> Outcome:
    result = dgmmis.fit(
        scene.values if catalogue is None else catalogue,
        n_components=len(scene.amplitudes),
        noise=scene.noise,
        selection=keep if scene.is_selected else None,
        background=dgmmis.Background(FOOTPRINT, BACKGROUND_START) if scene.has_background else None,
        oversampling=oversampling,
        prior=None,
        initial=dgmmis.Mixture(scene.amplitudes, scene.means, scene.covariances),
        tolerance=0,
        max_passes=updates,
        method="em",
    )
    before = result.history[updates - 1].mean_log_likelihood
    mixture = result.mixture
    return Outcome(before, mixture.amplitudes, mixture.means, mixture.covariances)
