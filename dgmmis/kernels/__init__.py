"""The compiled expectation step: blocks of rows in, sums over rows out.

`generic` works for any number of features.  For up to LARGEST of them there is straight-line code, several times as
fast, which can also leave out components that do not matter in a block of rows.  All calls add to accumulators
that the caller owns, release the GIL and use one thread.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["LARGEST", "straight_kernels"]

LARGEST = 8
"""Features up to which there is straight-line code."""


def straight_kernels(d: int) -> ModuleType:
    """Import the straight-line kernels for `d` features, from 1 to LARGEST.

    The module has, for each kind of noise ("fixed": shared or none, "diagonal", "full"):

    statistics_KIND(values, [noise,] weights, extra, [proposal,] constants, means, shapes, low, high,
    [noise_low, noise_high,] starts, share, zeroth, first, second, log_density, account)
        values : (n, d)                    observed features
        noise : (n, d) or (n, p)           variances, or packed covariances; not for "fixed"
        weights : (n,)
        extra : (n, J)                     ln a b(x_i) of J further densities without parameters
        proposal : (n,)                    only for "fixed": ln h(x_i) of importance points, which weigh p / h more;
                                           empty for rows
        constants : (K,)                   ln a_k - d ln(2 pi) / 2, for "fixed" also - ln |T_k| / 2
        means : (K, d)
        shapes : (K, p)                    packed covariances; for "fixed" lower triangles W_k, W_k^T W_k = T_k^-1
        low, high, noise_low, noise_high : (nodes, d)   as in `BlockBounds`
        starts : (levels + 1,)             likewise
        share : float                      ln of the share of a row's density that a component left out may hold;
                                           -infinity leaves none out
        zeroth, first, second : (K + J,), (K, d), (K, p)
            Added to: sum s q, sum s q u, sum s q (u u^T - T^-1); for "fixed" sum s q, sum s q y, sum s q y y^T with
            y = W (x - m).
        log_density : (n,)                 overwritten: ln p(x_i)
        account : (2,)
            Added to: (row, component) pairs whose density was computed; bound of sum s |error of ln p| by the others.
    """
    return import_module(f"dgmmis.kernels.straight_{d}")
