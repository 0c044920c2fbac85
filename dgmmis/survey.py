"""One look at all rows before the first pass: whether the selection allows them, and which noise they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import SelectionError
from dgmmis.noise_classes import ClassCenters, NoiseClasses, define_classes
from dgmmis.packed import Array, packed_size
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, column_noise, column_values, is_certain, require_known_noise

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
    cut : Cut
    centers : ClassCenters or None
        Of the noise classes; None if one class serves all rows.
    """

    cut: Cut
    centers: ClassCenters | None

    def survey(self, samples: Samples, *, first_row: int = 0) -> Survey:
        """Survey one chunk, read with the noise of the cut's `noise_columns` kept.

        Raises
        ------
        SelectionError
            If the selection cannot be evaluated on a row, or says that the row cannot have been observed, or saw
            it with a noise that is not known.
        """
        n_classes = 1 if self.centers is None else len(self.centers.centers)
        total = Survey(np.zeros(n_classes), np.zeros((n_classes, packed_size(len(self.cut.columns)))), 0.0)
        for group in samples.groups:
            require_known_noise(group, self.cut, first_row=first_row)
            total = total + self._survey_group(samples, group, n_classes, first_row)
        return total

    def _survey_group(self, samples: Samples, group: PatternGroup, n_classes: int, first_row: int) -> Survey:
        log_selection = 0.0
        if is_certain(group, self.cut):
            chance = self._chance(samples, group, first_row)
            log_selection = float(np.sum(group.weights * np.log(chance)))
        size = packed_size(len(self.cut.columns))
        if self.centers is None:
            none = np.zeros((1, size))
            return Survey(np.array([group.weights.sum()]), none, log_selection)
        noise = column_noise(group, self.cut.columns)
        if len(noise) == 1:
            noise = np.repeat(noise, len(group.rows), axis=0)
        which = self.centers.assign(noise)
        weights = np.bincount(which, weights=group.weights, minlength=n_classes).astype(np.float64)
        sums = [np.bincount(which, weights=group.weights * entry, minlength=n_classes) for entry in noise.T]
        return Survey(weights, np.stack(sums, axis=1), log_selection)

    def _chance(self, samples: Samples, group: PatternGroup, first_row: int) -> Array:
        """Omega (n,) of rows that tell it, none of them 0."""
        values = column_values(group, samples.n_features)
        try:
            return self.cut.selection.evaluate_observed(values)
        except SelectionError as error:
            if error.row is not None:  # ask about that row alone, so that the message has its right number
                row = first_row + int(group.rows[error.row])
                self.cut.selection.evaluate_observed(values[error.row : error.row + 1], first_row=row)
            raise


def surveyor_of(pilot: Samples, cut: Cut, *, one_class: bool) -> Surveyor:
    """Define the noise classes on a random sample of the rows.

    Parameters
    ----------
    pilot : Samples
        Read with the noise of the cut's `noise_columns` kept.
    cut : Cut
    one_class : bool
        The parent population's noise was given, so that all rows have the same completeness.
    """
    columns = cut.columns
    if cut.before_noise or one_class or pilot.noise_kind == "none":
        return Surveyor(cut, None)
    noise = np.concatenate([column_noise(group, columns) for group in pilot.groups])
    known = np.isfinite(noise).all(axis=1)
    if not known.any():
        raise SelectionError(
            f"no row of the random sample has noise in all of the columns {columns.tolist()} that the selection looks "
            "at. Give it, or noise_model, or before_noise=True if the selection acted on noise-free values.",
            array="noise",
        )
    return Surveyor(cut, define_classes(noise[known], _typical_variances(pilot, columns)))


def _typical_variances(pilot: Samples, columns: NDArray[np.intp]) -> Array:
    """Variances (f,) of the columns over the rows that have them; 1 where there are none."""
    values = np.concatenate([column_values(group, pilot.n_features)[:, columns] for group in pilot.groups])
    present = ~np.isnan(values)
    n = np.maximum(present.sum(axis=0), 1)
    off = np.where(present, values - np.nansum(values, axis=0) / n, 0.0)
    variances = (off**2).sum(axis=0) / n
    return np.where(variances > 0, variances, 1.0)
