"""The measurement noise of rows, as a kind and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData
from dgmmis.numeric_input import LARGEST, as_numbers
from dgmmis.packed import Array, is_positive_semidefinite, pack, packed_size, unpack

__all__ = ["LARGEST_VARIANCE", "Noise", "NoiseKind", "NoiseLike"]

NoiseKind = Literal["none", "shared", "diagonal", "full"]

LARGEST_VARIANCE = LARGEST**2

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

    def __post_init__(self) -> None:
        rank = _RANKS.get(self.kind) if isinstance(self.kind, str) else None
        array = self.array
        if rank is None or (array is None) != (rank == 0):
            raise InvalidData(_NOT_BY_HAND.format(self.kind, type(array).__name__), array="noise")
        if array is not None and not (
            isinstance(array, np.ndarray) and array.dtype == np.float64 and array.ndim == rank
        ):
            raise InvalidData(_NOT_BY_HAND.format(self.kind, type(array).__name__), array="noise")

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
        _require_symmetric(matrix[None], "the shared noise")
        symmetric = (matrix + matrix.T) / 2
        if not is_positive_semidefinite(pack(symmetric)[None])[0]:
            raise InvalidData(
                f"shared noise is not a finite, positive semi-definite covariance:\n{matrix}\nGive variances and "
                "covariances (not errors) of which no combination of features has a negative variance.",
                array="noise",
            )
        if (np.abs(symmetric) > LARGEST_VARIANCE).any():
            raise InvalidData(
                f"shared noise has variances beyond {LARGEST_VARIANCE:g}: use other units, or leave out the feature "
                "that it hides.",
                array="noise",
                value=float(symmetric.max()),
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
        with np.errstate(invalid="ignore", over="ignore"):  # infinite entries of absent features are not read
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

        Raises
        ------
        InvalidData
            If columns have no common length, or a pair names no two features.
        """
        deviations = _side_by_side(errors)
        with np.errstate(over="ignore"):  # what overflows is infinite, and found as that
            variances = np.where(deviations < 0, -1.0, 1.0) * deviations**2
        if not correlations:
            return cls("diagonal", _frozen(variances))
        n_rows, n_features = deviations.shape
        triangles = np.zeros((n_rows, packed_size(n_features)))
        diagonal = [i * (i + 1) // 2 + i for i in range(n_features)]
        triangles[:, diagonal] = variances
        for pair, column in correlations.items():
            i, j = _ordered(pair, n_features)
            shares = _correlation(column, n_rows)
            with np.errstate(over="ignore", invalid="ignore"):
                triangles[:, i * (i + 1) // 2 + j] = shares * deviations[:, i] * deviations[:, j]
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

_RANKS = {"none": 0, "shared": 2, "diagonal": 2, "full": 2}
_NOT_BY_HAND = (
    "noise of kind {!r} was made of a {}, which is not its float64 array. Use Noise.shared, diagonal, full or "
    "from_columns, which say what they expect."
)


def _side_by_side(errors: Sequence[ArrayLike]) -> Array:
    """Errors of D features, columns (N,) or numbers, as (N, D)."""
    columns = [np.atleast_1d(as_numbers(column, "errors")) for column in errors]
    lengths = sorted({column.shape for column in columns} - {(1,)})
    if not columns or len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
        raise InvalidData(
            f"errors have shapes {[column.shape for column in columns]}; expected one column (N,) or one number for "
            "each feature.",
            array="noise",
        )
    return np.stack(np.broadcast_arrays(*columns), axis=1)


def _ordered(pair: object, n_features: int) -> tuple[int, int]:
    """Two different features, the larger number first."""
    known = isinstance(pair, tuple) and len(pair) == 2 and all(_is_feature(j, n_features) for j in pair)
    if not known or pair[0] == pair[1]:  # type: ignore[index]
        raise InvalidData(
            f"correlations name the pair {pair!r}; expected two different features (i, j), counted from 0 to "
            f"{n_features - 1}.",
            array="noise",
        )
    i, j = cast("tuple[int, int]", pair)
    return max(i, j), min(i, j)


def _is_feature(index: object, n_features: int) -> bool:
    whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
    return whole and 0 <= int(index) < n_features  # type: ignore[call-overload]


def _correlation(column: ArrayLike, n_rows: int) -> Array:
    shares = np.atleast_1d(as_numbers(column, "correlations"))
    if shares.shape not in ((1,), (n_rows,)):
        raise InvalidData(
            f"a column of correlations has shape {shares.shape}; expected ({n_rows},) or one number.",
            array="noise",
        )
    return shares


def _frozen(array: Array) -> Array:
    """Return a contiguous array that refuses to be written to."""
    array = np.ascontiguousarray(array)
    view = array.view()
    view.flags.writeable = False
    return view


def _require_symmetric(matrices: Array, whose: str | None = None) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(matrices - matrices.swapaxes(1, 2))
        variances = np.abs(np.diagonal(matrices, axis1=1, axis2=2))
        scale = np.sqrt(variances[:, :, None]) * np.sqrt(variances[:, None, :])
        bad = difference > SYMMETRY_TOLERANCE * np.maximum(scale, np.finfo(float).tiny)
    if bad.any():
        row, i, j = (int(index) for index in np.argwhere(bad)[0])
        raise InvalidData(
            f"{whose or f'noise of row {row}'} is not symmetric: "
            f"entry ({i}, {j}) is {matrices[row, i, j]:g}, entry ({j}, {i}) is {matrices[row, j, i]:g}. "
            "Give symmetric covariances, for instance (C + C.T) / 2.",
            array="noise",
            row=None if whose else row,
            column=i,
            value=float(matrices[row, i, j]),
        )
