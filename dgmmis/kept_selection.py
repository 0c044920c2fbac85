"""Which selection a model keeps when its features change or several models become one."""

from __future__ import annotations

from collections.abc import Sequence

from dgmmis.errors import SelectionError
from dgmmis.selection import Selection
from dgmmis.selection.binding import Leaf, Node

__all__ = ["selection_of_all", "selection_within"]


def selection_within(
    selection: Selection | None, features: tuple[str, ...], kept: tuple[str, ...]
) -> Selection | None:
    """Return the selection if it asks about the same features when only `kept` ones are left, else None."""
    if selection is None:
        return None
    try:
        before, after = selection.bind(features), selection.bind(kept)
    except SelectionError:  # it names a feature that is gone, or another number of them
        return None
    return selection if _asked(before.root) == _asked(after.root) else None


def selection_of_all(selections: Sequence[Selection | None]) -> Selection | None:
    """Return the selection that all share, else None."""
    first = selections[0]
    if first is None or not all(_are_same(first, other) for other in selections[1:]):
        return None
    return first


def _are_same(one: Selection, other: Selection | None) -> bool:
    if other is None or one is other:
        return one is other
    try:
        return one.digest() == other.digest()
    except SelectionError:  # a function that can be told from no other
        return False


def _asked(node: Node) -> list[tuple[str, ...]]:
    """Names of the features that each part is asked about."""
    if isinstance(node, Leaf):
        return [node.names]
    return [names for member in node.members for names in _asked(member)]
