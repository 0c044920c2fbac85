"""The scenes all contenders are timed on: rows, their noise, and one start for everybody.

All are drawn from mixtures; a fixed seed each, any number of rows.

======  ==========================================================  ===  ====  =========
scene   rows                                                        D    K     full size
======  ==========================================================  ===  ====  =========
W1      without noise                                               3    16    1 000 000
W2      without noise, small components on a jittered 16 x 16 grid  2    256     200 000
W3      each with its own noise covariance                          5    32      200 000
W4      each with its own noise variances                           3    16    1 000 000
W5      as W3 with less noise; 30 % of the values missing           5    16      100 000
W6      pyGMMis' test: kept in a box, out of a hole; shared noise   2    3       100 000
W8      the same in three dimensions                                3    16      100 000
======  ==========================================================  ===  ====  =========
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from drawing import (
    Array,
    common_start,
    draw_noise,
    draw_rows,
    noise_covariances,
    random_factors,
    random_mixture,
)
from numpy.typing import NDArray

__all__ = [
    "BACKGROUND_START", "FOOTPRINT", "FULL_ROWS", "SELECTED",
    "Array", "Scene", "keep", "load_scene", "make_scene", "save_scene",
]  # fmt: skip

FULL_ROWS = {
    "W1": 1_000_000,
    "W2": 200_000,
    "W3": 200_000,
    "W4": 1_000_000,
    "W5": 100_000,
    "W6": 100_000,
    "W7": 100_000,
    "W8": 100_000,
}
"""Rows of each scene at its full size."""

SELECTED = ("W6", "W7", "W8")
"""Scenes whose rows `keep` kept."""

FOOTPRINT = ((-10.0, -10.0), (20.0, 20.0))
"""Opposite corners of the background of W7."""

BACKGROUND_START = 0.1
"""Its share of all rows that contenders start from; the truth is `BACKGROUND_SHARE`."""

BACKGROUND_SHARE = 0.2
GRID_SIDE = 16
MISSING_FRACTION = 0.3


@dataclass(frozen=True)
class Scene:
    """Rows and the mixture every contender starts from.

    Attributes
    ----------
    name : str
    values : (N, D)
        NaN means missing.
    noise : None, (N, D) variances, (N, D, D) covariances, or (D, D) shared by all rows
    amplitudes, means, covariances : (K,), (K, D), (K, D, D)
        The start.
    """

    name: str
    values: Array
    noise: Array | None
    amplitudes: Array
    means: Array
    covariances: Array

    @property
    def n_pairs(self) -> int:
        """Rows times components."""
        return len(self.values) * len(self.amplitudes)

    @property
    def is_selected(self) -> bool:
        """Whether `keep` decided which rows there are."""
        return self.name in SELECTED

    @property
    def has_background(self) -> bool:
        """Whether some rows come from a background, uniform in `FOOTPRINT`."""
        return self.name == "W7"

    @property
    def own_noise(self) -> bool:
        """Whether each row has noise of its own."""
        return self.noise is not None and len(self.noise) == len(self.values)


def keep(values: Array) -> NDArray[np.bool_]:
    """Tell which rows (n, D) were observed: those between 0 and 10, farther than 2 from (6.5, 6) in the first two."""
    inside = ((values > 0) & (values < 10)).all(axis=1)
    return np.asarray(inside & (((values[:, :2] - (6.5, 6.0)) ** 2).sum(axis=1) > 4))


def make_scene(name: str, rows: int | None = None, again: int = 0) -> Scene:
    """Draw scene `name` with `rows` rows, by default all of them; `again` numbers other draws of the same kind."""
    seed, draw = _DRAWERS[name]
    rng = np.random.default_rng([seed, again] if again else seed)
    return draw(name, FULL_ROWS[name] if rows is None else rows, rng)


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene to one file, which `load_scene` reads."""
    arrays = {key: array for key, array in vars(scene).items() if array is not None}
    np.savez(path, **arrays)


def load_scene(path: Path) -> Scene:
    """Read what `save_scene` wrote."""
    with np.load(path) as arrays:
        kept = {key: arrays[key] for key in arrays.files}
    name = str(kept.pop("name"))
    return Scene(name, noise=kept.pop("noise", None), **kept)


def _noise_free(name: str, rows: int, rng: np.random.Generator) -> Scene:
    values = draw_rows(rng, rows, *random_mixture(rng, 16, 3, (0.5, 1.6)))
    return Scene(name, values, None, *common_start(rng, values, 16))


