"""How far the rows of each run reach, in values and in noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.kernels.boxes import level_starts, merge_levels, noise_boxes, row_boxes
from dgmmis.packed import Array

__all__ = ["BlockBounds"]

SAMPLED = 16
"""Every so many rows tell the scale of the noise; any scale whose square is a normal number gives valid bounds."""

LEAST_SCALE = 1e-150


@dataclass(frozen=True)
class BlockBounds:
    """Boxes of a tree of runs of rows.

    Level l has a node for each run of LEAF << l rows, in order; levels follow each other, finest first.

    Attributes
    ----------
    starts : (levels + 1,)
        Where each level begins, and where the last one ends.
    low, high : (nodes, d)
        Smallest and largest value in each run.
    noise_low, noise_high : (nodes, d)
        Diagonals of matrices below and above every row's noise covariance, in the order of Loewner; 0 columns if
        rows have no noise of their own.
    """

    starts: NDArray[np.intp]
    low: Array
    high: Array
    noise_low: Array
    noise_high: Array

    @classmethod
    def of(cls, values: Array, noise: Array | None) -> BlockBounds:
        """Bounds of rows (n, d) and their noise: None or (p,) for all, (n, d) variances, (n, p) covariances."""
        starts = level_starts(len(values))
        low, high = _boxes(starts, values)
        if noise is None or noise.ndim == 1:
            return cls(starts, low, high, np.empty((0, 0)), np.empty((0, 0)))
        d = values.shape[1]
        return cls(
            starts, low, high, *(_boxes(starts, noise) if noise.shape[1] == d else _circles(starts, noise, d))
        )

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        arrays = (self.starts, self.low, self.high, self.noise_low, self.noise_high)
        return sum(array.nbytes for array in arrays)

    @property
    def most_noise(self) -> Array:
        """Diagonal (d,) of a matrix above every row's noise covariance; 0 without noise of their own."""
        return self.noise_high[-1] if len(self.noise_high) else np.zeros(self.low.shape[1])


def _boxes(starts: NDArray[np.intp], values: Array) -> tuple[Array, Array]:
    """Smallest and largest of the columns (n, d) in each node."""
    low, high = (np.empty((int(starts[-1]), values.shape[1])) for _ in range(2))
    row_boxes(values, low, high)
    merge_levels(starts, low, high)
    return low, high


def _circles(starts: NDArray[np.intp], noise: Array, d: int) -> tuple[Array, Array]:
    """Bound packed covariances (n, p) in each node."""
    variances = noise[::SAMPLED, [j * (j + 1) // 2 + j for j in range(d)]].mean(axis=0)
    low, high = (np.empty((int(starts[-1]), d)) for _ in range(2))
    scale = np.sqrt(np.where(variances > 0, variances, 1.0))
    noise_boxes(noise, np.clip(scale, LEAST_SCALE, 1 / LEAST_SCALE), low, high)
    merge_levels(starts, low, high)
    return low, high
