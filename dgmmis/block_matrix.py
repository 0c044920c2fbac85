"""Symmetric matrices of which only blocks are kept: one for all parameters, or one for each component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array

__all__ = ["FLAT", "BlockMatrix", "Columns", "Places", "Spectrum"]

Places = tuple[NDArray[np.intp], ...]

FLAT = 1e-9
"""Directions with less than this share of the largest information carry none."""


@dataclass(frozen=True)
class Columns:
    """A matrix (p, m) of directions, each within one block.

    Attributes
    ----------
    size : int
        p.
    places : tuple of index arrays
        Rows of each block.
    blocks : tuple of (b, m_b) arrays
    """

    size: int
    places: Places
    blocks: tuple[Array, ...]

    @classmethod
    def dense(cls, matrix: Array) -> Columns:
        """Make one block of a matrix."""
        return cls(len(matrix), (np.arange(len(matrix)),), (matrix,))

    @property
    def number(self) -> int:
        """m."""
        return sum(block.shape[1] for block in self.blocks)

    def onto(self, vectors: Array) -> Array:
        """Products (..., m) of vectors (..., p) with every direction."""
        parts = [vectors[..., place] @ block for place, block in zip(self.places, self.blocks, strict=True)]
        return np.concatenate(parts, axis=-1)

    def times(self, numbers: Array) -> Array:
        """Sum (p,) of the directions, each times one of the numbers (m,)."""
        total, start = np.zeros(self.size), 0
        for place, block in zip(self.places, self.blocks, strict=True):
            total[place] += block @ numbers[start : start + block.shape[1]]
            start += block.shape[1]
        return total

    def __iter__(self) -> Iterator[Array]:
        for place, block in zip(self.places, self.blocks, strict=True):
            for column in block.T:
                direction = np.zeros(self.size)
                direction[place] = column
                yield direction

    @property
    def whole(self) -> Array:
        """The matrix written out (p, m)."""
        return np.stack(list(self), axis=1) if self.number else np.zeros((self.size, 0))


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of an information matrix, and the directions of which it tells nothing.

    Attributes
    ----------
    values : (m,)
        Above `FLAT` of the largest, over all blocks.
    factor : Columns, (p, m)
        Eigenvectors divided by the square roots of their values: factor factor^T is the inverse.
    flat : Columns, (p, p - m)
        Eigenvectors of the directions without information.
    """

    values: Array
    factor: Columns
    flat: Columns

    @property
    def condition(self) -> float:
        """Largest over smallest eigenvalue; infinite if some direction is flat."""
        if self.flat.number:
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
        known = [values > FLAT * largest for values, _ in found]
        both = list(zip(found, known, strict=True))
        factors = tuple(vectors[:, some] / np.sqrt(values[some]) for (values, vectors), some in both)
        flats = tuple(vectors[:, ~some] for (_, vectors), some in both)
        return Spectrum(
            np.concatenate([values[some] for (values, _), some in both]),
            Columns(self.size, self.places, factors),
            Columns(self.size, self.places, flats),
        )
