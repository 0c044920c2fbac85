"""Linear equations of positive definite matrices, in one written order whatever the machine's libraries would do."""

from __future__ import annotations

import numba
import numpy as np

from dgmmis.packed import Array

__all__ = ["solve_positive"]


def solve_positive(matrix: Array, shift: float, right: Array) -> Array | None:
    """Solve (M + shift 1) x = b by Cholesky's decomposition.

    Parameters
    ----------
    matrix : (p, p)
        Symmetric; the lower triangle is read.
    shift : float
        Added to the diagonal.
    right : (p,)
        b.

    Returns
    -------
    (p,) or None
        None if the shifted matrix is not positive definite.
    """
    factor = np.array(matrix, dtype=np.float64, order="C")
    factor[np.diag_indices(len(factor))] += shift
    solution = np.array(right, dtype=np.float64)
    return solution if _decompose(factor) and _substitute(factor, solution) else None


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
def _substitute(factor, solution):  # type: ignore[no-untyped-def]
    """Overwrite b by the solution of L L^T x = b."""
    p = len(factor)
    for i in range(p):
        for n in range(i):
            solution[i] -= factor[i, n] * solution[n]
        solution[i] /= factor[i, i]
    for i in range(p - 1, -1, -1):
        solution[i] /= factor[i, i]
        for n in range(i):
            solution[n] -= factor[i, n] * solution[i]
    return True
