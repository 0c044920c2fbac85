"""Settings that every kind of background has: where it may lie, and how much of the rows it may make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import FeatureMismatch, InvalidData, InvalidSetting
from dgmmis.numeric_input import LARGEST, as_numbers
from dgmmis.packed import Array

__all__ = [
    "AMPLITUDE_ROUNDING",
    "Footprint",
    "as_footprint",
    "check_amplitudes",
    "describe_amplitude",
    "require_features",
    "within_limits",
]

AMPLITUDE_ROUNDING = 1e-12
"""How far beyond its limits an amplitude that a fit computed is taken for the limit."""

Footprint = tuple[Array, Array]
"""Opposite corners of a box, low and high, (D,) each."""


def as_footprint(footprint: object) -> Footprint:
    """Check a box and return read-only copies of its corners (D,).

    Raises
    ------
    InvalidSetting
        If it is no pair of corners of the same length, finite, low below high.
    """
    if isinstance(footprint, np.ndarray) and footprint.ndim:
        footprint = tuple(footprint)
    if not isinstance(footprint, Sequence) or isinstance(footprint, str) or len(footprint) != 2:
        raise InvalidSetting(f"footprint is {footprint!r}; expected two corners, (low (D,), high (D,)).")
    low, high = (_corner(corner, name) for corner, name in zip(footprint, ("low", "high"), strict=True))
    if low.shape != high.shape:
        raise InvalidSetting(
            f"footprint's low has {len(low)} features and its high has {len(high)}: give one number a feature in both."
        )
    wrong = np.flatnonzero(~(low < high))
    if len(wrong):
        j = int(wrong[0])
        raise InvalidSetting(
            f"footprint: low must be below high; feature {j} has {low[j]:g} and {high[j]:g}."
        )
    return low, high


def _corner(corner: ArrayLike, name: str) -> Array:
    try:
        array = as_numbers(corner, f"footprint's {name}").copy()
    except InvalidData as error:
        raise InvalidSetting(str(error)) from error
    if array.ndim != 1 or not len(array):
        raise InvalidSetting(
            f"footprint's {name} has shape {array.shape}; expected (D,): one number a feature."
        )
    beyond = np.flatnonzero(~(np.abs(array) <= LARGEST))
    if len(beyond):
        j = int(beyond[0])
        raise InvalidSetting(
            f"footprint's {name} is {array[j]} in feature {j}; it must be finite, and within {LARGEST:g}."
        )
    array.flags.writeable = False
    return array


def check_amplitudes(background: Any) -> None:
    """Make a new background's amplitudes plain numbers, or raise `InvalidSetting` if they are no good."""
    for name in ("amplitude_min", "amplitude", "amplitude_max"):
        given = getattr(background, name)
        try:
            object.__setattr__(background, name, float(given))
        except (TypeError, ValueError) as error:
            raise InvalidSetting(f"the background's {name} is {given!r}; expected a number.") from error
    low, amplitude, high = background.amplitude_min, background.amplitude, background.amplitude_max
    if not 0 <= low <= amplitude <= high <= 1:
        raise InvalidSetting(
            f"the background has amplitude_min = {low!r}, amplitude = {amplitude!r} and amplitude_max = {high!r}; "
            "0 <= amplitude_min <= amplitude <= amplitude_max <= 1 must hold."
        )
    object.__setattr__(background, "fixed", bool(background.fixed))


def describe_amplitude(background: Any) -> dict[str, Any]:
    """Amplitude and limits, for `describe`."""
    names = ("amplitude", "amplitude_min", "amplitude_max", "fixed")
    return {name: getattr(background, name) for name in names}


def within_limits(amplitude: float, low: float, high: float) -> float:
    """Return `amplitude`, or the limit that it misses by no more than `AMPLITUDE_ROUNDING`."""
    nearest = min(max(float(amplitude), low), high)
    return nearest if abs(nearest - amplitude) <= AMPLITUDE_ROUNDING else float(amplitude)


def require_features(ours: int | None, theirs: int, what: str) -> None:
    """Raise `FeatureMismatch` unless `ours` is `theirs` or None."""
    if ours is not None and ours != theirs:
        raise FeatureMismatch(f"{what} has {ours} features; the data have {theirs}.", array="background")
