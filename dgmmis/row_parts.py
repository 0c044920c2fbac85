"""Some rows of a chunk: the others weigh nothing, or are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array
from dgmmis.samples import PatternGroup, Samples

__all__ = ["taken", "weighing_only"]


def weighing_only(samples: Samples, chosen: NDArray[np.bool_] | None) -> Samples:
    """Return the rows with weight 0 for those not `chosen` (N,); None chooses all.

    No row moves, so that bounds of runs of rows stay what they are.
    """
    if chosen is None:
        return samples
    groups = tuple(
        replace(group, weights=np.where(chosen[group.rows], group.weights, 0.0)) for group in samples.groups
    )
    return replace(samples, groups=groups)


def taken(samples: Samples, chosen: NDArray[np.bool_]) -> Samples:
    """Return the `chosen` rows (N,) only, renumbered in their order; runs of them have no bounds."""
    numbers = np.cumsum(chosen) - 1
    groups = []
    for group in samples.groups:
        kept = np.flatnonzero(chosen[group.rows])
        if len(kept):
            groups.append(_of_group(group, kept, numbers[group.rows[kept]]))
    return replace(
        samples,
        n_rows=int(chosen.sum()),
        groups=tuple(groups),
        covariates=None if samples.covariates is None else samples.covariates[chosen],
        hashes=None if samples.hashes is None else samples.hashes[chosen],
    )


def _of_group(group: PatternGroup, kept: NDArray[np.intp], rows: NDArray[np.intp]) -> PatternGroup:
    return replace(
        group,
        rows=rows,
        values=group.values[kept],
        noise=_noise(group.noise, kept),
        weights=group.weights[kept],
        densities=group.densities[kept],
        proposal=group.proposal[kept] if len(group.proposal) else group.proposal,
        projection=group.projection[kept] if group.has_own_projections else group.projection,  # type: ignore[index]
        joint_noise=_noise(group.joint_noise, kept),
        bounds=None,
    )


def _noise(noise: Array | None, kept: NDArray[np.intp]) -> Array | None:
    if noise is None or noise.ndim == 1:
        return noise
    block = noise[kept]
    block.flags.writeable = False  # as all noise is: kernels are compiled for one kind of array
    return block
