"""Linear equations of positive definite matrices, in one written order whatever the machine's libraries would do."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from dgmmis.packed import Array

__all__ = ["Factor", "factorize"]


@dataclass(frozen=True)
class Factor:
    """Cholesky's decomposition M = L L^T of a positive definite matrix (p, p).

    Attributes
    ----------
    lower : (p, p)
        L in the lower triangle; what lies above means nothing.
    """

    lower: Array

    def forward(self, right: Array) -> Array:
        """Solve L x = b for every column of b (p, m)."""
        solution = np.array(right, dtype=np.float64, order="C")
        _forward(self.lower, solution)
        return solution

    def backward(self, right: Array) -> Array:
        """Solve L^T x = b for every column of b (p, m)."""
        solution = np.array(right, dtype=np.float64, order="C")
        _backward(self.lower, solution)
        return solution


def factorize(matrix: Array) -> Factor | None:
    """Decompose a symmetric matrix (p, p), of which the lower triangle is read; None if it is not positive definite."""
    lower = np.array(matrix, dtype=np.float64, order="C")
    return Factor(lower) if _decompose(lower) else None


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decompose(matrix):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle by L with L L^T = M, row by row; False where a pivot is not above 0.

    Rows are finished in turn: L_ij = (M_ij - sum_c L_ic L_jc) / L_jj, the sum taken four numbers at a time.
    """
    p = len(matrix)
    for i in range(p):
        for j in range(i + 1):
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            whole = j - j % 4
            for n in range(0, whole, 4):
                a += matrix[i, n] * matrix[j, n]
                b += matrix[i, n + 1] * matrix[j, n + 1]
                c += matrix[i, n + 2] * matrix[j, n + 2]
                d += matrix[i, n + 3] * matrix[j, n + 3]
            for n in range(whole, j):
                a += matrix[i, n] * matrix[j, n]
            left = matrix[i, j] - ((a + b) + (c + d))
            if i == j:
                if not left > 0:
                    return False
                matrix[i, i] = np.sqrt(left)
            else:
                matrix[i, j] = left / matrix[j, j]
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(lower, right):  # type: ignore[no-untyped-def]
    """Overwrite the columns of b by the solutions of L x = b."""
    p, m = right.shape
    for i in range(p):
        for n in range(i):
            for c in range(m):
                right[i, c] -= lower[i, n] * right[n, c]
        for c in range(m):
            right[i, c] /= lower[i, i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(lower, right):  # type: ignore[no-untyped-def]
    """Overwrite the columns of b by the solutions of L^T x = b."""
    p, m = right.shape
    for i in range(p - 1, -1, -1):
        for c in range(m):
            right[i, c] /= lower[i, i]
        for n in range(i):
            for c in range(m):
                right[n, c] -= lower[i, n] * right[i, c]
