"""The arrays of a mixture as another program wrote them, made a mixture or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import InvalidData
from dgmmis.mixture import ROUNDING, Mixture
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array

__all__ = ["mixture_of", "unreadable"]


def mixture_of(amplitudes: Any, means: Any, covariances: Any, path: Path) -> Mixture:
    """Make a mixture of arrays (K,), (K, D), (K, D, D); amplitudes that sum to less leave out a background's share.

    Raises
    ------
    InvalidData
        If they are none.
    """
    try:
        shares = as_numbers(amplitudes, "amplitudes")
        return Mixture(
            _shares_of_one(shares), as_numbers(means, "means"), as_numbers(covariances, "covariances")
        )
    except InvalidData as error:
        raise InvalidData(
            f"{path} holds no mixture: {error.message} Write the file again.",
            array=str(path),
            row=error.row,
            value=error.value,
        ) from error


def _shares_of_one(amplitudes: Array) -> Array:
    total = float(amplitudes.sum())
    if not 0 < total < 1 - ROUNDING:
        return amplitudes
    return np.asarray(amplitudes / total)


def unreadable(path: Path, what: str, error: object) -> InvalidData:
    """Make the error for a file that is not what its beginning says."""
    return InvalidData(f"{path} cannot be read as {what}: {error}. Write the file again.", array=str(path))
