"""What a group of rows shows of the columns that a selection looks at, and what it leaves uncertain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting, SelectionError
from dgmmis.packed import (
    Array,
    dimension,
    is_positive_semidefinite,
    lower_indices,
    pack,
    packed_size,
    sub_positions,
    unpack,
)
from dgmmis.samples import PatternGroup
from dgmmis.selection import BoundSelection

__all__ = [
    "ROUNDING",
    "Cut",
    "column_noise",
    "column_values",
    "is_certain",
    "joint_covariances",
    "noise_covariances",
    "require_known_noise",
    "uncertain_columns",
]

ROUNDING = 1e-12
"""Eigenvalues of a noise, relative to its largest, that count as 0."""


@dataclass(frozen=True)
class Cut:
    """A selection that rows passed, as far as single rows are concerned.

    Attributes
    ----------
    selection : BoundSelection
    before_noise : bool
        It acted on the noise-free values.
    noise_model : (D, D), optional
        Noise of the parent population.  The noise of a feature that a row lacks is then taken from here, given
        the row's own noise of the others; otherwise it is what was given for the row.
    seed : int
        Of the points by which the selection is integrated where it must be.
    """

    selection: BoundSelection
    before_noise: bool = False
    noise_model: Array | None = None
    seed: int = 0

    @property
    def columns(self) -> NDArray[np.intp]:
        """Columns that the selection looks at, (f,)."""
        return self.selection.columns

    @property
    def noise_columns(self) -> tuple[int, ...]:
        """Columns whose noise matters also where a row lacks them."""
        if self.before_noise or self.noise_model is not None:
            return ()
        return tuple(self.columns.tolist())


def is_certain(group: PatternGroup, cut: Cut) -> bool:
    """Tell whether ln Omega is the same number for these rows whatever the parameters."""
    return not len(uncertain_columns(group, cut))


def uncertain_columns(group: PatternGroup, cut: Cut) -> NDArray[np.intp]:
    """Columns of the selection whose values, as it saw them, these rows do not tell.

    They are those that the rows lack; before noise also those that they have with noise.

    Raises
    ------
    InvalidSetting
        If the rows are projected: what they lack is then no feature of the mixture.
    """
    columns = cut.columns
    known = np.isin(columns, group.observed)
    if cut.before_noise and group.noise is not None:
        known &= np.isin(columns, group.observed[_is_noiseless(group)])
    uncertain = columns[~known]
    if len(uncertain) and group.projection is not None:
        raise InvalidSetting(
            f"the selection looks at column {int(uncertain[0])}, which row {int(group.rows[0])} lacks, and the rows "
            "are projected: a selection of projected rows needs all its columns in every row. Leave such rows out, or "
            "declare the selection on other columns."
        )
    return uncertain


def _is_noiseless(group: PatternGroup) -> NDArray[np.bool_]:
    """Tell which observed features (d,) no row has noise in."""
    d = len(group.observed)
    noise = np.atleast_2d(np.asarray(group.noise))
    return np.asarray((_variances(noise, d) == 0).all(axis=0))


def _variances(noise: Array, d: int) -> Array:
    """Variances (n, d) of noise that is diagonal or packed."""
    if _is_diagonal(noise, d):
        return noise
    rows, columns = lower_indices(d)
    return noise[:, rows == columns]


def _is_diagonal(noise: Array, d: int) -> bool:
    return bool(noise.shape[1] == d and dimension(noise.shape[1]) != d)


def column_values(group: PatternGroup, n_columns: int) -> Array:
    """Values (n, n_columns), NaN where the group observed nothing."""
    whole = np.full((len(group.rows), n_columns), np.nan)
    whole[:, group.observed] = group.values
    return whole


def noise_covariances(noise: Array | None, d: int, rows: slice) -> Array:
    """Noise covariances of some rows, (n, d, d), or (1, d, d) where all have the same.

    Parameters
    ----------
    noise : None, (p,), (n, d) or (n, p)
        As a `PatternGroup` holds it.
    d : int
        Its features.
    rows : slice
    """
    if noise is None:
        return np.zeros((1, d, d))
    if noise.ndim == 1:
        return unpack(noise)[None]
    if _is_diagonal(noise, d):
        return np.asarray(noise[rows, :, None] * np.eye(d))
    return unpack(noise[rows])


def column_noise(group: PatternGroup, columns: NDArray[np.intp]) -> Array:
    """Packed noise (n, P), or (1, P) if shared, of these rows in `columns`, NaN where it was not given."""
    size = packed_size(len(columns))
    noise, features = _noise_with_columns(group, columns)
    if noise is None:
        return np.zeros((1, size))
    places = np.searchsorted(features, columns)
    if noise.ndim == 1:
        return noise[None, sub_positions(places)]
    if _is_diagonal(noise, len(features)):
        packed = np.zeros((len(noise), size))
        rows, ends = lower_indices(len(columns))
        packed[:, rows == ends] = noise[:, places]
        return packed
    return np.asarray(noise[:, sub_positions(places)])


def _noise_with_columns(
    group: PatternGroup, columns: NDArray[np.intp]
) -> tuple[Array | None, NDArray[np.intp]]:
    """Noise of the features observed and of `columns`, and which features these are."""
    if group.noise is None or np.isin(columns, group.observed).all():
        return group.noise, group.observed
    if group.joint_noise is None:
        raise InvalidSetting(
            "the rows lack columns that the selection looks at, and were read without their noise there: read them "
            "with keep_noise."
        )
    return group.joint_noise, np.union1d(group.observed, columns)


def joint_covariances(
    group: PatternGroup, uncertain: NDArray[np.intp], rows: slice, cut: Cut
) -> tuple[Array, Array, Array]:
    """Noise that a row's observed features had, and its uncertain columns when the selection saw them.

    Parameters
    ----------
    group : PatternGroup
    uncertain : (z,)
        As `uncertain_columns` returned them.
    rows : slice
        Of the group.
    cut : Cut

    Returns
    -------
    observed : (n or 1, d, d)
    cross : (n or 1, z, d)
    uncertain : (n or 1, z, z)
    """
    d, z = len(group.observed), len(uncertain)
    own = noise_covariances(group.noise, d, rows)
    if cut.before_noise or (group.noise is None and cut.noise_model is None):
        return own, np.zeros((1, z, d)), np.zeros((1, z, z))
    if cut.noise_model is not None:
        return own, *_modelled(cut.noise_model, own, group.observed, uncertain)
    noise, features = _noise_with_columns(group, cut.columns)
    joint = noise_covariances(noise, len(features), rows)
    seen, unseen = np.searchsorted(features, group.observed), np.searchsorted(features, uncertain)
    return own, joint[:, unseen[:, None], seen], joint[:, unseen[:, None], unseen]


def _modelled(
    model: Array, own: Array, observed: NDArray[np.intp], uncertain: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Covariances with, and of, noise that follows from a row's own as it does in the model."""
    seen = model[np.ix_(observed, observed)]
    crossed = model[np.ix_(uncertain, observed)]
    follows = np.einsum("zd,de->ze", crossed, np.linalg.pinv(seen, rcond=ROUNDING, hermitian=True))
    left = model[np.ix_(uncertain, uncertain)] - np.einsum("zd,yd->zy", follows, crossed)
    cross = np.einsum("zd,nde->nze", follows, own)
    return cross, left + np.einsum("nzd,yd->nzy", cross, follows)


