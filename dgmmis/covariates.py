"""Columns that a selection looks at and the mixture does not describe."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array

__all__ = ["as_covariates", "require_rows"]


def as_covariates(covariates: Mapping[str, ArrayLike] | None) -> Array | None:
    """Read `{name: column (N,)}` as an array (N, C).

    Raises
    ------
    InvalidData
        If it is no such mapping, columns differ in length, or a value is not finite; it is named.
    """
    if covariates is None:
        return None
    if not isinstance(covariates, Mapping) or not covariates:
        raise InvalidData("covariates are given as {name: column}, one column (N,) each.", array="covariates")
    columns = {name: as_numbers(column, f"covariate {name}") for name, column in covariates.items()}
    lengths = {name: column.shape for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise InvalidData(
            f"covariates have shapes {lengths}; expected one column (N,) each.", array="covariates"
        )
    for name, column in columns.items():
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            raise InvalidData(
                f"covariate '{name}' is {column[bad[0]]} in row {bad[0]}. Give a number, or leave the row out.",
                array="covariates",
                row=int(bad[0]),
                column=name,
                value=float(column[bad[0]]),
            )
    return np.stack(list(columns.values()), axis=1)


def require_rows(covariates: Array | None, n_rows: int) -> None:
    """Refuse covariates of another number of rows, by `InvalidData`."""
    if covariates is not None and len(covariates) != n_rows:
        raise InvalidData(
            f"covariates have {len(covariates)} rows, values {n_rows}: give one value for each row.",
            array="covariates",
        )
