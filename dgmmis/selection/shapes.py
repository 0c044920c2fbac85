"""Regions of feature space: a selection that is 1 inside and 0 outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData, SelectionError
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.selection.algebra import Features, Part, checked_features
from dgmmis.selection.description import Description, read_number, write_number

__all__ = ["Ball", "Box", "HalfSpace", "Polygon"]

Side = float | None


@dataclass(frozen=True, init=False)
class Box(Part):
    """Kept where low <= x <= high in every column.

    Parameters
    ----------
    low, high : (F,)
        Faces in the columns' units; None or an infinity leaves a side open.
    features : sequence of str or int, optional
        The columns, by name or feature index; None: all features.

    Raises
    ------
    SelectionError
        If the box is empty or its shapes differ.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    features: Features

    def __init__(
        self,
        low: Sequence[Side] | ArrayLike,
        high: Sequence[Side] | ArrayLike,
        features: Sequence[str | int] | str | None = None,
    ) -> None:
        lower, upper = _sides(low, -np.inf, "low"), _sides(high, np.inf, "high")
        if len(lower) != len(upper):
            raise SelectionError(f"Box: low has {len(lower)} faces and high {len(upper)}; expected one each.")
        for column, (one, other) in enumerate(zip(lower, upper, strict=True)):
            if not one < other:
                raise SelectionError(
                    f"Box: low {one:g} is not below high {other:g} in its column {column}, so it keeps nothing. "
                    "Give low < high.",
                    column=column,
                    value=(one, other),
                )
        _set(self, low=lower, high=upper, features=checked_features(features, "Box"))

    @classmethod
    def of(cls, **limits: tuple[Side, Side]) -> Box:
        """Build a box by feature names: ``Box.of(parallax=(0, 0.5), pmra=(None, 3))``."""
        for name, limit in limits.items():
            if not isinstance(limit, (tuple, list)) or len(limit) != 2:
                raise SelectionError(
                    f"Box.of: {name}={limit!r} is no pair; give (low, high), None for an open side.",
                    column=name,
                    value=limit,
                )
        return cls([low for low, _ in limits.values()], [high for _, high in limits.values()], tuple(limits))

    def width(self) -> int:
        """Count the columns."""
        return len(self.low)

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Tell which rows (N, F) lie inside."""
        return ((values >= self.low) & (values <= self.high)).all(axis=1)

    def description(self, largest: int) -> Description:
        """Describe the faces; None is an open side."""
        return {
            "kind": "Box",
            "low": [write_number(face) for face in self.low],
            "high": [write_number(face) for face in self.high],
            "features": _listed(self.features),
        }


@dataclass(frozen=True, init=False)
class Ball(Part):
    """Kept where |x - center| <= radius; the columns should share a unit.

    Parameters
    ----------
    center : (F,)
    radius : float
    features : sequence of str or int, optional
        None: all features.
    """

    center: tuple[float, ...]
    radius: float
    features: Features

    def __init__(
        self, center: ArrayLike, radius: float, features: Sequence[str | int] | str | None = None
    ) -> None:
        middle = _finite(center, 1, "Ball: center")
        size = float(_finite(radius, 0, "Ball: radius"))
        if not size > 0:
            raise SelectionError(f"Ball: radius {size:g} is not above 0. Give a larger one.", value=size)
        _set(self, center=tuple(middle.tolist()), radius=size, features=checked_features(features, "Ball"))

    def width(self) -> int:
        """Count the columns."""
        return len(self.center)

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Tell which rows (N, F) lie inside."""
        distance = np.hypot.reduce(values - self.center, axis=1)
        return distance <= self.radius

    def description(self, largest: int) -> Description:
        """Describe center and radius."""
        return {
            "kind": "Ball",
            "center": list(self.center),
            "radius": self.radius,
            "features": _listed(self.features),
        }


