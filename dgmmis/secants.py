"""Limited memory of how a gradient changed along the steps that were made (Liu & Nocedal 1989, Math. Prog. 45, 503)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dgmmis.packed import Array

__all__ = ["Secants"]

CURVED = 1e-10
"""Cosine of a step and the change of the gradient below which the pair says nothing of a maximum."""


@dataclass(frozen=True)
class Secants:
    """Pairs of steps and changes of the gradient, the oldest first.

    Attributes
    ----------
    steps : (m, p)
    changes : (m, p)
        Gradient before the step less that after it.
    """

    steps: Array
    changes: Array

    @classmethod
    def none(cls, n_parameters: int) -> Secants:
        """Hold no pair."""
        return cls(np.zeros((0, n_parameters)), np.zeros((0, n_parameters)))

    def __len__(self) -> int:
        return len(self.steps)

    def with_pair(self, step: Array, change: Array) -> Secants:
        """Add a pair, unless the objective did not curve downwards along it."""
        curvature = _dot(step, change)
        if not curvature > CURVED * np.sqrt(_dot(step, step) * _dot(change, change)):
            return self
        return Secants(np.concatenate((self.steps, step[None])), np.concatenate((self.changes, change[None])))

    def solve(self, gradient: Array, solved: Callable[[Array], Array | None]) -> Array | None:
        """Divide a gradient (p,) by the information that the pairs correct.

        Parameters
        ----------
        gradient : (p,)
        solved : callable
            Divides by the information without the pairs; None if it cannot.
        """
        left, shares = gradient.copy(), []
        for step, change in zip(self.steps[::-1], self.changes[::-1], strict=True):
            share = _dot(step, left) / _dot(step, change)
            shares.append(share)
            left -= share * change
        result = solved(left)
        if result is None:
            return None
        for step, change, share in zip(self.steps, self.changes, reversed(shares), strict=True):
            result = result + step * (share - _dot(change, result) / _dot(step, change))
        return result


def _dot(one: Array, other: Array) -> float:
    return float(np.einsum("p,p->", one, other))
