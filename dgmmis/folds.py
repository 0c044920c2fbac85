"""Folds of a cross-validation: which rows belong to which follows from their ids alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.row_hash import Hashes

__all__ = ["ALL_ROWS", "Folds", "Part", "Turns"]

HALF = np.uint64(32)
LOW = np.uint64(2**32 - 1)
KEY = 5
"""Sets the hashes of folds apart from all else that follows from a seed; the pilot's have no seed."""


@dataclass(frozen=True)
class Folds:
    """A division of the rows into parts of about the same size.

    A row's fold is a hash of its id: it does not depend on chunks, order or workers, and stays when rows are added.

    Attributes
    ----------
    count : int
        At least 2.
    seed : int
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 2:
            raise InvalidSetting(f"folds is {self.count!r}; expected a whole number of at least 2.")

    @property
    def key(self) -> int:
        """Seed of the hashes that tell the folds."""
        return int(np.random.SeedSequence(self.seed, spawn_key=(KEY,)).generate_state(1)[0])

    def of(self, hashes: Hashes) -> NDArray[np.intp]:
        """Fold (N,) of rows whose ids have these hashes under `key`."""
        return (((hashes >> HALF) * np.uint64(self.count)) >> HALF).astype(np.intp)

    def thinned(self, hashes: Hashes, share: float) -> NDArray[np.bool_]:
        """Choose a random share of the rows (N,), the same of every fold."""
        return np.asarray((hashes & LOW) < np.uint64(min(max(share, 0.0), 1.0) * 2**32))


@dataclass(frozen=True)
class Turns:
    """Parts by turns: row i of an array is in part i modulo L; its "hashes" are the rows' numbers themselves.

    Attributes
    ----------
    count : int
        L.
    """

    count: int

    def of(self, numbers: Hashes) -> NDArray[np.intp]:
        """Part (N,) of rows with these numbers."""
        return (numbers % np.uint64(self.count)).astype(np.intp)


@dataclass(frozen=True)
class Part:
    """Which rows are to count: all, all but one fold's, or one fold's only.

    Attributes
    ----------
    folds : Folds, Turns or None
        None: all rows.
    fold : int
    held_out : bool
        Only this fold's rows, instead of all others.
    """

    folds: Folds | Turns | None = None
    fold: int = 0
    held_out: bool = False

    def chosen(self, hashes: Hashes | None) -> NDArray[np.bool_] | None:
        """Tell which rows (N,) count; None: all."""
        if self.folds is None:
            return None
        if hashes is None:
            raise InvalidSetting(
                "folds were asked of rows whose ids were not read: read them with hashing_ids."
            )
        return np.asarray((self.folds.of(hashes) == self.fold) == self.held_out)


ALL_ROWS = Part()
