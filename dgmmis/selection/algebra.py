"""Selections and how they combine: `&` multiplies, `|` is 1 - (1 - a)(1 - b), `~` is 1 - a."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import ClassVar, Literal

import numpy as np

from dgmmis.errors import SelectionError
from dgmmis.packed import Array
from dgmmis.selection.binding import BoundSelection, Branch, Leaf, Names, Node
from dgmmis.selection.description import SMALL, Description, digest_of

__all__ = ["Complement", "Features", "Intersection", "Part", "Selection", "Union", "checked_features"]

Features = tuple[str | int, ...] | None


class Selection:
    """Omega(x): the probability, from 0 to 1, that a row with values x is kept.

    Combine selections with ``&`` (both cuts must keep the row, independently), ``|`` and ``~``.
    """

    def __and__(self, other: Selection) -> Selection:
        if not isinstance(other, Selection):
            return NotImplemented
        return Intersection((*_members(self, Intersection), *_members(other, Intersection)))

    def __or__(self, other: Selection) -> Selection:
        if not isinstance(other, Selection):
            return NotImplemented
        return Union((*_members(self, Union), *_members(other, Union)))

    def __invert__(self) -> Selection:
        return self.parts[0] if isinstance(self, Complement) else Complement((self,))

    def bind(self, feature_names: Sequence[str], covariate_names: Sequence[str] = ()) -> BoundSelection:
        """Find the columns that each part names.

        Parameters
        ----------
        feature_names : sequence of str
            (D,) features of the model, in order.
        covariate_names : sequence of str
            (C,) columns that are not model features, such as sky position.

        Raises
        ------
        SelectionError
            If a part names a column that there is not, or has another number of columns.
        """
        names = Names(tuple(feature_names), tuple(covariate_names))
        return BoundSelection(self, names, self.node(names))

    def node(self, names: Names) -> Node:
        """Bind this selection alone; see `bind`."""
        raise NotImplementedError

    def leaves(self) -> Iterator[Part]:
        """Go through the parts that this selection is combined of."""
        raise NotImplementedError

    def describe(self, with_arrays: bool = False) -> Description:
        """Describe this selection in JSON: arrays by hash and shape, small ones (or all) with their numbers.

        Raises
        ------
        SelectionError
            If a callable can be told apart neither by name nor by source.
        """
        return self.description(10**18 if with_arrays else SMALL)

    def description(self, largest: int) -> Description:
        """Describe this selection with the numbers of arrays of at most `largest` entries."""
        raise NotImplementedError

    def to_arrays(self) -> dict[str, Array]:
        """Give the arrays of all maps by their hash, for one npz file beside the description."""
        return reduce(or_, (part.arrays() for part in self.leaves()), {})

    def digest(self) -> str:
        """Hash what decides the answers (SHA-256)."""
        return digest_of(self.description(-1))

    def require_importable(self) -> None:
        """Refuse callables that another process could not import again.

        Raises
        ------
        SelectionError
        """
        for part in self.leaves():
            part.check_importable()

    def require_picklable(self) -> None:
        """Refuse a selection that cannot travel to a worker.

        Raises
        ------
        SelectionError
        """
        try:
            pickle.dumps(self)
        except Exception as error:
            raise SelectionError(
                f"the selection cannot be sent to workers ({type(error).__name__}: {error}). Put the function in "
                "a module and name it 'module:function', or use dgmmis.selection parts.",
                array="selection",
            ) from error


class Part(Selection):
    """A selection that is asked about some columns.

    Attributes
    ----------
    features : tuple of str or int, or None
        Names of features or covariates, or indices of features; None: all features.
    """

    features: Features

    @property
    def title(self) -> str:
        """Name this part in messages."""
        return type(self).__name__

    def width(self) -> int | None:
        """Columns that this part takes; None: any number."""
        return None

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Probabilities (N,) of rows (N, F)."""
        raise NotImplementedError

    def arrays(self) -> dict[str, Array]:
        """Arrays too large for a description, by their hash."""
        return {}

    def check_importable(self) -> None:
        """Refuse what cannot be rebuilt from a description; a part made of numbers always can."""

    def leaves(self) -> Iterator[Part]:
        """Give this part."""
        yield self

    def node(self, names: Names) -> Leaf:
        """Find this part's columns."""
        wanted = range(len(names.features)) if self.features is None else self.features
        columns = tuple(names.find(feature) for feature in wanted)
        if len(set(columns)) < len(columns):
            raise SelectionError(f"{self.title} names a column twice: {list(wanted)}.", column=wanted[0])
        width = self.width()
        if width is not None and width != len(columns):
            raise SelectionError(
                f"{self.title} takes {width} columns, but "
                + ("it names no features and the data have" if self.features is None else "it names")
                + f" {len(columns)}: {[names.all[c] for c in columns]}. Give `features`, one for each."
            )
        return Leaf(self, columns, tuple(names.all[c] for c in columns))


@dataclass(frozen=True)
class _Combination(Selection):
    """Several selections combined.

    Attributes
    ----------
    parts : tuple of Selection
    """

    parts: tuple[Selection, ...]
    kind: ClassVar[Literal["and", "or", "not"]]

    def __post_init__(self) -> None:
        if not self.parts or not all(isinstance(part, Selection) for part in self.parts):
            raise SelectionError(
                f"{type(self).__name__} combines selections, not {self.parts!r}; see as_selection."
            )

    def node(self, names: Names) -> Branch:
        """Bind the parts."""
        return Branch(self.kind, tuple(part.node(names) for part in self.parts))

    def leaves(self) -> Iterator[Part]:
        """Go through the parts."""
        for part in self.parts:
            yield from part.leaves()

    def description(self, largest: int) -> Description:
        """Describe the parts."""
        return {"kind": type(self).__name__, "parts": [part.description(largest) for part in self.parts]}


class Intersection(_Combination):
    """Kept by all parts: the product of their probabilities."""

    kind = "and"


class Union(_Combination):
    """Kept by at least one part: 1 - prod(1 - a)."""

    kind = "or"


class Complement(_Combination):
    """Kept where its one part does not keep: 1 - a."""

    kind = "not"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.parts) != 1:
            raise SelectionError(f"Complement takes one selection, not {len(self.parts)}.")


def _members(selection: Selection, kind: type[_Combination]) -> tuple[Selection, ...]:
    return selection.parts if isinstance(selection, kind) else (selection,)


def checked_features(features: Sequence[str | int] | str | None, title: str) -> Features:
    """Read a part's features: names or indices, each once.

    Raises
    ------
    SelectionError
    """
    if features is None:
        return None
    if not isinstance(features, Iterable):
        raise SelectionError(
            f"{title}: features is {features!r}; give names or indices from 0.", value=features
        )
    found: list[str | int] = []
    for feature in [features] if isinstance(features, str) else features:
        if isinstance(feature, str):
            found.append(feature)
        elif isinstance(feature, int | np.integer) and not isinstance(feature, bool):
            found.append(int(feature))
        else:
            raise SelectionError(
                f"{title}: {feature!r} is no feature: give names or indices from 0.", value=feature
            )
    if not found or len(set(found)) < len(found):
        raise SelectionError(f"{title}: features {found} must be at least one, and each only once.")
    return tuple(found)
