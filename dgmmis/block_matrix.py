"""Symmetric matrices of which only blocks are kept: one for all parameters, or one for each component."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array

__all__ = ["FLAT", "BlockMatrix", "Spectrum"]

Places = tuple[NDArray[np.intp], ...]

FLAT = 1e-9
"""Directions with less than this share of the largest information carry none."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of an information matrix, and the directions of which it tells nothing.

    Attributes
    ----------
    values : (m,)
        Above `FLAT` of the largest, over all blocks.
    factor : (p, m)
        Eigenvectors divided by the square roots of their values: factor factor^T is the inverse.
    flat : (p, p - m)
        Eigenvectors of the directions without information.
    """

    values: Array
    factor: Array
    flat: Array

    @property
    def condition(self) -> float:
        """Largest over smallest eigenvalue; infinite if some direction is flat."""
        if self.flat.shape[1]:
            return float("inf")
        return float(self.values.max() / self.values.min()) if len(self.values) else 1.0


@dataclass(frozen=True)
class BlockMatrix:
    """A symmetric matrix (p, p) that is 0 outside its blocks; two with the same places add.

    Attributes
    ----------
    places : tuple of index arrays
        Rows and columns of each block; together 0 to p - 1, each once.
    blocks : tuple of (b, b) arrays
    """

    places: Places
    blocks: tuple[Array, ...]

    @classmethod
    def zero(cls, places: Places) -> BlockMatrix:
        """Make the matrix that is 0."""
        return cls(places, tuple(np.zeros((len(place), len(place))) for place in places))

    def __add__(self, other: BlockMatrix) -> BlockMatrix:
        return BlockMatrix(self.places, tuple(a + b for a, b in zip(self.blocks, other.blocks, strict=True)))

    def scaled(self, factor: float) -> BlockMatrix:
        """Return the matrix times a number."""
        return BlockMatrix(self.places, tuple(factor * block for block in self.blocks))

    @property
    def size(self) -> int:
        """Number p of rows."""
        return sum(len(place) for place in self.places)

    @property
    def whole(self) -> Array:
        """The matrix written out (p, p)."""
        matrix = np.zeros((self.size, self.size))
        for place, block in zip(self.places, self.blocks, strict=True):
            matrix[np.ix_(place, place)] = block
        return matrix

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues and what they say of the inverse."""
        found = [np.linalg.eigh(block) for block in self.blocks]
        largest = max((float(values.max(initial=0.0)) for values, _ in found), default=0.0)
        known_values, factors, flats = [], [], []
        for place, (values, vectors) in zip(self.places, found, strict=True):
            known = values > FLAT * largest
            known_values.append(values[known])
            factors.append(_placed(self.size, place, vectors[:, known] / np.sqrt(values[known])))
            flats.append(_placed(self.size, place, vectors[:, ~known]))
        return Spectrum(
            np.concatenate(known_values), np.concatenate(factors, axis=1), np.concatenate(flats, axis=1)
        )


def _placed(size: int, place: NDArray[np.intp], columns: Array) -> Array:
    whole = np.zeros((size, columns.shape[1]))
    whole[place] = columns
    return whole
