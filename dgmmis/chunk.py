"""The chunk grid of rows held in memory, and one chunk's pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.covariates import require_rows
from dgmmis.model import named_features
from dgmmis.noise import Noise, NoiseLike
from dgmmis.packed import Array
from dgmmis.projection import as_projection
from dgmmis.row_hash import Hashes, hash_integers
from dgmmis.rows import Rows
from dgmmis.samples import Samples, as_values, as_weights

__all__ = ["CHUNK_ROWS", "ArrayChunks", "chunks_of"]

CHUNK_ROWS = 100_000
"""Rows of a chunk unless told otherwise: about 10 ms of work per component on one core."""


@dataclass(frozen=True)
class ArrayChunks:
    """Rows in memory, cut into chunks as a catalogue of the same rows would be.

    Attributes
    ----------
    rows : Rows
    samples : tuple of Samples
        One per chunk, checked, their rows in the order in which a catalogue stores them.
    features, units : tuple of str
        x0, x1, ... and "" where they were not named.
    chunk_rows : int
        Of every chunk but the last.
    """

    rows: Rows
    samples: tuple[Samples, ...]
    features: tuple[str, ...]
    units: tuple[str, ...]
    chunk_rows: int

    @classmethod
    def from_arrays(
        cls,
        values: ArrayLike,
        noise: NoiseLike = None,
        weights: ArrayLike | None = None,
        *,
        projection: ArrayLike | None = None,
        covariates: Array | None = None,
        features: tuple[str, ...] = (),
        units: tuple[str, ...] = (),
        chunk_rows: int = CHUNK_ROWS,
        checked: bool = False,
    ) -> ArrayChunks:
        """Check rows, unless they were `checked`, and cut them; parameters as in `Samples.from_arrays`."""
        values = as_values(values)
        features, units = named_features(features, units, values.shape[1])
        noise = Noise.of(noise, *values.shape)
        weights = None if weights is None else as_weights(weights, len(values))
        require_rows(covariates, len(values))
        rows = Rows(values, noise, weights, as_projection(projection, *values.shape), covariates)
        samples = tuple(
            rows.take(slice(first, first + chunk_rows))
            .samples(names=features, first_row=first, checked=checked, order="kd")
            .bounded()
            for first in range(0, len(values), chunk_rows)
        )
        return cls(rows, samples, features, units, chunk_rows)

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.rows)

    @property
    def n_features(self) -> int:
        """Columns of the values."""
        return self.rows.n_features

    @property
    def latent_features(self) -> int:
        """D, the features of the mixture behind the rows: `n_features` unless they are projected."""
        return self.rows.latent_features

    @property
    def projection(self) -> Array | None:
        """How the rows see the mixture's features: None, (d, D) or (N, d, D)."""
        return self.rows.projection

    @property
    def covariates(self) -> Array | None:
        """What else a selection looked at, (N, C)."""
        return self.rows.covariates

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self.samples)

    def keeping_noise(self, columns: Sequence[int]) -> ArrayChunks:
        """Return these rows with their noise in `columns` kept where they lack these features."""
        noisy = self.rows.noise.array is not None
        groups = (group for samples in self.samples for group in samples.groups)
        if not (noisy and any(not np.isin(columns, group.observed).all() for group in groups)):
            return self
        samples = tuple(
            self.rows.take(slice(*self.row_range(chunk)))
            .samples(checked=True, keep_noise=columns, order="kd")
            .bounded()
            for chunk in range(self.n_chunks)
        )
        return replace(self, samples=samples)

    def row_range(self, chunk: int) -> tuple[int, int]:
        """Return the first row of a chunk and one past its last."""
        return chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.n_rows)

    def read_samples(self, chunk: int) -> Samples:
        """One chunk."""
        return self.samples[chunk]

    def row_hashes(self, chunk: int) -> Hashes:
        """Hashes (n,) of the numbers of a chunk's rows."""
        return hash_integers(np.arange(*self.row_range(chunk)))

    def read_pilot(self, n_rows: int) -> Rows:
        """Return the `n_rows` rows whose numbers have the smallest hashes, in order of the hash."""
        hashes = hash_integers(np.arange(self.n_rows))
        order = np.argsort(hashes, kind="stable")[:n_rows]
        return self.rows.take(order)


def chunks_of(rows: Rows, *, chunk_rows: int) -> ArrayChunks:
    """Rows that were checked, in chunks."""
    return ArrayChunks.from_arrays(
        rows.values,
        rows.noise,
        rows.weights,
        projection=rows.projection,
        covariates=rows.covariates,
        chunk_rows=chunk_rows,
        checked=True,
    )
