"""Arithmetic between stored noise columns and covariances.

Columns of a packed array are far apart in memory, so the rows are walked in blocks that fit a cache.
"""

from __future__ import annotations

import numpy as np

from dgmmis.packed import Array, lower_indices, packed_size

__all__ = ["add_to_diagonal", "covariances_of_errors", "diagonal_of", "squared"]

BLOCK = 4096


def squared(errors: Array) -> Array:
    """Variances of errors (N, D), the sign kept: the check of rows must still see a negative error."""
    return np.abs(errors) * errors


def covariances_of_errors(errors: Array, correlations: Array) -> Array:
    """Packed covariances (N, P) of errors (N, D) and correlations (N, D (D - 1) / 2)."""
    n_rows, n_features = errors.shape
    packed = np.empty((n_rows, packed_size(n_features)))
    for start in range(0, n_rows, BLOCK):
        rows = slice(start, start + BLOCK)
        _fill_block(packed[rows], np.ascontiguousarray(errors[rows].T), correlations[rows])
    return packed


def _fill_block(packed: Array, errors: Array, correlations: Array) -> None:
    pair = 0
    for position, (i, j) in enumerate(zip(*lower_indices(len(errors)), strict=True)):
        if i == j:
            packed[:, position] = squared(errors[i])
        else:
            packed[:, position] = errors[i] * errors[j] * correlations[:, pair]
            pair += 1


def add_to_diagonal(packed: Array, added: Array) -> Array:
    """Packed matrices (N, P) with `added` (D,) on their diagonals."""
    rows, columns = lower_indices(len(added))
    increments = np.where(rows == columns, added[rows], 0.0)
    return packed + increments


def diagonal_of(packed: Array, n_features: int) -> Array:
    """Variances (N, D) of packed matrices (N, P)."""
    rows, columns = lower_indices(n_features)
    return packed[:, rows == columns]
