"""How large and how correlated a catalogue's noise is, judged by its pilot."""

from __future__ import annotations

from typing import Any

import numpy as np

from dgmmis.packed import Array
from dgmmis.store.schema import Schema, StoredRows
from dgmmis.store.zones import errors_of

__all__ = ["as_json_numbers", "noise_health"]


def noise_health(schema: Schema, pilot: StoredRows) -> dict[str, Any]:
    """Typical, smallest and largest error per feature and the largest correlation, JSON-able.

    Parameters
    ----------
    schema : Schema
    pilot : StoredRows

    Returns
    -------
    dict
        "rows" says of how many rows it speaks; errors include the jitter, a feature that none of them
        has gives None, and so do catalogues without noise.
    """
    health: dict[str, Any] = {"judged_by": "pilot", "rows": len(pilot)}
    if schema.noise_kind == "none":
        return health | {"typical_error": None, "smallest_error": None, "largest_error": None}
    errors = errors_of(pilot.values, schema.noise(pilot.noise))
    health["typical_error"] = as_json_numbers([_median(column) for column in errors.T])
    health["smallest_error"] = as_json_numbers(np.fmin.reduce(errors))
    health["largest_error"] = as_json_numbers(np.fmax.reduce(errors))
    if schema.noise_kind == "full":
        health["largest_correlation"] = _largest_correlation(schema, pilot)
    return health


def _median(errors: Array) -> float:
    observed = errors[~np.isnan(errors)]
    return float(np.median(observed)) if len(observed) else np.nan


def _largest_correlation(schema: Schema, pilot: StoredRows) -> dict[str, Any] | None:
    """Largest |correlation| of two observed features, and which two."""
    noise = schema.noise(pilot.noise).array
    assert noise is not None
    first, second = np.tril_indices(schema.n_features, -1)
    if not len(first):
        return None
    errors = errors_of(pilot.values, schema.noise(pilot.noise))
    scale = errors[:, first] * errors[:, second]
    covariances = noise[:, first * (first + 1) // 2 + second]
    sizes = np.divide(np.abs(covariances), scale, out=np.zeros_like(scale), where=scale > 0)
    row, pair = np.unravel_index(np.argmax(sizes), sizes.shape)
    names = [schema.features[first[pair]], schema.features[second[pair]]]
    return {"size": float(sizes[row, pair]), "features": names}


def as_json_numbers(numbers: Any) -> list[float | None]:
    """Give floats as JSON has them: None for what is not finite."""
    return [float(number) if np.isfinite(number) else None for number in numbers]
