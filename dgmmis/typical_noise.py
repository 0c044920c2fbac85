"""What noise the rows typically have: how broad a component of no extent is observed."""

from __future__ import annotations

import numpy as np

from dgmmis.packed import Array, lower_indices
from dgmmis.samples import PatternGroup, Samples

__all__ = ["typical_noise"]


def typical_noise(samples: Samples) -> Array:
    """Harmonic mean (D,) of the noise variances of each feature, over the rows that have it; 0 where one is nil.

    Rows that see the features through a projection tell nothing here.
    """
    rows, precisions = np.zeros(samples.latent_features), np.zeros(samples.latent_features)
    for group in samples.groups:
        if group.projection is None:
            with np.errstate(divide="ignore"):
                precision = 1 / _variances(group, samples.noise_kind == "diagonal")
            weights = np.broadcast_to(group.weights[:, None], (len(group.weights), len(group.observed)))
            heavy = weights > 0
            rows[group.observed] += weights.sum(axis=0)
            precisions[group.observed] += np.where(heavy, weights * np.where(heavy, precision, 0), 0).sum(
                axis=0
            )
    noise = np.zeros(samples.latent_features)
    np.divide(rows, precisions, out=noise, where=precisions > 0)
    return noise


def _variances(group: PatternGroup, diagonal: bool) -> Array:
    """Variances (n, d) or (d,) of a group's noise."""
    if group.noise is None:
        return np.zeros(len(group.observed))
    i, j = lower_indices(len(group.observed))
    return group.noise if diagonal else group.noise[..., i == j]
