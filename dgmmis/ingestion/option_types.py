"""Options of an ingest that a caller may give in the wrong type, refused before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

from dgmmis.errors import InvalidSetting
from dgmmis.numeric_input import LARGEST

__all__ = [
    "as_numbers_by_name",
    "as_text",
    "as_texts",
    "as_texts_by_name",
    "require_count",
    "require_flag",
    "require_progress",
]


def as_texts(given: object, name: str) -> tuple[str, ...]:
    """Several texts; a single one counts as one of them, not as its letters."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence) or not all(isinstance(text, str) for text in given):
        raise InvalidSetting(f"{name} is {given!r}; expected a list of texts.")
    return tuple(str(text) for text in given)


def as_text(given: object, name: str) -> str | None:
    """One text, or None."""
    if given is not None and not isinstance(given, str):
        raise InvalidSetting(f"{name} is {given!r}; expected a text, or None.")
    return given


def as_texts_by_name(given: object, name: str) -> dict[str, str]:
    """Texts by the name of a column; None is none of them."""
    pairs = _by_name(given, name)
    if not all(isinstance(text, str) for text in pairs.values()):
        raise InvalidSetting(f"{name} is {given!r}; expected {{column: text}}.")
    return {key: str(text) for key, text in pairs.items()}


def as_numbers_by_name(given: object, name: str) -> dict[str, float]:
    """Numbers by the name of a feature; None is none of them."""
    numbers: dict[str, float] = {}
    for key, number in _by_name(given, name).items():
        if not isinstance(number, Real) or isinstance(number, bool):
            raise InvalidSetting(f"{name} of '{key}' is {number!r}; expected a number.")
        numbers[key] = float(number)
        if abs(numbers[key]) > LARGEST:
            raise InvalidSetting(f"{name} of '{key}' is {number!r}; expected at most {LARGEST:g}.")
    return numbers


def require_count(given: object, name: str, least: int) -> None:
    """Refuse what is neither None nor a whole number of at least `least`."""
    whole = isinstance(given, Integral) and not isinstance(given, bool)
    if given is not None and not (whole and given >= least):  # type: ignore[operator]
        raise InvalidSetting(f"{name} is {given!r}; expected a whole number of at least {least}, or None.")


def require_flag(given: object, name: str) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(given, bool):
        raise InvalidSetting(f"{name} is {given!r}; expected True or False.")


def require_progress(given: object) -> None:
    """Refuse what cannot be called."""
    if given is not None and not callable(given):
        raise InvalidSetting(
            f"progress is {given!r}; expected a function of (rows read, rows in all), or None."
        )


def _by_name(given: object, name: str) -> dict[str, object]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidSetting(f"{name} is {given!r}; expected a dict by the names of columns.")
    return dict(given)
