"""One look at all rows before the first pass: whether the selection allows them, and which noise they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.errors import SelectionError
from dgmmis.noise_classes import NoiseClasses
from dgmmis.packed import Array, packed_size
from dgmmis.row_classes import RowClasses, row_classes
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, column_noise, column_values, is_certain, require_known_noise
from dgmmis.selection import ImpossibleRow

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

    def classes(self, covariates: Array | None = None) -> NoiseClasses:
        """Return the classes, each with its mean noise (0 if it holds no rows) and, if given, its covariates."""
        held = np.maximum(self.weights, np.finfo(np.float64).tiny)
        return NoiseClasses(self.noise / held[:, None], self.weights, covariates)


@dataclass(frozen=True)
class Surveyor:
    """Looks at rows one chunk at a time.

    Attributes
    ----------
    cut : Cut
    classes : RowClasses or None
        None if one class serves all rows.
    """

    cut: Cut
    classes: RowClasses | None

    def survey(self, samples: Samples, *, first_row: int = 0) -> Survey:
        """Survey one chunk, read with the noise of the cut's `noise_columns` kept.

        Raises
        ------
        SelectionError
            If the selection cannot be evaluated on a row, or says that the row cannot have been observed, or saw
            it with a noise that is not known.
        """
        n_classes = 1 if self.classes is None else self.classes.n_classes
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
        if self.classes is None:
            none = np.zeros((1, packed_size(len(self.cut.columns))))
            return Survey(np.array([group.weights.sum()]), none, log_selection)
        noise = column_noise(group, self.cut.columns)
        noise = np.broadcast_to(noise, (len(group.rows), noise.shape[1]))
        which = self.classes.assign(samples, group, self.cut)
        weights = np.bincount(which, weights=group.weights, minlength=n_classes).astype(np.float64)
        sums = [np.bincount(which, weights=group.weights * entry, minlength=n_classes) for entry in noise.T]
        return Survey(weights, np.stack(sums, axis=1), log_selection)

    def _chance(self, samples: Samples, group: PatternGroup, first_row: int) -> Array:
        """Omega (n,) of rows that tell it, none of them 0."""
        ask = self.cut.selection.evaluate_observed
        values = column_values(group, samples.n_features)
        others = None if samples.covariates is None else samples.covariates[group.rows]
        try:
            return ask(values, others, rows=group.rows + first_row)
        except ImpossibleRow:
            raise
        except SelectionError as error:
            if error.row is not None:  # ask about that row alone, so that the message has its right number
                one = slice(error.row, error.row + 1)
                ask(
                    values[one],
                    None if others is None else others[one],
                    first_row + int(group.rows[error.row]),
                )
            raise


def surveyor_of(pilot: Samples, cut: Cut, *, one_noise: bool) -> Surveyor:
    """Define the classes of rows on a random sample; parameters as of `row_classes`."""
    return Surveyor(cut, row_classes(pilot, cut, one_noise=one_noise or cut.before_noise))
