"""Rows sorted by their noise, so that what depends on the noise alone is computed once per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.packed import Array, lower_indices

__all__ = ["MOST_CLASSES", "NoiseClasses", "define_classes"]

MOST_CLASSES = 64
"""More distinct noises than these are binned; the error falls with the square of the bins' size."""


@dataclass(frozen=True)
class NoiseClasses:
    """Classes of rows with (nearly) the same noise, and how much weight lies in each.

    Attributes
    ----------
    noise : (B, P)
        Packed noise covariance of each class: the mean of its rows.
    weights : (B,)
        Sum of the weights of its rows.
    covariates : (B, Q, C), optional
        Of Q rows drawn from each class, where the selection looks at covariates.
    """

    noise: Array
    weights: Array
    covariates: Array | None = None

    @property
    def n_classes(self) -> int:
        """B."""
        return len(self.weights)


@dataclass(frozen=True)
class ClassCenters:
    """Where the classes lie, so that every row finds its own.

    Attributes
    ----------
    centers : (B, M)
        Positions; `coordinates` of the noise, followed by what the selection answers about the covariates.
    """

    centers: Array

    def assign(self, position: Array) -> NDArray[np.intp]:
        """Class (n,) of rows at these positions (n, M)."""
        best = np.full(len(position), np.inf)
        nearest = np.zeros(len(position), dtype=np.intp)
        for b, center in enumerate(self.centers):
            distance = ((position - center) ** 2).sum(axis=1)
            closer = distance < best
            best[closer], nearest[closer] = distance[closer], b
        return nearest


def coordinates(noise: Array, variances: Array) -> Array:
    """Coordinates in which equal steps of noise change a noisy density about equally, (n, P).

    The density depends on V + S: noise below the population's own spread V hardly matters, noise far above
    it matters by its logarithm.
    """
    rows, columns = lower_indices(len(variances))
    spread = variances + noise[:, rows == columns]
    position = noise / np.sqrt(spread[:, rows] * spread[:, columns])
    position[:, rows == columns] = np.log1p(noise[:, rows == columns] / variances)
    return np.asarray(position)


def define_classes(position: Array, most: int = MOST_CLASSES) -> ClassCenters:
    """Choose classes for rows at positions (n, M): the distinct ones if they are few, else bins.

    Bins are made by halving, again and again, the one with the largest scatter along its longest axis.
    """
    distinct = np.unique(position, axis=0)
    if len(distinct) <= most:
        return ClassCenters(distinct)
    bins = [position]
    while len(bins) < most:
        widest = int(np.argmax([_scatter(members).max() for members in bins]))
        bins += _halves(bins.pop(widest))
    return ClassCenters(np.array([members.mean(axis=0) for members in bins]))


def _scatter(members: Array) -> Array:
    return np.asarray(members.var(axis=0) * len(members))


def _halves(members: Array) -> list[Array]:
    axis = int(np.argmax(_scatter(members)))
    above = members[:, axis] > members[:, axis].mean()
    return [members[~above], members[above]]