def _fragmented(name: str, rows: int, rng: np.random.Generator) -> Scene:
    n_components = GRID_SIDE**2
    grid = 10.0 * np.stack(np.divmod(np.arange(n_components), GRID_SIDE), axis=1)
    means = grid + rng.uniform(-2, 2, grid.shape)
    amplitudes = rng.dirichlet(np.full(n_components, 20.0))
    factors = random_factors(rng, n_components, 2, (0.3, 0.9))
    values = draw_rows(rng, rows, amplitudes, means, factors)
    start = means + rng.normal(0, 0.4, means.shape)
    unit = np.tile(np.eye(2), (n_components, 1, 1))
    return Scene(name, values, None, np.full(n_components, 1 / n_components), start, unit)


def _full_noise(name: str, rows: int, rng: np.random.Generator) -> Scene:
    true = draw_rows(rng, rows, *random_mixture(rng, 32, 5, (0.4, 1.6)))
    noise = noise_covariances(rng, rows, 5, (0.2, 1.2))
    values = true + draw_noise(rng, noise)
    return Scene(name, values, noise, *common_start(rng, values, 32))


def _diagonal_noise(name: str, rows: int, rng: np.random.Generator) -> Scene:
    true = draw_rows(rng, rows, *random_mixture(rng, 16, 3, (0.5, 1.6)))
    errors = rng.uniform(0.2, 1.2, true.shape)
    values = true + errors * rng.standard_normal(true.shape)
    return Scene(name, values, errors**2, *common_start(rng, values, 16))


def _missing_values(name: str, rows: int, rng: np.random.Generator) -> Scene:
    true = draw_rows(rng, rows, *random_mixture(rng, 16, 5, (0.4, 1.6)))
    noise = noise_covariances(rng, rows, 5, (0.2, 0.8))
    values = true + draw_noise(rng, noise)
    missing = rng.random(values.shape) < MISSING_FRACTION
    missing[missing.all(axis=1), 0] = False  # each row keeps a value
    values[missing] = np.nan
    return Scene(name, values, noise, *common_start(rng, values, 16))


def _selected_plane(name: str, rows: int, rng: np.random.Generator, share: float = 0.0) -> Scene:
    amplitudes = np.array([0.36060026, 0.27986906, 0.206774])
    means = 10 * np.array([[0.08016886, 0.21300697], [0.70306351, 0.6709532], [0.0108767, 0.852077]])
    packed = [
        [0.08530014, -0.00314178, 0.00541106],
        [0.03053402, 0.0125736, 0.01075791],
        [0.00258605, 0.00409287, 0.01065186],
    ]
    covariances = 100 * np.array(packed)[:, [0, 1, 1, 2]].reshape(3, 2, 2)
    truth = amplitudes / amplitudes.sum(), means, np.linalg.cholesky(covariances)
    start = means + np.array([[1.0, 0.5], [-1.0, -0.5], [0.8, -0.6]])
    values = _kept_rows(rng, rows, *truth, share)
    return Scene(name, values, 0.25 * np.eye(2), np.full(3, 1 / 3), start, np.tile(4 * np.eye(2), (3, 1, 1)))


def _selected_space(name: str, rows: int, rng: np.random.Generator) -> Scene:
    amplitudes, means, factors = random_mixture(rng, 16, 3, (0.5, 1.6))
    means = 5 + 5 / 6 * means
    values = _kept_rows(rng, rows, amplitudes, means, factors)
    return Scene(name, values, 0.25 * np.eye(3), *common_start(rng, values, 16))


_DRAWERS: dict[str, tuple[int, Callable[[str, int, np.random.Generator], Scene]]] = {
    "W1": (101, _noise_free),
    "W2": (102, _fragmented),
    "W3": (103, _full_noise),
    "W4": (104, _diagonal_noise),
    "W5": (105, _missing_values),
    "W6": (106, _selected_plane),
    "W7": (107, partial(_selected_plane, share=BACKGROUND_SHARE)),
    "W8": (108, _selected_space),
}


def _kept_rows(
    rng: np.random.Generator, rows: int, amplitudes: Array, means: Array, factors: Array, share: float = 0.0
) -> Array:
    """Draw with errors of 0.5 until `keep` has kept enough; a share of the rows is uniform in the footprint."""
    kept: list[Array] = []
    while sum(map(len, kept)) < rows:
        values = draw_rows(rng, rows, amplitudes, means, factors)
        if share:
            low, high = FOOTPRINT
            values = np.where(rng.random((rows, 1)) < share, rng.uniform(low, high, values.shape), values)
        values += 0.5 * rng.standard_normal(values.shape)
        kept.append(values[keep(values)])
    return np.concatenate(kept)[:rows]
