"""Fixed points of the unit cube, in independent scrambles whose scatter tells the error of a mean over them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from dgmmis.packed import Array

__all__ = ["SCRAMBLES", "normal_points", "uniform_points"]

SCRAMBLES = 8


@lru_cache(maxsize=32)
def uniform_points(n_dimensions: int, points: int, seed: int) -> Array:
    """Place scrambled Sobol points (8, points / 8, n_dimensions), strictly between 0 and 1.

    References
    ----------
    Owen 1998, J. Complexity 14, 466.
    """
    from scipy.stats import qmc

    power = int(points // SCRAMBLES).bit_length() - 1
    scrambles = []
    for scramble in range(SCRAMBLES):
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(scramble,)))
        scrambles.append(qmc.Sobol(n_dimensions, scramble=True, seed=stream).random_base2(power))
    found = np.stack(scrambles) * (1 - 2.0**-30) + 2.0**-31
    found.flags.writeable = False
    return found


@lru_cache(maxsize=32)
def normal_points(n_dimensions: int, points: int, seed: int) -> Array:
    """Place standard normal points (points, n_dimensions), scramble by scramble.

    They are matched: together they have mean 0 and covariance 1, so a constant tilts nothing.
    """
    drawn = ndtri(uniform_points(n_dimensions, points, seed)).reshape(points, n_dimensions)
    drawn = drawn - drawn.mean(axis=0)
    scatter = np.einsum("ma,mb->ab", drawn, drawn) / points
    matched = np.linalg.solve(np.linalg.cholesky(scatter), drawn.T).T.copy()
    matched.flags.writeable = False
    return matched
