"""Which rows a selection treats alike: they have the same noise, and covariates about which it answers the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting, SelectionError
from dgmmis.noise_classes import ClassCenters, coordinates, define_classes
from dgmmis.packed import Array
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, column_noise, column_values, is_certain

__all__ = ["RowClasses", "row_classes"]

PROBES = 32
"""Points at which a selection is asked about a row's covariates, to tell which rows it treats alike."""

MEMBERS = 16
"""Rows of each class whose covariates stand for the class."""


@dataclass(frozen=True)
class RowClasses:
    """How rows are put into classes.

    Attributes
    ----------
    centers : ClassCenters
    variances : (f,) or None
        Scale on which the noise in the selection's columns matters; None if the noise makes no class.
    probes : (J, D) or None
        Values with which the selection is asked about covariates; None if it uses none.
    covariates : (B, Q, C) or None
        Of members of each class.
    """

    centers: ClassCenters
    variances: Array | None
    probes: Array | None
    covariates: Array | None = None

    @property
    def n_classes(self) -> int:
        """B."""
        return len(self.centers.centers)

    def assign(self, samples: Samples, group: PatternGroup, cut: Cut) -> NDArray[np.intp]:
        """Class (n,) of a group's rows."""
        if self.n_classes == 1:
            return np.zeros(len(group.rows), dtype=np.intp)
        return self.centers.assign(_position(samples, group, cut, self.variances, self.probes))


def row_classes(pilot: Samples, cut: Cut, *, one_noise: bool) -> RowClasses | None:
    """Define classes on a random sample of the rows; None if one serves them all.

    Parameters
    ----------
    pilot : Samples
        Read with the noise of the cut's `noise_columns` kept.
    cut : Cut
    one_noise : bool
        The noise makes no class: it was the same for all rows, or the parent population's is known.

    Raises
    ------
    SelectionError
        If no row's noise is known.
    """
    variances = None if one_noise or pilot.noise_kind == "none" else _typical_variances(pilot, cut.columns)
    probes = _probes(pilot, cut) if len(cut.selection.covariates) else None
    if variances is None and probes is None:
        return None
    positions = [_position(pilot, group, cut, variances, probes) for group in pilot.groups]
    position, rows = np.concatenate(positions), np.concatenate([group.rows for group in pilot.groups])
    known = np.isfinite(position).all(axis=1)
    if not known.any():
        raise SelectionError(
            f"no row of the random sample has noise in all of the columns {cut.columns.tolist()} that the selection "
            "looks at. Give it, or noise_model, or before_noise=True if the selection acted on noise-free values.",
            array="noise",
        )
    centers = define_classes(position[known])
    if probes is None or pilot.covariates is None:
        return RowClasses(centers, variances, probes)
    members = _members(centers.assign(position[known]), len(centers.centers))
    return RowClasses(centers, variances, probes, pilot.covariates[rows[known][members]])


def _position(
    samples: Samples, group: PatternGroup, cut: Cut, variances: Array | None, probes: Array | None
) -> Array:
    """Positions (n, M) of rows among the classes."""
    parts = []
    if variances is not None:
        noise = coordinates(column_noise(group, cut.columns), variances)
        parts.append(np.broadcast_to(noise, (len(group.rows), noise.shape[1])))
    if probes is not None:
        parts.append(_answers(samples, group, cut, probes))
    return np.concatenate(parts, axis=1)


def _answers(samples: Samples, group: PatternGroup, cut: Cut, probes: Array) -> Array:
    """Omega (n, J) at the probes with each row's covariates."""
    if samples.covariates is None:
        raise SelectionError("the selection looks at covariates: give them.", array="covariates")
    if not is_certain(group, cut):
        raise InvalidSetting(
            "a selection that looks at covariates needs rows that have all of its features, selected after the noise: "
            "leave out the rows that lack one, or let the selection look at other features."
        )
    n, theirs = len(group.rows), samples.covariates[group.rows]
    answers = [cut.selection.evaluate(np.tile(probe, (n, 1)), theirs) for probe in probes]
    return np.stack(answers, axis=1)


def _probes(pilot: Samples, cut: Cut) -> Array:
    """Values of some rows that have all columns of the selection."""
    whole = [column_values(group, pilot.n_features) for group in pilot.groups if is_certain(group, cut)]
    if not whole:
        raise SelectionError(
            f"no row of the random sample has all of the columns {cut.columns.tolist()} that the selection looks at.",
            array="values",
        )
    return np.concatenate(whole)[:PROBES]


def _members(classes: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """Rows (B, Q) of each class, again from the first where it has fewer than Q."""
    members = [np.flatnonzero(classes == b) for b in range(n_classes)]
    return np.array([np.resize(some, MEMBERS) for some in members])


def _typical_variances(pilot: Samples, columns: NDArray[np.intp]) -> Array:
    """Variances (f,) of the columns over the rows that have them; 1 where there are none."""
    values = np.concatenate([column_values(group, pilot.n_features)[:, columns] for group in pilot.groups])
    present = ~np.isnan(values)
    n = np.maximum(present.sum(axis=0), 1)
    off = np.where(present, values - np.nansum(values, axis=0) / n, 0.0)
    variances = (off**2).sum(axis=0) / n
    return np.where(variances > 0, variances, 1.0)
