"""How rows see the mixture's features: x_i = R_i t_i + e_i, with one matrix R for all rows or one each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.errors import InvalidData
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array

__all__ = ["as_projection", "latent_features", "refuse_projection", "seen_projection", "take_projection"]

LARGEST_ENTRY = 1e75
"""Fourth powers of a projection's entries must be numbers."""


def as_projection(given: ArrayLike | None, n_rows: int, n_features: int) -> Array | None:
    """`given` as float64 (d, D) or (N, d, D), or an `InvalidData` that says why not.

    Parameters
    ----------
    given : None, (d, D) shared by all rows, or (N, d, D) row by row
        From the D features of the mixture to the d features of the rows.
    n_rows, n_features : int
        N and d.

    Returns
    -------
    None or array
        None also where one identity serves all rows: it is no projection.
    """
    if given is None:
        return None
    array = np.ascontiguousarray(as_numbers(given, "projection"))
    shared, by_row = array.shape[:-1] == (n_features,), array.shape[:-1] == (n_rows, n_features)
    if not (shared or by_row) or array.shape[-1] == 0:
        raise InvalidData(
            f"projection has shape {array.shape}; expected ({n_features}, D) for one matrix shared by all rows, or "
            f"({n_rows}, {n_features}, D) row by row: from the mixture's D features to the {n_features} of values.",
            array="projection",
        )
    return None if shared and np.array_equal(array, np.eye(n_features)) else array


def refuse_projection(projection: Array | None, values: Array, *, first_row: int = 0) -> None:
    """Raise `InvalidData` for the first entry that is no usable number; rows of R that saw nothing are not read."""
    if projection is None or (np.abs(projection) <= LARGEST_ENTRY).all():
        return
    bad = ~(np.abs(projection) <= LARGEST_ENTRY)
    if projection.ndim == 3:
        bad &= ~np.isnan(values)[:, :, None]
    where = np.argwhere(bad)
    if not len(where):
        return
    at = tuple(int(index) for index in where[0])
    row = at[0] + first_row if projection.ndim == 3 else None
    raise InvalidData(
        f"projection{'' if row is None else f' of row {row}'}: entry ({at[-2]}, {at[-1]}) is not a number within "
        f"{LARGEST_ENTRY:g}: {projection[at]}. Mark a feature that was not observed as NaN in values, or leave the "
        "row out.",
        array="projection",
        row=row,
        column=at[-2],
        value=float(projection[at]),
    )


def latent_features(projection: Array | None, n_features: int) -> int:
    """D, the features of the mixture behind rows of `n_features` features."""
    return n_features if projection is None else int(projection.shape[-1])


def take_projection(projection: Array | None, which: slice | NDArray[np.intp]) -> Array | None:
    """Projection of some of the rows."""
    return projection if projection is None or projection.ndim == 2 else projection[which]


def seen_projection(
    projection: Array | None, observed: NDArray[np.intp], rows: NDArray[np.intp]
) -> Array | None:
    """Keep of some rows' projections what leads to the features they observed: (d, D) or (n, d, D)."""
    if projection is None:
        return None
    kept = projection[observed] if projection.ndim == 2 else projection[np.ix_(rows, observed)]
    return np.ascontiguousarray(kept)
