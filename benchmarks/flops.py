"""How many operations an expectation step needs at least.

Counted per (row, component) pair, a fused multiply-add as two, everything computed once, in the score form:
u = T^-1 (x - m), sums of q, q u and q (u u^T - T^-1). An exp per pair, and with noise of its own a log, are
not counted. Achieved rates are stated on this minimum, whatever a kernel really executes: one that
recomputes does not look faster for it.
"""

from __future__ import annotations

import numpy as np
from scenes import Scene

__all__ = ["least_flops", "least_flops_of_pair"]


def least_flops_of_pair(n_features: int, *, own_noise: bool) -> int:
    """Of a pair with `n_features` observed features.

    `own_noise` says that each row has its own T = V + S to decompose; otherwise a component has one.
    """
    d = n_features
    return d**3 + 4 * d**2 + 7 * d + 2 if own_noise else 2 * (d + 1) * (d + 2)


def least_flops(scene: Scene) -> float:
    """Of one pass over a scene's rows; a missing value makes its row as small as its observed features."""
    observed = scene.values.shape[1] - np.isnan(scene.values).sum(axis=1)
    sizes, rows = np.unique(observed, return_counts=True)
    per_row = [least_flops_of_pair(int(d), own_noise=scene.own_noise) for d in sizes]
    return float(rows @ np.array(per_row)) * len(scene.amplitudes)
