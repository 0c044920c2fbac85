"""What a caller gave, as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData
from dgmmis.packed import Array

__all__ = ["as_numbers"]


def as_numbers(given: ArrayLike, name: str) -> Array:
    """Read `given` as float64; masked entries become NaN.

    Raises
    ------
    InvalidData
        If it is not made of real numbers: texts, dates and complex numbers are not.
    """
    try:
        array = np.ma.asarray(given) if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"its type is {array.dtype}")
        return np.asarray(np.ma.filled(array.astype(np.float64), np.nan))
    except (TypeError, ValueError) as error:
        raise InvalidData(f"{name} cannot be read as real numbers: {error}.", array=name) from error
