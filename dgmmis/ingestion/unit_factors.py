"""Units of features and errors: conversion where both are known, a note where one is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dgmmis.errors import MissingLibrary, UnitMismatch
from dgmmis.ingestion.derived_features import Feature
from dgmmis.optional_libraries import load_library

__all__ = ["Units", "same_unit"]


class Units:
    """Units of columns and derived features.

    Parameters
    ----------
    source_name : str
    from_source : mapping of str to str
    declared : mapping of str to str
        By the caller; they replace those of the source.

    Attributes
    ----------
    notes : list of str
        What had to be assumed, in words.
    """

    def __init__(self, source_name: str, from_source: Mapping[str, str], declared: Mapping[str, str]) -> None:
        self._source_name = source_name
        self._known = {**from_source, **declared}
        self.notes: list[str] = []

    def of(self, name: str) -> str:
        """Return the unit of a column, "" if unknown."""
        return self._known.get(name, "")

    def of_feature(self, feature: Feature) -> str:
        """Return the unit of a feature: a derived one has the unit common to its columns.

        Raises
        ------
        UnitMismatch
            If its columns have different units.
        """
        if not feature.is_derived or feature.name in self._known:
            return self.of(feature.name)
        units = {column: self.of(column) for column in feature.columns}
        known = {column: unit for column, unit in units.items() if unit}
        if not known:
            return ""
        first, unit = next(iter(known.items()))
        for column, other in known.items():
            if self._factor(first, unit, column, other) != 1:
                raise UnitMismatch(
                    f"'{feature.name}' combines '{first}' in {unit} with '{column}' in {other}. Bring them "
                    "to one unit first, or, if the coefficients convert, declare "
                    f"the result: --unit {feature.name}=UNIT (units={{...}} in Python).",
                    array=self._source_name,
                    column=feature.name,
                    value=other,
                )
        unknown = [column for column in units if column not in known]
        if unknown:
            self._note(f"'{feature.name}': unit of {_quoted(unknown)} unknown, taken as {unit}")
        return unit

    def factor(self, column: str, quantity: str, unit: str) -> float:
        """Factor that brings an error column to the unit of the quantity it belongs to.

        Raises
        ------
        UnitMismatch
            If the units cannot be converted.
        """
        own = self.of(column)
        if own == unit:
            return 1.0
        if not own or not unit:
            self._note(f"unit of '{column if not own else quantity}' unknown, taken as {own or unit}")
            return 1.0
        return self._factor(column, own, quantity, unit)

    def _factor(self, column: str, unit: str, other_column: str, other: str) -> float:
        if unit == other:
            return 1.0
        parsed, other_parsed = _parse(unit), _parse(other)
        if parsed is None or other_parsed is None:
            odd = unit if parsed is None else other
            self._note(
                f"unit '{odd}' not understood: '{column}' and '{other_column}' taken to have the same unit"
            )
            return 1.0
        units = load_library("astropy.units", "converting units", "readers")
        try:
            # The error of a quantity that is turned around (magnitudes to dex) stays positive.
            return abs(float(parsed.to(other_parsed)))
        except (units.UnitConversionError, TypeError) as error:
            raise UnitMismatch(
                f"'{column}' is in {unit}, which cannot be converted to {other}, the unit of "
                f"'{other_column}'. If a unit is wrong in the source, declare the right "
                f"one: --unit {column}={other} (units={{...}} in Python).",
                array=self._source_name,
                column=column,
                value=unit,
            ) from error

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def same_unit(unit: str, other: str) -> bool:
    """Tell whether two units are the same, however they are written; ones that cannot be read are not."""
    if unit == other:
        return True
    parsed, other_parsed = _parse(unit), _parse(other)
    return parsed is not None and other_parsed is not None and bool(parsed == other_parsed)


def _parse(unit: str) -> Any:
    """Return the unit object, or None if the text is no unit that astropy knows."""
    try:
        units = load_library("astropy.units", "converting units", "readers")
    except MissingLibrary as error:
        raise MissingLibrary(f"units differ ('{unit}'): {error}") from error
    try:
        return units.Unit(unit, parse_strict="raise")
    except (ValueError, TypeError):
        return None


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
