"""The scenes on which passes over all rows are counted: many rows, which a random sample stands for at first.

========  =========================================================  ===  ====  ==========
scene     rows                                                       D    K     rows
========  =========================================================  ===  ====  ==========
noisy     each with its own noise variances, spread as P4            3    8     10,000,000
noisy-5   each with its own noise variances, spread as P5            5    16    4,000,000
cut       W6: kept in a box, out of a hole; shared noise             2    3     10,000,000
overlap   without noise, components that overlap as those of P2      3    16    10,000,000
========  =========================================================  ===  ====  ==========
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from convergence_scenes import PROBLEMS
from drawing import Array, draw_rows, random_factors
from scenes import keep, make_scene

__all__ = ["FULL", "FullScene", "make_full_scene"]

BLOCK = 1_000_000
"""Rows that are drawn at once."""

FULL = {
    "noisy": ("noisy rows", replace(PROBLEMS["P4"], rows=10_000_000)),
    "noisy-5": (
        "noisy, five features",
        replace(PROBLEMS["P5"], n_components=16, drawn_from=16, rows=4_000_000),
    ),
    "cut": ("cut at a box with a hole", None),
    "overlap": ("overlapping, no noise", replace(PROBLEMS["P2"], rows=10_000_000)),
}
"""Title and recipe of each scene; that of "cut" is W6 of `scenes`."""

CUT_ROWS = 10_000_000


@dataclass(frozen=True)
class FullScene:
    """Rows as `dgmmis.fit` takes them.

    Attributes
    ----------
    name, title : str
    values : (N, D)
    noise : (N, D) variances, (D, D) shared by all rows, or None
    n_components : int
    selection : callable or None
    """

    name: str
    title: str
    values: Array
    noise: Array | None
    n_components: int
    selection: Callable[[Array], Array] | None = None


def make_full_scene(name: str, seed: int = 1, rows: int | None = None) -> FullScene:
    """Draw a scene; the same name, seed and number of rows give the same one."""
    title, recipe = FULL[name]
    if recipe is None:
        scene = make_scene("W6", rows or CUT_ROWS, seed)
        return FullScene(name, title, scene.values, scene.noise, len(scene.amplitudes), _chance)
    n, k, d = rows or recipe.rows, recipe.drawn_from, recipe.n_features
    rng = np.random.default_rng([list(FULL).index(name), seed])
    amplitudes = rng.dirichlet(np.full(k, 5.0))
    means = rng.normal(0, recipe.spread, (k, d))
    factors = random_factors(rng, k, d, recipe.dispersions)
    values = np.empty((n, d))
    noise = None if recipe.errors is None else np.empty((n, d))
    for first in range(0, n, BLOCK):
        some = values[first : first + BLOCK]
        some[:] = draw_rows(rng, len(some), amplitudes, means, factors)
        if noise is not None and recipe.errors is not None:
            errors = rng.uniform(*recipe.errors, some.shape)
            some += errors * rng.standard_normal(some.shape)
            noise[first : first + BLOCK] = errors**2
    return FullScene(name, title, values, noise, recipe.n_components)


def _chance(values: Array) -> Array:
    return keep(values).astype(np.float64)
