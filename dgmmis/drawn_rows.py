"""Rows that were drawn from a population, with the truth behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.noise import Noise
from dgmmis.packed import Array, pack

__all__ = ["Drawn", "joined"]


@dataclass(frozen=True)
class Drawn:
    """Rows drawn from a population.

    Attributes
    ----------
    values : (n, D)
        As measured.
    noise_free : (n, D)
        What they are.
    noise : Noise
        That `values` were measured with.
    labels : (n,)
        Which component made each row; K + j for background j.
    n_trials : int
        Rows that were drawn to get these.
    """

    values: Array
    noise_free: Array
    noise: Noise
    labels: NDArray[np.intp]
    n_trials: int

    def take(self, rows: NDArray[np.intp], n_trials: int) -> Drawn:
        """Return some of the rows, in the order of `rows`."""
        return Drawn(
            self.values[rows], self.noise_free[rows], self.noise.take(rows), self.labels[rows], n_trials
        )


def joined(parts: Sequence[Drawn], n_trials: int) -> Drawn:
    """Put rows that were drawn in batches together."""
    return Drawn(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.noise_free for part in parts]),
        _joined_noise(parts),
        np.concatenate([part.labels for part in parts]),
        n_trials,
    )


def _joined_noise(parts: Sequence[Drawn]) -> Noise:
    """Noise of all rows; a callable may have given each batch another kind."""
    noises = [part.noise for part in parts]
    first, kinds = noises[0], {noise.kind for noise in noises}
    if kinds == {"none"} or (kinds == {"shared"} and all(_same(noise, first) for noise in noises)):
        return first
    if kinds == {"diagonal"}:
        return Noise.diagonal(np.concatenate([noise.array for noise in noises if noise.array is not None]))
    return Noise.packed(np.concatenate([pack(part.noise.covariances(*part.values.shape)) for part in parts]))


def _same(one: Noise, other: Noise) -> bool:
    return one.array is not None and other.array is not None and np.array_equal(one.array, other.array)