def require_known_noise(group: PatternGroup, cut: Cut, *, first_row: int = 0) -> None:
    """Refuse rows whose noise in a column that they lack was not given, though the selection saw it.

    Raises
    ------
    SelectionError
        Naming the row and column.
    """
    if cut.before_noise or cut.noise_model is not None or group.noise is None:
        return
    if np.isin(cut.columns, group.observed).all():
        return
    noise, features = _noise_with_columns(group, cut.columns)
    rows = np.atleast_2d(np.asarray(noise))
    variances = _variances(rows, len(features))
    wrong = ~(np.isfinite(variances) & (variances >= 0))
    if not wrong.any() and not _is_diagonal(rows, len(features)):
        wrong = np.zeros_like(wrong)
        lacking = ~np.isin(features, group.observed)
        finite = np.isfinite(rows).all(axis=1)
        good = finite & is_positive_semidefinite(np.where(finite[:, None], rows, pack(np.eye(len(features)))))
        wrong[:, lacking] = ~good[:, None]
    if wrong.any():
        i, j = (int(index) for index in np.argwhere(wrong)[0])
        _refuse_noise(int(group.rows[i]) + first_row, int(features[j]), float(variances[i, j]), cut)


def _refuse_noise(row: int, column: int, value: float, cut: Cut) -> None:
    name = cut.selection.names.features[column]
    raise SelectionError(
        f"the selection looks at column '{name}', which row {row} lacks, and the noise given for it there is "
        f"{value:g}, or no covariance together with that of the row's other features: how likely the row was kept "
        "depends on it. Give the noise that the value would have had, or noise_model, or before_noise=True if the "
        "selection acted on noise-free values, or declare the selection on features that all rows have.",
        array="noise",
        row=row,
        column=name,
        value=value,
    )
