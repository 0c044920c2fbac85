"""The order of a kd-tree from its definition: recursive, with whole sorts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def scales(values: np.ndarray) -> np.ndarray:
    """Interquartile range of every so-manieth point, else the extent of all."""
    sample = np.sort(values[:: max(1, len(values) // 4096)], axis=0)
    spread = sample[3 * len(sample) // 4] - sample[len(sample) // 4]
    return np.where(spread > 0, spread, np.ptp(values, axis=0))


def left_size(n_points: int, leaf: int) -> int:
    """The largest leaf * 2^j below n_points."""
    return max(size for j in range(60) if (size := leaf * 2**j) < n_points)


def kd_leaves(values: np.ndarray, leaf: int, scale: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of the points in each leaf, from left to right."""

    def split(points: np.ndarray) -> Iterator[np.ndarray]:
        if len(points) <= leaf:
            yield points
            return
        extent = np.ptp(values[points], axis=0)
        widths = [e / s if e > 0 else 0.0 for e, s in zip(extent, scale, strict=True)]
        axis = int(np.argmax(widths))
        ranked = points[np.lexsort((points, values[points, axis]))]
        middle = left_size(len(points), leaf)
        yield from split(np.sort(ranked[:middle]))
        yield from split(np.sort(ranked[middle:]))

    yield from split(np.arange(len(values)))


def kd_positions(values: np.ndarray, leaf: int = 64, variances: np.ndarray | None = None) -> np.ndarray:
    """What `kd_order` must return; with `variances` of the values, how rows with such noise are ordered."""
    if len(values) <= leaf or not values.shape[1]:
        return np.arange(len(values))
    scale = scales(values)
    if variances is not None:
        sizes = [noise_size(row, scale) for row in variances]
        values, scale = np.column_stack((values, sizes)), np.append(scale, 4.0)
    return np.concatenate(list(kd_leaves(values, leaf, scale)))


def noise_size(variances: np.ndarray, scale: np.ndarray) -> float:
    """Half the log of the largest variance in units of the scale, at least 1 % of it; linear between powers of 2."""
    share = max(float(v / s / s) if s > 0 else 0.0 for v, s in zip(variances, scale, strict=True)) + 0.01**2
    fraction, exponent = math.frexp(share)
    return 0.5 * math.log(2) * (exponent + 2 * fraction)
