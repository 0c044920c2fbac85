"""What a caller gave, as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData
from dgmmis.packed import Array

__all__ = ["LARGEST", "as_numbers"]

LARGEST = 1e100
"""Largest value, weight or setting: products of a few of them, and their sums over all rows, are still numbers."""


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
        with np.errstate(over="ignore"):  # a number beyond float64 is infinite, and refused as that
            return np.asarray(np.ma.filled(array.astype(np.float64), np.nan))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidData(
            f"{name} cannot be read as real numbers: {error}. Give an array of floats or integers.",
            array=name,
        ) from error
