"""Eigenvalues of symmetric matrices, in one written order whatever the machine's libraries would do."""

from __future__ import annotations

import numba
import numpy as np

from dgmmis.packed import Array
from dgmmis.positive_systems import factorize

__all__ = ["spectrum"]

SHIFTS = tuple(10.0**power for power in range(-1, 16))
"""Added to the diagonal, in turn, until a matrix is positive definite."""

MOST_SWEEPS = 30
ORTHOGONAL = 1e-14
"""Cosine of two rows that counts as none."""


def spectrum(matrix: Array) -> tuple[Array, Array]:
    """Decompose a symmetric matrix (p, p) whose eigenvalues are of the order of 1, or a few of them larger.

    Its rows are rotated against each other until all are orthogonal (Hestenes 1958, Journal of the Society for
    Industrial and Applied Mathematics 6, 51): with the shift that makes it positive definite, they are then the
    eigenvectors times their eigenvalues.

    Returns
    -------
    values : (p,)
        Ascending.
    vectors : (p, p)
        In columns.
    """
    shift = next((some for some in (0.0, *SHIFTS) if factorize(_shifted(matrix, some)) is not None), np.nan)
    shift = 2 * shift + 1
    rows = _shifted(matrix, shift)
    _orthogonalize(rows)
    lengths = np.sqrt(np.einsum("pq,pq->p", rows, rows))
    order = np.argsort(lengths, kind="stable")
    return lengths[order] - shift, np.ascontiguousarray((rows / lengths[:, None])[order].T)


def _shifted(matrix: Array, shift: float) -> Array:
    shifted = np.array(matrix, dtype=np.float64, order="C")
    shifted[np.diag_indices(len(shifted))] += shift
    return shifted


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _orthogonalize(rows):  # type: ignore[no-untyped-def]
    """Rotate pairs of rows (p, p) in turn until all are orthogonal."""
    p = len(rows)
    for _ in range(MOST_SWEEPS):
        rotated = False
        for i in range(p - 1):
            for j in range(i + 1, p):
                a, b, c = _dot(rows[i], rows[i]), _dot(rows[j], rows[j]), _dot(rows[i], rows[j])
                if not abs(c) > ORTHOGONAL * np.sqrt(a * b):
                    continue
                rotated = True
                ratio = (b - a) / (2 * c)
                tangent = 1 / (abs(ratio) + np.sqrt(1 + ratio * ratio))
                if ratio < 0:
                    tangent = -tangent
                cosine = 1 / np.sqrt(1 + tangent * tangent)
                sine = cosine * tangent
                for n in range(p):
                    x, y = rows[i, n], rows[j, n]
                    rows[i, n] = cosine * x - sine * y
                    rows[j, n] = sine * x + cosine * y
        if not rotated:
            return


@numba.njit(forceinline=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _dot(x, y):  # type: ignore[no-untyped-def]
    """Sum products four at a time; part of the kernel above, as one compiled by itself may round in another way."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = len(x) - len(x) % 4
    for n in range(0, whole, 4):
        a += x[n] * y[n]
        b += x[n + 1] * y[n + 1]
        c += x[n + 2] * y[n + 2]
        d += x[n + 3] * y[n + 3]
    for n in range(whole, len(x)):
        a += x[n] * y[n]
    return (a + b) + (c + d)
