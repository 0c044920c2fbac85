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
from dgmmis.packed import Array

__all__ = ["Restarts", "distinct"]

SAME_OBJECTIVE = 0.5
"""Optima of the same rows whose objectives differ by less [nats] may be one ..."""

SAME_DISPERSION = 0.25
"""... if each component of one lies this near to one of the other, in dispersions and in relative amplitude."""


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
    """Tell whether two fits reached the same optimum, whatever the order of their components."""
    if abs(one.objective - other.objective) > SAME_OBJECTIVE:
        return False
    left, right = one.mixture, other.mixture
    scale = np.sqrt(np.diagonal(right.covariances, axis1=1, axis2=2))
    apart = np.abs(left.means[:, None] - right.means[None]) / scale[None]
    wider = np.abs(np.log(np.diagonal(left.covariances, axis1=1, axis2=2)[:, None] / scale[None] ** 2)) / 2
    rarer = np.abs(left.amplitudes[:, None] - right.amplitudes[None]) / right.amplitudes[None]
    near = (apart.max(axis=2) < SAME_DISPERSION) & (wider.max(axis=2) < SAME_DISPERSION)
    near &= rarer < SAME_DISPERSION
    return bool(near.any(axis=1).all() and near.any(axis=0).all())
