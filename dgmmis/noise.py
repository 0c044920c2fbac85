"""The measurement noise of rows, as a kind and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array, is_positive_semidefinite, pack, packed_size, unpack

__all__ = ["Noise", "NoiseKind", "NoiseLike"]

NoiseKind = Literal["none", "shared", "diagonal", "full"]

SYMMETRY_TOLERANCE = 1e-8
"""Largest |C - C^T| relative to the variances that counts as rounding; it is averaged away."""


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of N rows of D features: *variances and covariances*, never standard deviations.

    Build one with `none`, `shared`, `diagonal`, `full` or `from_columns`.

    Attributes
    ----------
    kind : {"none", "shared", "diagonal", "full"}
    array : None, (D, D), (N, D) variances, or (N, P) packed covariances
        Units are those of the features, squared.  Entries of features that a row lacks are not read.
    """

    kind: NoiseKind
    array: Array | None

    @classmethod
    def none(cls) -> Noise:
        """No noise."""
        return cls("none", None)

    @classmethod
    def shared(cls, covariance: ArrayLike) -> Noise:
        """One covariance (D, D) for all rows.

        Raises
        ------
        InvalidData
            If it is not square, not symmetric, not finite or not positive semi-definite.
        """
        matrix = as_numbers(covariance, "noise")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InvalidData(
                f"shared noise has shape {matrix.shape}; expected one covariance (D, D).", array="noise"
            )
        _require_symmetric(matrix[None])
        symmetric = (matrix + matrix.T) / 2
        if not is_positive_semidefinite(pack(symmetric)[None])[0]:
            raise InvalidData(
                f"shared noise is not a finite, positive semi-definite covariance:\n{matrix}", array="noise"
            )
        return cls("shared", _frozen(symmetric))

    @classmethod
    def diagonal(cls, variances: ArrayLike) -> Noise:
        """Independent noise, its variances (N, D) row by row (squared errors, not errors)."""
        array = as_numbers(variances, "noise")
        if array.ndim != 2:
            raise InvalidData(
                f"diagonal noise has shape {array.shape}; expected variances (N, D).", array="noise"
            )
        return cls("diagonal", _frozen(array))

    @classmethod
    def full(cls, covariances: ArrayLike) -> Noise:
        """One covariance per row, (N, D, D).

        Raises
        ------
        InvalidData
            If the shape is another, or a matrix is not symmetric; the row is named.
        """
        array = as_numbers(covariances, "noise")
        if array.ndim != 3 or array.shape[1] != array.shape[2]:
            raise InvalidData(
                f"full noise has shape {array.shape}; expected covariances (N, D, D).", array="noise"
            )
        _require_symmetric(array)
        with np.errstate(invalid="ignore"):  # infinite entries of absent features are not read
            return cls("full", _frozen(pack((array + array.swapaxes(1, 2)) / 2)))

    @classmethod
    def packed(cls, triangles: ArrayLike) -> Noise:
        """One covariance per row as packed lower triangles (N, P), in the order of `dgmmis.packed`."""
        array = as_numbers(triangles, "noise")
        if array.ndim != 2:
            raise InvalidData(f"packed noise has shape {array.shape}; expected (N, P).", array="noise")
        return cls("full", _frozen(array))

    @classmethod
    def adopted(cls, kind: NoiseKind, array: Array) -> Noise:
        """Noise in an array of the right form that nobody else will write to; it is not copied."""
        return cls(kind, _frozen(array))

    @classmethod
    def from_columns(
        cls, errors: Sequence[ArrayLike], correlations: dict[tuple[int, int], ArrayLike] | None = None
    ) -> Noise:
        """Noise from catalogue columns.

        Parameters
        ----------
        errors : sequence of D arrays (N,) or numbers
            Standard errors of the features, in the features' units.
        correlations : dict, optional
            `{(i, j): column}` with the correlation coefficients of features i and j; absent pairs are 0.
        """
        columns = np.broadcast_arrays(*[np.atleast_1d(as_numbers(e, "errors")) for e in errors])
        deviations = np.stack(columns, axis=1)
        if not correlations:
            return cls("diagonal", _frozen(np.where(deviations < 0, -1.0, 1.0) * deviations**2))
        n_rows, n_features = deviations.shape
        triangles = np.zeros((n_rows, packed_size(n_features)))
        for i in range(n_features):
            triangles[:, i * (i + 1) // 2 + i] = (
                np.where(deviations[:, i] < 0, -1.0, 1.0) * deviations[:, i] ** 2
            )
        for (a, b), column in correlations.items():
            i, j = max(a, b), min(a, b)
            triangles[:, i * (i + 1) // 2 + j] = (
                as_numbers(column, "correlations") * deviations[:, i] * deviations[:, j]
            )
        return cls("full", _frozen(triangles))

    @classmethod
    def of(cls, noise: NoiseLike, n_rows: int, n_features: int) -> Noise:
        """Interpret what a caller gave as noise of `n_rows` rows of `n_features` features.

        Parameters
        ----------
        noise : None, Noise, (D, D), (N, D) variances or (N, D, D)

        Raises
        ------
        InvalidData
            If the shape fits nothing, or fits two readings (N = D).
        """
        if noise is None:
            return cls.none()
        if not isinstance(noise, Noise):
            noise = cls._from_shape(as_numbers(noise, "noise"), n_rows, n_features)
        noise.require_rows(n_rows, n_features)
        return noise

    @classmethod
    def _from_shape(cls, array: Array, n_rows: int, n_features: int) -> Noise:
        if array.shape == (n_rows, n_features, n_features):
            return cls.full(array)
        if array.shape == (n_features, n_features) == (n_rows, n_features):
            raise InvalidData(
                f"noise of shape {array.shape} is ambiguous for {n_rows} rows of {n_features} features: it may "
                "be one covariance for all rows or variances row by row. Say which: Noise.shared(noise) or "
                "Noise.diagonal(noise).",
                array="noise",
            )
        if array.shape == (n_features, n_features):
            return cls.shared(array)
        if array.shape == (n_rows, n_features):
            return cls.diagonal(array)
        raise InvalidData(
            f"noise has shape {array.shape}; expected ({n_features}, {n_features}) for one covariance shared by "
            f"all rows, ({n_rows}, {n_features}) for variances row by row, or "
            f"({n_rows}, {n_features}, {n_features}) for covariances row by row.",
            array="noise",
        )

    def require_rows(self, n_rows: int, n_features: int) -> None:
        """Raise `InvalidData` unless this is noise of `n_rows` rows of `n_features` features."""
        expected = {
            "none": None,
            "shared": (n_features, n_features),
            "diagonal": (n_rows, n_features),
            "full": (n_rows, packed_size(n_features)),
        }[self.kind]
        if self.array is not None and self.array.shape != expected:
            raise InvalidData(
                f"{self.kind} noise has an array of shape {self.array.shape}; {n_rows} rows of {n_features} "
                f"features need {expected}.",
                array="noise",
            )

    def take(self, rows: slice | np.ndarray) -> Noise:
        """Noise of some of the rows."""
        if self.kind in ("none", "shared") or self.array is None:
            return self
        return Noise(self.kind, _frozen(self.array[rows]))

    def covariances(self, n_rows: int, n_features: int) -> Array:
        """Noise covariances (N, D, D), written out."""
        if self.array is None:
            return np.zeros((n_rows, n_features, n_features))
        if self.kind == "shared":
            return np.broadcast_to(self.array, (n_rows, n_features, n_features)).copy()
        if self.kind == "diagonal":
            return self.array[:, :, None] * np.eye(n_features)
        return unpack(self.array)


NoiseLike = Noise | ArrayLike | None


def _frozen(array: Array) -> Array:
    """Return a contiguous array that refuses to be written to."""
    array = np.ascontiguousarray(array)
    view = array.view()
    view.flags.writeable = False
    return view


def _require_symmetric(matrices: Array) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(matrices - matrices.swapaxes(1, 2))
        variances = np.abs(np.diagonal(matrices, axis1=1, axis2=2))
        scale = np.sqrt(variances[:, :, None]) * np.sqrt(variances[:, None, :])
        bad = difference > SYMMETRY_TOLERANCE * np.maximum(scale, np.finfo(float).tiny)
    if bad.any():
        row, i, j = (int(index) for index in np.argwhere(bad)[0])
        raise InvalidData(
            f"noise of row {row} is not symmetric: entry ({i}, {j}) is {matrices[row, i, j]:g}, entry ({j}, {i}) is "
            f"{matrices[row, j, i]:g}. Give symmetric covariances, for instance (C + C.T) / 2.",
            array="noise",
            row=row,
            column=i,
            value=float(matrices[row, i, j]),
        )
