"""What a group of rows shows of the columns that a selection looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import SelectionError
from dgmmis.packed import Array, dimension, lower_indices, packed_size, sub_positions
from dgmmis.samples import PatternGroup

__all__ = ["column_noise", "column_values", "is_certain"]


def is_certain(group: PatternGroup, columns: NDArray[np.intp]) -> bool:
    """Tell whether these rows have every column that the selection looks at."""
    return bool(np.isin(columns, group.observed).all())


def column_values(group: PatternGroup, n_columns: int) -> Array:
    """Values (n, n_columns), NaN where the group observed nothing."""
    whole = np.full((len(group.rows), n_columns), np.nan)
    whole[:, group.observed] = group.values
    return whole


def column_noise(group: PatternGroup, columns: NDArray[np.intp]) -> Array:
    """Packed noise (n, P), or (1, P) if shared, of these rows in `columns`.

    Raises
    ------
    SelectionError
        If the rows lack one of the columns, and so its noise.
    """
    noise, observed, size = group.noise, group.observed, packed_size(len(columns))
    if noise is None:
        return np.zeros((1, size))
    if not is_certain(group, columns):
        lacking = int(columns[~np.isin(columns, observed)][0])
        raise SelectionError(
            f"the selection looks at column {lacking}, which row {int(group.rows[0])} lacks, and so its noise there "
            "is unknown. Give shared noise, or noise_model, or a selection of columns that all rows have.",
            array="noise",
            row=int(group.rows[0]),
            column=lacking,
        )
    places = np.searchsorted(observed, columns)
    if noise.ndim == 1:
        return noise[None, sub_positions(places)]
    if noise.shape[1] == len(observed) and dimension(noise.shape[1]) != len(observed):
        packed = np.zeros((len(noise), size))
        rows, ends = lower_indices(len(columns))
        packed[:, rows == ends] = noise[:, places]
        return packed
    return np.asarray(noise[:, sub_positions(places)])
