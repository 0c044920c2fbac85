"""One look at all rows before the first pass: does the selection allow them, and which noise do they have?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import SelectionError
from dgmmis.noise_classes import ClassCenters, NoiseClasses, define_classes
from dgmmis.packed import Array, packed_size
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import column_noise, column_values, is_certain
from dgmmis.selection import BoundSelection

__all__ = ["Survey", "Surveyor", "surveyor_of"]


@dataclass(frozen=True)
class Survey:
    """What the rows' selection and noise come to; the survey of a whole is the sum of its parts'.

    Attributes
    ----------
    weights : (B,)
        Sum of the row weights of each noise class.
    noise : (B, P)
        Sum of weight times packed noise.
    log_selection : float
        Sum of s ln Omega(x) over the rows [nats].
    """

    weights: Array
    noise: Array
    log_selection: float

    def __add__(self, other: Survey) -> Survey:
        return Survey(
            self.weights + other.weights,
            self.noise + other.noise,
            self.log_selection + other.log_selection,
        )

    def classes(self) -> NoiseClasses:
        """Return the classes that hold any weight, each with its mean noise."""
        held = np.flatnonzero(self.weights > 0)
        return NoiseClasses(self.noise[held] / self.weights[held, None], self.weights[held])


@dataclass(frozen=True)
class Surveyor:
    """Looks at rows one chunk at a time.

    Attributes
    ----------
    selection : BoundSelection
    columns : (f,)
        That the selection looks at.
    before_noise : bool
    centers : ClassCenters or None
        Of the noise classes; None if one class serves all rows.
    """

    selection: BoundSelection
    columns: NDArray[np.intp]
    before_noise: bool
    centers: ClassCenters | None

    def survey(self, samples: Samples, *, first_row: int = 0) -> Survey:
        """Survey one chunk.

        Raises
        ------
        SelectionError
            If the selection cannot be evaluated on a row, or says that the row cannot have been observed.
        """
        n_classes = 1 if self.centers is None else len(self.centers.centers)
        total = Survey(np.zeros(n_classes), np.zeros((n_classes, packed_size(len(self.columns)))), 0.0)
        for group in samples.groups:
            total = total + self._survey_group(samples, group, n_classes, first_row)
        return total

    def _survey_group(self, samples: Samples, group: PatternGroup, n_classes: int, first_row: int) -> Survey:
        log_selection = 0.0
        if not self.before_noise and is_certain(group, self.columns):
            values = column_values(group, samples.n_features)
            chance = self.selection.evaluate_observed(values, first_row=first_row)
            log_selection = float(np.sum(group.weights * np.log(chance)))
        size = packed_size(len(self.columns))
        if self.centers is None:
            none = np.zeros((1, size))
            return Survey(np.array([group.weights.sum()]), none, log_selection)
        noise = column_noise(group, self.columns)
        if len(noise) == 1:
            noise = np.repeat(noise, len(group.rows), axis=0)
        which = self.centers.assign(noise)
        weights = np.bincount(which, weights=group.weights, minlength=n_classes)
        sums = [np.bincount(which, weights=group.weights * entry, minlength=n_classes) for entry in noise.T]
        return Survey(weights, np.stack(sums, axis=1), log_selection)


def surveyor_of(
    pilot: Samples, selection: BoundSelection, *, before_noise: bool, one_class: bool
) -> Surveyor:
    """Define the noise classes on a random sample of the rows.

    Parameters
    ----------
    pilot : Samples
    selection : BoundSelection
    before_noise : bool
    one_class : bool
        The parent population's noise was given, so that all rows have the same completeness.
    """
    columns = selection.columns
    if before_noise or one_class or pilot.noise_kind == "none":
        return Surveyor(selection, columns, before_noise, None)
    certain = [group for group in pilot.groups if is_certain(group, columns)]
    if not certain:
        raise SelectionError(
            f"no row of the random sample has all of the columns {columns.tolist()} that the selection looks at.",
            array="values",
        )
    noise = np.concatenate([column_noise(group, columns) for group in certain])
    values = np.concatenate([column_values(group, pilot.n_features)[:, columns] for group in certain])
    variances = values.var(axis=0)
    scale = np.where(variances > 0, variances, 1.0)
    return Surveyor(selection, columns, before_noise, define_classes(noise, scale))