@dataclass(frozen=True, init=False)
class HalfSpace(Part):
    """Kept where normal . x > offset.

    Parameters
    ----------
    normal : (F,)
        Not all zero; need not have length 1.
    offset : float
    features : sequence of str or int, optional
        None: all features.
    """

    normal: tuple[float, ...]
    offset: float
    features: Features

    def __init__(
        self, normal: ArrayLike, offset: float, features: Sequence[str | int] | str | None = None
    ) -> None:
        direction = _finite(normal, 1, "HalfSpace: normal")
        if not direction.any():
            raise SelectionError(
                "HalfSpace: normal is all zero, so it points nowhere. Give one that does.",
                value=direction.tolist(),
            )
        _set(
            self,
            normal=tuple(direction.tolist()),
            offset=float(_finite(offset, 0, "HalfSpace: offset")),
            features=checked_features(features, "HalfSpace"),
        )

    def width(self) -> int:
        """Count the columns."""
        return len(self.normal)

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Tell which rows (N, F) lie beyond the plane."""
        return np.einsum("nf,f->n", values, self.normal) > self.offset

    def description(self, largest: int) -> Description:
        """Describe normal and offset."""
        return {
            "kind": "HalfSpace",
            "normal": list(self.normal),
            "offset": self.offset,
            "features": _listed(self.features),
        }


@dataclass(frozen=True, init=False)
class Polygon(Part):
    """Kept inside a polygon of two columns, closed by itself; where it overlaps itself, by the even-odd rule.

    Parameters
    ----------
    vertices : (V, 2)
    features : two of str or int, optional
        None: both features of two-dimensional data.

    References
    ----------
    Shimrat 1962, CACM 5, 434, algorithm 112: count the edges that a ray from the point crosses.
    """

    vertices: tuple[tuple[float, float], ...]
    features: Features

    def __init__(self, vertices: ArrayLike, features: Sequence[str | int] | None = None) -> None:
        corners = _finite(vertices, 2, "Polygon: vertices")
        if corners.shape[1] != 2 or len(corners) < 3:
            raise SelectionError(
                f"Polygon: vertices have shape {corners.shape}; expected (V, 2) with V >= 3."
            )
        points = tuple((float(x), float(y)) for x, y in corners)
        _set(self, vertices=points, features=checked_features(features, "Polygon"))

    def width(self) -> int:
        """Two columns."""
        return 2

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Tell which rows (N, 2) lie inside."""
        x, y = values[:, 0], values[:, 1]
        inside = np.zeros(len(values), dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.vertices, (*self.vertices[1:], self.vertices[0]), strict=True):
            if y0 == y1:
                continue
            spans = (y0 > y) != (y1 > y)
            inside ^= spans & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
        return inside

    def description(self, largest: int) -> Description:
        """Describe the vertices."""
        return {
            "kind": "Polygon",
            "vertices": [list(vertex) for vertex in self.vertices],
            "features": _listed(self.features),
        }


def open_faces(written: object, infinity: float) -> list[float]:
    """Read the faces that `Box.description` wrote."""
    return [read_number(face, infinity) for face in cast(list[object], written)]


def _set(part: Part, **fields: object) -> None:
    """Set the fields of a frozen record under construction."""
    for name, value in fields.items():
        object.__setattr__(part, name, value)


def _listed(features: Features) -> list[str | int] | None:
    return None if features is None else list(features)


def _sides(given: object, infinity: float, name: str) -> tuple[float, ...]:
    faces = [
        infinity if face is None else face for face in np.atleast_1d(np.asarray(given, dtype=object)).ravel()
    ]
    try:
        numbers = as_numbers(faces, f"Box: {name}")
    except InvalidData as error:
        raise SelectionError(str(error), value=given) from error
    if np.isnan(numbers).any() or not len(numbers):
        raise SelectionError(
            f"Box: {name} is {given!r}; give a number, or None for an open side.", value=given
        )
    return tuple(numbers.tolist())


def _finite(given: ArrayLike, ndim: int, name: str) -> Array:
    try:
        numbers = as_numbers(given, name)
    except InvalidData as error:
        raise SelectionError(str(error), value=given) from error
    if numbers.ndim != ndim or not np.isfinite(numbers).all() or not numbers.size:
        raise SelectionError(f"{name} is {given!r}; expected {ndim} axes of finite numbers.", value=given)
    return numbers
