"""Write a selection's numbers as JSON and as a hash, so that a run knows which selection it had."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

import numpy as np

from dgmmis.errors import SelectionError
from dgmmis.packed import Array

__all__ = ["Description", "array_key", "described", "digest_of", "read_array", "read_number", "write_number"]

Description = dict[str, object]

SMALL = 1000
"""Numbers up to which a description holds an array itself."""


def write_number(number: float) -> float | None:
    """Write a limit for JSON, which has no infinity: None."""
    return number if math.isfinite(number) else None


def read_number(written: object, infinity: float) -> float:
    """Read what `write_number` wrote; None is `infinity`."""
    if written is None:
        return infinity
    if isinstance(written, (int, float)):
        return float(written)
    raise SelectionError(
        f"a selection's description holds {written!r} where a number belongs.", value=written
    )


def array_key(array: Array) -> str:
    """Hash an array's shape and numbers (SHA-256)."""
    head = json.dumps(list(array.shape)).encode()
    return hashlib.sha256(head + np.ascontiguousarray(array, dtype="<f8").tobytes()).hexdigest()


def described(array: Array, largest: int) -> Description:
    """Describe an array by hash and shape; with its numbers if there are at most `largest`."""
    description: Description = {"sha256": array_key(array), "shape": list(array.shape)}
    if array.size <= largest:
        description["values"] = array.tolist()
    return description


def read_array(description: object, arrays: Mapping[str, Array]) -> Array:
    """Read an array that `described` wrote, from the description or from `arrays` by its hash.

    Raises
    ------
    SelectionError
        If neither holds it, or its hash is another.
    """
    if not isinstance(description, dict) or "sha256" not in description:
        raise SelectionError(f"a selection's description holds {description!r} where an array belongs.")
    key = str(description["sha256"])
    if "values" in description:
        array = np.asarray(description["values"], dtype=np.float64).reshape(description["shape"])
    elif key in arrays:
        array = np.asarray(arrays[key], dtype=np.float64)
    else:
        raise SelectionError(
            f"the array {key[:12]} of shape {description['shape']} is not in the selection's description: give "
            "the arrays that Selection.to_arrays() returned, or describe(with_arrays=True).",
            array=key,
        )
    if array_key(array) != key:
        raise SelectionError(
            f"an array of the selection's description is not the one described: its hash is "
            f"{array_key(array)[:12]}, not {key[:12]}. Restore it, or give the selection again.",
            array=key,
        )
    return array


def digest_of(description: Description) -> str:
    """Hash a description (SHA-256 of its canonical JSON)."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
