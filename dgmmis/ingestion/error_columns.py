"""Which column, or which number, is the error of each measured quantity."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from dgmmis.errors import InvalidSetting, UnknownColumn
from dgmmis.readers.source import require_columns

__all__ = ["CorrelationTemplate", "ErrorRules", "parse_correlation_template", "parse_errors"]


@dataclass(frozen=True)
class ErrorRules:
    """What the caller said about errors.

    Attributes
    ----------
    templates : tuple of str
        Such as "{}_error".
    explicit : dict of str to str or float
        By name of feature: a column or a constant.
    """

    templates: tuple[str, ...]
    explicit: dict[str, str | float]

    def find(self, name: str, source_name: str, columns: Sequence[str]) -> str | float:
        """Column or constant with the error of a feature or column.

        Raises
        ------
        UnknownColumn
            If the source has no such column.
        InvalidSetting
            If nothing was said about it.
        """
        advice = f" If '{name}' has a constant error say so, for instance {name}=0.02, or {name}=0 for none."
        if name in self.explicit:
            given = self.explicit[name]
            if isinstance(given, str):
                require_columns(source_name, columns, [given], advice)
            return given
        candidates = [template.replace("{}", name) for template in self.templates]
        for candidate in candidates:
            if candidate in columns:
                require_columns(source_name, columns, [candidate])
                return candidate
        if candidates:
            require_columns(
                source_name,
                columns,
                candidates,
                f" It would be the error of '{name}': give it as --error {name}=COLUMN, --error {name}=0.02 "
                f"for a constant, or --error {name}=0 for none.",
            )
        raise InvalidSetting(
            f"nothing is said about the error of '{name}', only about others. Add --error {name}=COLUMN, "
            f"--error {name}=0.02 for a constant, or --error {name}=0 for none."
        )


def parse_errors(items: Sequence[str]) -> ErrorRules:
    """Parse items "{}_error", "name=column" and "name=0.02".

    Raises
    ------
    InvalidSetting
        If an item is none of these, or a constant is no standard deviation.
    """
    templates: list[str] = []
    explicit: dict[str, str | float] = {}
    for item in items:
        name, equals, value = (part.strip() for part in item.partition("="))
        if "{}" in item:
            templates.append(item.strip())
        elif name and equals and value:
            explicit[name] = _number_or_column(name, value)
        else:
            raise InvalidSetting(
                f"error '{item}' is neither a template such as '{{}}_error', nor NAME=COLUMN, nor NAME=0.02."
            )
    return ErrorRules(tuple(templates), explicit)


def _number_or_column(name: str, value: str) -> str | float:
    try:
        number = float(value)
    except ValueError:
        return value
    if not (math.isfinite(number) and number >= 0):
        raise InvalidSetting(f"error of '{name}' is {value}: give a standard deviation, finite and >= 0.")
    return number


@dataclass(frozen=True)
class CorrelationTemplate:
    """How the columns with correlation coefficients are named, with two places for the features' names."""

    before: str
    between: str
    after: str

    def column(self, first: str, second: str, columns: Sequence[str]) -> str | None:
        """Column of a pair in either order, or None."""
        for a, b in ((first, second), (second, first)):
            name = f"{self.before}{a}{self.between}{b}{self.after}"
            if name in columns:
                return name
        return None

    def find_all(
        self, names: Sequence[str], source_name: str, columns: Sequence[str]
    ) -> tuple[dict[tuple[int, int], str], list[str]]:
        """Columns of all pairs (i, j), i > j, and the pairs that have none, as text.

        Raises
        ------
        UnknownColumn
            If no pair has a column.
        """
        found: dict[tuple[int, int], str] = {}
        absent: list[str] = []
        for j, i in combinations(range(len(names)), 2):
            column = self.column(names[j], names[i], columns)
            if column is None:
                absent.append(f"{names[j]}-{names[i]}")
            else:
                require_columns(source_name, columns, [column])
                found[i, j] = column
        if not found:
            example = f"{self.before}{names[0]}{self.between}{names[-1]}{self.after}"
            raise UnknownColumn(
                f"{source_name} has no column with the correlation of any two of {', '.join(names)}: there "
                f"is no '{example}', for instance. Mend the template, or leave it away: errors are then "
                "uncorrelated.",
                array=source_name,
                column=example,
            )
        return found, absent


def parse_correlation_template(template: str) -> CorrelationTemplate:
    """Parse "{}_{}_corr"; names may stand in the braces, "{a}_{b}_corr".

    Raises
    ------
    InvalidSetting
        If there are not two places for names.
    """
    parts = re.split(r"\{[A-Za-z]*\}", template.strip())
    if len(parts) != 3:
        raise InvalidSetting(
            f"corr '{template}' needs two places for the names of features. Example: '{{}}_{{}}_corr'."
        )
    return CorrelationTemplate(*parts)
