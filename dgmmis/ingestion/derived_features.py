"""Features: columns of the source, or linear combinations of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.ingestion.expressions import Expression, parse_expression
from dgmmis.packed import Array

__all__ = ["Feature", "choose_features", "parse_derivations"]

EXAMPLE = '"color=bp-rp"'

LINEARITY_TOLERANCE = 1e-9
"""Largest departure from linear, relative to the terms, that is rounding of the expression."""


@dataclass(frozen=True)
class Feature:
    """offset + the sum of coefficient times column.

    Attributes
    ----------
    name : str
    columns : tuple of str
        Source columns.
    coefficients : tuple of float
        One per column, none of them 0.
    offset : float
    is_derived : bool
    """

    name: str
    columns: tuple[str, ...]
    coefficients: tuple[float, ...] = (1.0,)
    offset: float = 0.0
    is_derived: bool = False

    def values(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Compute the feature (n,) from source columns (n,)."""
        if not self.is_derived:
            return columns[self.name]
        total = np.full(len(columns[self.columns[0]]), self.offset)
        for column, coefficient in zip(self.columns, self.coefficients, strict=True):
            total += coefficient * columns[column].astype(np.float64, copy=False)
        return total


def choose_features(names: Sequence[str], derived: Mapping[str, Feature]) -> tuple[Feature, ...]:
    """Return the features of the catalogue in the order of `names`.

    Raises
    ------
    InvalidSetting
        If there is none, or one is repeated, or a derived feature is not among them.
    """
    if not names:
        raise InvalidSetting(
            "no features are named; give at least one column, for instance features=['ra', 'dec']."
        )
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise InvalidSetting(
            f"feature '{repeated[0]}' is named {list(names).count(repeated[0])} times; name it once."
        )
    unused = [name for name in derived if name not in names]
    if unused:
        raise InvalidSetting(f"derived feature '{unused[0]}' is not among the features; add it to them.")
    return tuple(derived.get(name, Feature(name, (name,))) for name in names)


def parse_derivations(derive: Sequence[str], source_columns: Sequence[str]) -> dict[str, Feature]:
    """Parse items like "color=bp-rp".

    Raises
    ------
    InvalidSetting
        If an item is malformed or not linear, or its name is taken.
    """
    found: dict[str, Feature] = {}
    for item in derive:
        name, equals, text = (part.strip() for part in item.partition("="))
        if not (name and equals and text):
            raise InvalidSetting(f"derive '{item}' is not NAME=EXPRESSION. Example: {EXAMPLE}.")
        if name in found or name in source_columns:
            taken = "is derived twice" if name in found else "is also a column of the source"
            raise InvalidSetting(f"derived feature '{name}' {taken}; choose another name.")
        found[name] = _linear_feature(name, parse_expression(text, "derive", EXAMPLE))
    return found


def _linear_feature(name: str, expression: Expression) -> Feature:
    """Read coefficients off the expression's values at zero and at unit points, then try it elsewhere."""
    n_columns = len(expression.columns)
    rng = np.random.default_rng(0)
    tries = rng.normal(size=(12, n_columns)) * np.repeat([1e-3, 1.0, 1e3], 4)[:, None]
    points = np.concatenate([np.zeros((1, n_columns)), np.eye(n_columns), tries])
    with np.errstate(all="ignore"):  # what is not finite is not linear
        results = _at(expression, points)
        offset, coefficients = float(results[0]), results[1 : n_columns + 1] - results[0]
        departure = np.abs(results[n_columns + 1 :] - offset - tries @ coefficients)
        scale = np.abs(offset) + np.abs(tries) @ np.abs(coefficients)
        is_linear = (departure <= LINEARITY_TOLERANCE * scale).all()
    if not is_linear:
        raise expression.refused(
            "it is not linear, so the noise of its columns would not stay Gaussian; compute such a column "
            "with its error beforehand"
        )
    used = np.flatnonzero(coefficients)
    if not len(used):
        raise expression.refused("its columns cancel out")
    return Feature(
        name,
        tuple(expression.columns[i] for i in used),
        tuple(float(coefficients[i]) for i in used),
        offset,
        is_derived=True,
    )


def _at(expression: Expression, points: Array) -> Array:
    columns = {name: np.ascontiguousarray(points[:, i]) for i, name in enumerate(expression.columns)}
    results = expression.evaluate(columns)
    if results.dtype.kind != "f":
        raise expression.refused("it is a condition, not a number")
    return np.asarray(results, dtype=np.float64)
