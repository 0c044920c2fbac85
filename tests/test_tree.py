"""The order of additions depends on the number of leaves alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.tree import Tree, sum_leaves


@dataclass(frozen=True)
class Term:
    """A sum that remembers how it was made."""

    text: str

    def __add__(self, other: Term) -> Term:
        return Term(f"({self.text}+{other.text})")


def leaf(i: int) -> Term:
    return Term(str(i))


def balanced(level: int, index: int, n_leaves: int) -> str | None:
    """The tree by its definition: a node is its left child plus its right child, if it has leaves."""
    if index << level >= n_leaves:
        return None
    if level == 0:
        return str(index)
    left, right = (balanced(level - 1, 2 * index + side, n_leaves) for side in (0, 1))
    return left if right is None else f"({left}+{right})"


@st.composite
def segments(draw) -> tuple[int, list[tuple[int, int]]]:
    """A number of leaves, and its split into runs in some order of arrival."""
    n_leaves = draw(st.integers(1, 70))
    cuts = sorted(draw(st.sets(st.integers(1, n_leaves))) | {0, n_leaves})
    return n_leaves, draw(st.permutations(list(pairwise(cuts))))


@given(segments())
def test_any_split_in_any_order_gives_the_tree_of_the_definition(split):
    n_leaves, runs = split
    tree = Tree()
    for start, stop in runs:
        tree.add(sum_leaves(start, stop, leaf))
    top = math.ceil(math.log2(n_leaves)) if n_leaves > 1 else 0
    assert tree.total().text == balanced(top, 0, n_leaves)


@given(segments(), st.integers(0, 2**32 - 1))
def test_any_split_in_any_order_gives_the_same_bits(split, seed):
    n_leaves, runs = split
    numbers = np.random.default_rng(seed).lognormal(sigma=20, size=n_leaves).tolist()
    whole, parts = Tree(), Tree()
    whole.add(sum_leaves(0, n_leaves, numbers.__getitem__))
    for start, stop in runs:
        parts.add(sum_leaves(start, stop, numbers.__getitem__))
    assert parts.total() == whole.total()
    assert whole.total() == pytest.approx(math.fsum(numbers), rel=1e-14)


@given(segments())
def test_the_subtrees_of_all_runs_may_arrive_interleaved(split):
    _, runs = split
    nodes = [node for start, stop in runs for node in sum_leaves(start, stop, leaf)]
    forwards, backwards = Tree(), Tree()
    forwards.add(nodes)
    backwards.add(reversed(nodes))
    assert forwards.total() == backwards.total()


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_a_run_is_few_subtrees(start, length):
    nodes = sum_leaves(start, start + length, float)
    assert len(nodes) <= max(1, 2 * math.log2(start + length))
    assert sum(node.total for node in nodes) == sum(range(start, start + length))
