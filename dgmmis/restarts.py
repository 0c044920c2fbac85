"""The distinct optima that many starts lead to, and their average by likelihood.

A small truncated sample often has several optima that explain what is seen almost equally well and differ in
what is not seen.  Taking the highest of them claims to know which one it is; their average, each weighted by its
likelihood, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dgmmis.fit_result import FitResult
from dgmmis.model import Model
from dgmmis.optima import same_optimum
from dgmmis.packed import Array

__all__ = ["MOST_STARTS", "Restarts", "distinct"]

MOST_STARTS = 10_000
"""Seedings that anybody may ask for: each is a fit."""


@dataclass(frozen=True)
class Restarts:
    """Fits of the same rows from many starts; what led to the same optimum is kept once.

    Attributes
    ----------
    results : tuple of FitResult
        The distinct optima, the highest objective first.
    counts : tuple of int
        How many starts led to each.
    objectives : (n,)
        Log-likelihood plus logarithm of the prior [total nats].
    """

    results: tuple[FitResult, ...]
    counts: tuple[int, ...]
    objectives: Array

    @property
    def best(self) -> FitResult:
        """The highest optimum."""
        return self.results[0]

    @property
    def weights(self) -> Array:
        """Likelihood (times prior) of each optimum, relative to their sum."""
        relative = np.exp(self.objectives - self.objectives.max())
        return np.asarray(relative / relative.sum())

    def stack(self) -> Model:
        """Average the optima's densities, each weighted by its likelihood: one model of many components."""
        return Model.stack([result.model for result in self.results], self.weights)


def distinct(results: Sequence[FitResult]) -> Restarts:
    """Keep of several fits of the same rows those that are distinct optima."""
    objectives = np.array([result.objective for result in results])
    kept: list[int] = []
    counts: list[int] = []
    for i in np.argsort(-objectives, kind="stable").tolist():
        twin = next((n for n, j in enumerate(kept) if _is_same(results[i], results[j])), None)
        if twin is None:
            kept.append(i)
            counts.append(1)
        else:
            counts[twin] += 1
    return Restarts(tuple(results[i] for i in kept), tuple(counts), objectives[kept])


def _is_same(one: FitResult, other: FitResult) -> bool:
    return same_optimum(one.mixture, other.mixture, one.objective - other.objective)
