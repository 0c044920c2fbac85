"""The one packed order of symmetric matrices, and tests of their definiteness.

A symmetric (D, D) matrix is stored as its lower triangle, row by row: (0,0), (1,0), (1,1), (2,0), ...;
P = D (D + 1) / 2 numbers.  Every packed array of this package has this order.
"""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "dimension",
    "is_positive_semidefinite",
    "lower_indices",
    "pack",
    "packed_size",
    "sub_positions",
    "unpack",
]

Array = NDArray[np.float64]

SEMIDEFINITE_TOLERANCE = 1e-10
"""Smallest eigenvalue of a correlation matrix that still passes as zero: above the rounding of
correlations stored in float32 would need 1e-7; float64 input rounds at 1e-15."""


def packed_size(n_features: int) -> int:
    """Numbers in a packed symmetric matrix of `n_features` rows."""
    return n_features * (n_features + 1) // 2


def dimension(size: int) -> int:
    """Rows of the matrix whose packed form has `size` numbers."""
    return int((np.sqrt(8 * size + 1) - 1) / 2)


@cache
def lower_indices(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each packed entry."""
    return np.tril_indices(n_features)


def pack(matrices: Array) -> Array:
    """Lower triangles of symmetric matrices (..., D, D) as (..., P)."""
    rows, columns = lower_indices(matrices.shape[-1])
    return np.ascontiguousarray(matrices[..., rows, columns])


def unpack(packed: Array) -> Array:
    """Symmetric matrices (..., D, D) of packed triangles (..., P)."""
    n_features = dimension(packed.shape[-1])
    rows, columns = lower_indices(n_features)
    matrices = np.empty((*packed.shape[:-1], n_features, n_features))
    matrices[..., rows, columns] = packed
    matrices[..., columns, rows] = packed
    return matrices


def sub_positions(observed: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the packed entries of the sub-matrix of `observed` features (ascending) lie in the whole."""
    rows, columns = lower_indices(len(observed))
    i, j = observed[rows], observed[columns]
    return np.asarray(i * (i + 1) // 2 + j, dtype=np.intp)


def is_positive_semidefinite(packed: Array, tolerance: float = SEMIDEFINITE_TOLERANCE) -> NDArray[np.bool_]:
    """Tell which packed matrices (N, P) are positive semi-definite, each in its own units.

    The pivots of an LDL^T decomposition clear almost all rows; the eigenvalues of the correlation
    matrix decide the rest, with `tolerance` below zero counted as zero.
    """
    packed = np.ascontiguousarray(packed, dtype=np.float64)
    good: NDArray[np.bool_] = _clearly_definite(packed, dimension(packed.shape[1]))
    doubtful = np.flatnonzero(~good)
    if len(doubtful):
        good[doubtful] = _smallest_eigenvalue(unpack(packed[doubtful])) >= -tolerance
    return good


def _smallest_eigenvalue(matrices: Array) -> Array:
    """Smallest eigenvalue of each matrix scaled to unit diagonal; -1 where a variance is negative."""
    variances = np.diagonal(matrices, axis1=-2, axis2=-1)
    scale = np.sqrt(np.maximum(variances, 0))
    safe = np.where(scale > 0, scale, 1)
    with np.errstate(invalid="ignore"):
        correlation = matrices / safe[:, :, None] / safe[:, None, :]
    finite = np.isfinite(correlation).all(axis=(1, 2))
    smallest = np.full(len(matrices), -1.0)
    smallest[finite] = np.linalg.eigvalsh(correlation[finite])[:, 0]
    smallest[(variances < 0).any(axis=1)] = -1
    beside_zero = (correlation != 0) & (scale == 0)[:, :, None]
    smallest[beside_zero.any(axis=(1, 2))] = -1
    return smallest


@numba.njit(cache=True, nogil=True)
def _clearly_definite(packed, n_features):  # type: ignore[no-untyped-def]
    """Tell which matrices have all pivots well above rounding, relative to their diagonal."""
    good = np.empty(len(packed), np.bool_)
    work = np.empty(packed.shape[1])
    for row in range(len(packed)):
        work[:] = packed[row]
        good[row] = True
        for j in range(n_features):
            jj = j * (j + 1) // 2 + j
            if not work[jj] > 1e-8 * packed[row, jj]:
                good[row] = False
                break
            for i in range(j + 1, n_features):
                ij = i * (i + 1) // 2 + j
                factor = work[ij] / work[jj]
                for c in range(j + 1, i + 1):
                    work[i * (i + 1) // 2 + c] -= factor * work[c * (c + 1) // 2 + j]
    return good
