"""The score of a row's ln Z: each class of rows has its own chance of being observed, and its own gradient of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.coordinates import Chart
from dgmmis.imputation import ClassSums
from dgmmis.observation import Observation
from dgmmis.packed import Array, pack, packed_size, sub_positions, unpack
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut

__all__ = ["ClassScores"]


@dataclass(frozen=True)
class ClassScores:
    """Gradients of -ln Z_b of the classes of rows, and how a row finds its class.

    Attributes
    ----------
    scores : (B, p)
        Per unit of weight; 0 for a class without rows.
    cut : Cut
    classes : RowClasses, optional
        None if one class serves all rows.
    """

    scores: Array
    cut: Cut
    classes: RowClasses | None = None

    @classmethod
    def of(
        cls, chart: Chart, observation: Observation, sums: ClassSums, cut: Cut, classes: RowClasses | None
    ) -> ClassScores:
        """Take the gradients at the chart's origin.

        Parameters
        ----------
        chart : Chart
        observation : Observation
        sums : ClassSums
            Of the imputed points under the chart's origin, the mean of their replicates.
        cut : Cut
        classes : RowClasses, optional
        """
        population = chart.origin
        held = observation.classes.weights > 0
        inverse = np.divide(1.0, 1 - sums.unobserved, out=np.zeros(len(held)), where=held)
        zeroth = inverse[:, None] * sums.zeroth
        first = inverse[:, None, None] * sums.first
        second = inverse[:, None, None] * sums.second
        n_components = population.n_components
        whole = _in_all_features(observation, population.n_features, first, second)
        scores = chart.scores(population, zeroth[:, :n_components], zeroth[:, n_components:], *whole)
        return cls(scores, cut, classes)

    def assign(self, samples: Samples) -> NDArray[np.intp]:
        """Class (N,) of each row."""
        which: NDArray[np.intp] = np.zeros(samples.n_rows, dtype=np.intp)
        if self.classes is not None:
            for group in samples.groups:
                which[group.rows] = self.classes.assign(samples, group, self.cut)
        return which


def _in_all_features(
    observation: Observation, n_features: int, first: Array, second: Array
) -> tuple[Array, Array]:
    """From the selection's columns to the mixture's features: (B, K, D), (B, K, P)."""
    if observation.projection is not None:
        R = observation.projection
        return np.einsum("fd,bkf->bkd", R, first), pack(R.T @ unpack(second) @ R)
    n_classes, n_components = first.shape[:2]
    whole_first = np.zeros((n_classes, n_components, n_features))
    whole_second = np.zeros((n_classes, n_components, packed_size(n_features)))
    whole_first[:, :, observation.columns] = first
    whole_second[:, :, sub_positions(observation.columns)] = second
    return whole_first, whole_second
