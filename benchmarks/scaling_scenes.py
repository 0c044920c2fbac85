"""Scenes whose size varies in one direction at a time: rows, components or features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from drawing import common_start, draw_noise, draw_rows, noise_covariances, random_factors, random_mixture
from scenes import Scene

__all__ = ["SERIES", "Series", "diagonal_noise", "fragmented", "full_noise"]

SPACING, JITTER = 10.0, 2.0
START_OFFSET = 0.4


@dataclass(frozen=True)
class Series:
    """Scenes that differ in one number.

    Attributes
    ----------
    varied : {"N", "D", "K"}
    title : str
    sizes : tuple of int
        Of what varies.
    rows : int or None
        Of each scene at its full size; None where they are what varies.
    make : callable
        Makes a scene of a size, or of rows where they vary; given both as (size, rows).
    per_row : bool
        The time of interest is that per row, not per row and component.
    contender : str
        Which of our ways.
    """

    varied: str
    title: str
    sizes: tuple[int, ...]
    rows: int | None
    make: Callable[[int, int], Scene]
    per_row: bool = False
    contender: str = "dgmmis"


def diagonal_noise(n_components: int, rows: int) -> Scene:
    """Draw D = 3 rows with variances of their own, from components that overlap."""
    rng = np.random.default_rng((1, n_components))
    true = draw_rows(rng, rows, *random_mixture(rng, n_components, 3, (0.5, 1.6)))
    errors = rng.uniform(0.2, 1.2, true.shape)
    values = true + errors * rng.standard_normal(true.shape)
    return Scene("diagonal noise", values, errors**2, *common_start(rng, values, n_components))


def full_noise(n_features: int, rows: int, n_components: int = 16) -> Scene:
    """Draw rows with covariances of their own, from components that overlap."""
    rng = np.random.default_rng((2, n_features))
    true = draw_rows(rng, rows, *random_mixture(rng, n_components, n_features, (0.4, 1.6)))
    noise = noise_covariances(rng, rows, n_features, (0.2, 1.2))
    values = true + draw_noise(rng, noise)
    return Scene("full noise", values, noise, *common_start(rng, values, n_components))


def fragmented(n_components: int, rows: int) -> Scene:
    """Draw D = 3 rows without noise, from small components on a jittered lattice.

    Size and distance of components do not depend on their number: the lattice grows.
    """
    rng = np.random.default_rng((3, n_components))
    side = int(np.ceil(np.cbrt(n_components)))
    cells = rng.choice(side**3, n_components, replace=False)
    lattice = SPACING * np.stack(np.unravel_index(cells, (side,) * 3), axis=1)
    means = lattice + rng.uniform(-JITTER, JITTER, lattice.shape)
    factors = random_factors(rng, n_components, 3, (0.3, 0.9))
    amplitudes = rng.dirichlet(np.full(n_components, 20.0))
    values = draw_rows(rng, rows, amplitudes, means, factors)
    start = means + rng.normal(0, START_OFFSET, means.shape)
    unit = np.tile(np.eye(3), (n_components, 1, 1))
    return Scene("fragmented", values, None, np.full(n_components, 1 / n_components), start, unit)


def _of_rows(size: int, rows: int) -> Scene:
    return diagonal_noise(16, rows)


SERIES = (
    Series("N", "diagonal noise, D = 3, K = 16", (10_000, 100_000, 1_000_000, 4_000_000), None, _of_rows),
    Series("K", "diagonal noise, D = 3", (4, 16, 64, 256), 100_000, diagonal_noise),
    Series("D", "full noise, K = 16", (1, 2, 3, 4, 5, 6, 7, 8), 100_000, partial(full_noise)),
    Series(
        "K", "fragmented, D = 3, chunks ordered", (100, 1_000, 10_000), 1_000_000, fragmented, per_row=True
    ),
    Series(
        "K",
        "fragmented, D = 3, catalogue ordered",
        (100, 1_000, 10_000),
        4_000_000,
        fragmented,
        True,
        "dgmmis, ordered catalogue",
    ),
)
