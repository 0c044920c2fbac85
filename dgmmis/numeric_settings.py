"""Numbers that a caller sets, checked once."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.numeric_input import LARGEST, as_numbers
from dgmmis.packed import Array

__all__ = ["as_nested_tuples", "as_setting", "seconds_from_environment"]


def as_setting(given: ArrayLike, name: str, expected: str) -> Array:
    """Read a setting as float64, finite and not beyond `LARGEST`.

    Parameters
    ----------
    given : array_like
    name : str
        Of the setting, for messages.
    expected : str
        What would be right: the way out.

    Raises
    ------
    InvalidSetting
        If it is not made of finite real numbers.
    """
    try:
        numbers = as_numbers(given, name)
    except InvalidData as error:
        raise InvalidSetting(f"{error} Expected {expected}.") from error
    if not np.isfinite(numbers).all():
        raise InvalidSetting(f"{name} is {given!r}, which is not finite; expected {expected}.")
    if (np.abs(numbers) > LARGEST).any():
        raise InvalidSetting(
            f"{name} is {given!r}; beyond {LARGEST:g} products stop being numbers. Expected {expected}, in other units."
        )
    return numbers


def as_nested_tuples(numbers: Array) -> ArrayLike:
    """Write numbers as a float or as tuples of floats: constant, comparable, and JSON can hold them."""
    if numbers.ndim == 0:
        return float(numbers)
    return tuple(as_nested_tuples(part) for part in numbers)  # type: ignore[return-value]


def seconds_from_environment(variable: str, default: float, least: float, most: float) -> float:
    """Read seconds from an environment variable.

    Raises
    ------
    InvalidSetting
        If it holds anything but a number from `least` to `most`.
    """
    text = os.environ.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = least - 1
    if not least <= seconds <= most:
        raise InvalidSetting(f"{variable} is {text!r}; expected seconds, {least:g} to {most:g}.")
    return seconds
