"""Sums over leaves in one fixed binary tree, whoever computes which leaves and in whatever order.

Leaf i sits under node (level, i >> level).  A node's total is its left child's plus its right child's;
a child without leaves is skipped.  Floating-point sums depend on their order: this order depends on
the number of leaves alone, so totals have the same bits for any split over workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["Addable", "Node", "Tree", "sum_leaves"]


class Addable(Protocol):
    """Anything with `+`."""

    def __add__(self, other: Self, /) -> Self: ...


T = TypeVar("T", bound=Addable)


@dataclass(frozen=True)
class Node(Generic[T]):
    """A whole subtree: the sum of leaves index << level up to (index + 1) << level."""

    level: int
    index: int
    total: T


def sum_leaves(start: int, stop: int, leaf: Callable[[int], T]) -> list[Node[T]]:
    """Sum leaves `start` to `stop - 1` into the fewest whole subtrees, at most 2 log2(stop) of them."""
    nodes: list[Node[T]] = []
    for i in range(start, stop):
        nodes.append(Node(0, i, leaf(i)))
        while len(nodes) > 1 and _are_siblings(nodes[-2], nodes[-1]):
            right = nodes.pop()
            left = nodes.pop()
            nodes.append(_parent(left, right))
    return nodes


def _are_siblings(left: Node[T], right: Node[T]) -> bool:
    return left.level == right.level and left.index % 2 == 0 and right.index == left.index + 1


def _parent(left: Node[T], right: Node[T]) -> Node[T]:
    return Node(left.level + 1, left.index // 2, left.total + right.total)


class Tree(Generic[T]):
    """Collects whole subtrees in any order and adds siblings as soon as both are there."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], Node[T]] = {}

    def add(self, nodes: Iterable[Node[T]]) -> None:
        """Take in subtrees; each leaf may arrive once."""
        for node in nodes:
            sibling = self._nodes.pop((node.level, node.index ^ 1), None)
            while sibling is not None:
                node = _parent(node, sibling) if node.index % 2 == 0 else _parent(sibling, node)
                sibling = self._nodes.pop((node.level, node.index ^ 1), None)
            self._nodes[node.level, node.index] = node

    def total(self) -> T:
        """Sum of all leaves, once they are all in."""
        nodes = sorted(self._nodes.values(), key=lambda node: node.level)
        total = nodes[0].total
        for node in nodes[1:]:
            total = node.total + total
        return total
