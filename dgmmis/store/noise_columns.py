"""Arithmetic between stored noise columns and covariances."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array, lower_indices, packed_size

__all__ = ["add_to_diagonal", "covariances_of_errors", "diagonal_of", "squared"]


def squared(errors: NDArray[Any]) -> Array:
    """Variances of errors (N, D), the sign kept: the check of rows must still see a negative error."""
    wide: Array = errors.astype(np.float64, copy=False)
    return np.abs(wide) * wide


def covariances_of_errors(errors: NDArray[Any], correlations: NDArray[Any]) -> Array:
    """Packed covariances (N, P) of errors (N, D) and correlations (N, D (D - 1) / 2), of any precision."""
    n_rows, n_features = errors.shape
    packed = np.empty((n_rows, packed_size(n_features)))
    _fill_covariances(np.ascontiguousarray(errors), np.ascontiguousarray(correlations), packed)
    return packed


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill_covariances(errors, correlations, packed):  # type: ignore[no-untyped-def]
    """Write the packed covariances; a negative error makes a negative variance."""
    n_rows, n_features = errors.shape
    wide = np.empty(n_features)
    for row in range(n_rows):
        for j in range(n_features):
            wide[j] = errors[row, j]
        position, pair = 0, 0
        for i in range(n_features):
            for j in range(i):
                packed[row, position] = wide[i] * wide[j] * np.float64(correlations[row, pair])
                position += 1
                pair += 1
            packed[row, position] = abs(wide[i]) * wide[i]
            position += 1


def add_to_diagonal(packed: Array, added: Array) -> Array:
    """Packed matrices (N, P) with `added` (D,) on their diagonals."""
    rows, columns = lower_indices(len(added))
    increments = np.where(rows == columns, added[rows], 0.0)
    return packed + increments


def diagonal_of(packed: Array, n_features: int) -> Array:
    """Variances (N, D) of packed matrices (N, P)."""
    rows, columns = lower_indices(n_features)
    return packed[:, rows == columns]
