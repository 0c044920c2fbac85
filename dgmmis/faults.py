"""Which rows cannot be used, and why: the checks that both arrays and catalogues pass through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData
from dgmmis.noise import LARGEST_VARIANCE, Noise
from dgmmis.numeric_input import LARGEST
from dgmmis.packed import SEMIDEFINITE_TOLERANCE, Array, is_positive_semidefinite, lower_indices

__all__ = ["Fault", "find_faults", "refuse_faults"]


_BEYOND = f"beyond {LARGEST:g}, where squares stop being numbers: use other units"
_BEYOND_SQUARE = f"variance beyond {LARGEST_VARIANCE:g}: use other units, or call the feature missing"


@dataclass(frozen=True)
class Fault:
    """One reason why a row cannot be used.

    Attributes
    ----------
    row : int
        Position in the arrays that were checked.
    column : int
        Feature.
    array : str
        "values", "noise" or "weights".
    reason : str
        What is wrong, in words.
    value : float
        The offending number.
    """

    row: int
    column: int
    array: str
    reason: str
    value: float


def find_faults(
    values: Array, noise: Noise, weights: Array | None = None, *, tolerance: float = SEMIDEFINITE_TOLERANCE
) -> list[Fault]:
    """Find the first fault of each unusable row, in order of rows.

    Parameters
    ----------
    values : (N, D)
        NaN means not observed.
    noise : Noise
        Of these rows; entries of features that a row lacks are not looked at.
    weights : (N,), optional
    tolerance : float
        How far below zero the smallest eigenvalue of a noise correlation matrix may lie.

    Returns
    -------
    list of Fault
        Values that are infinite or beyond `LARGEST`; negative, missing or infinite variances of present features,
        or ones beyond its square; covariances that are not finite or not positive semi-definite; weights that are
        negative, not finite, or beyond `LARGEST`.
    """
    present = ~np.isnan(values)
    found = [
        _faults_of(np.isinf(values), values, "values", "infinite value"),
        _faults_of(np.abs(values) > LARGEST, values, "values", _BEYOND),
    ]
    if weights is not None:
        bad = ~(np.isfinite(weights) & (weights >= 0))
        found.append(_faults_of(bad[:, None], weights[:, None], "weights", "weight not finite and >= 0"))
        found.append(_faults_of(weights[:, None] > LARGEST, weights[:, None], "weights", _BEYOND))
    if noise.kind in ("diagonal", "full") and noise.array is not None:
        found += _noise_faults(present, noise, tolerance)
    return _first_of_each_row(found)


def refuse_faults(faults: list[Fault], names: tuple[str, ...], *, first_row: int = 0) -> None:
    """Raise `InvalidData` for the first fault, if there is any."""
    if not faults:
        return
    fault = faults[0]
    row = fault.row + first_row
    more = f" ({len(faults)} such rows in this chunk)" if len(faults) > 1 else ""
    column = names[fault.column] if fault.array != "weights" else "weights"
    raise InvalidData(
        f"{fault.array}, row {row}, column '{column}': {fault.reason}: {fault.value:g}{more}. "
        "Mark a feature that was not observed as NaN in values, or leave the row out.",
        array=fault.array,
        row=row,
        column=column,
        value=fault.value,
    )


def _noise_faults(present: NDArray[np.bool_], noise: Noise, tolerance: float) -> list[list[Fault]]:
    array = noise.array
    assert array is not None
    if noise.kind == "full" and _all_small(array) and is_positive_semidefinite(array, tolerance).all():
        return []  # and so is every sub-matrix of present features
    n_features = present.shape[1]
    rows, columns = lower_indices(n_features)
    variances = array if noise.kind == "diagonal" else array[:, rows == columns]
    found = [
        _faults_of(present & np.isnan(variances), variances, "noise", "no noise for a present feature"),
        _faults_of(present & np.isinf(variances), variances, "noise", "infinite noise of a present feature"),
        _faults_of(present & (variances < 0), variances, "noise", "negative variance of a present feature"),
        _faults_of(present & (variances > LARGEST_VARIANCE), variances, "noise", _BEYOND_SQUARE),
    ]
    if noise.kind == "full":
        both = present[:, rows] & present[:, columns]
        entries = _faults_of(both & ~np.isfinite(array), array, "noise", "covariance not finite")
        found.append([Fault(f.row, int(rows[f.column]), f.array, f.reason, f.value) for f in entries])
        whole = np.where(both & np.isfinite(array), array, (rows == columns).astype(float))
        bad = np.flatnonzero(~is_positive_semidefinite(whole, tolerance))
        found.append([_indefinite(int(row), present[row], variances[row]) for row in bad])
    return found


def _all_small(array: Array) -> bool:
    """Tell whether all numbers are finite, and may be variances."""
    return bool((np.abs(array) <= LARGEST_VARIANCE).all())


def _indefinite(row: int, present: NDArray[np.bool_], variances: Array) -> Fault:
    column = int(np.flatnonzero(present)[0]) if present.any() else 0
    return Fault(
        row, column, "noise", "noise covariance not positive semi-definite", float(variances[column])
    )


def _faults_of(bad: NDArray[np.bool_], values: Array, array: str, reason: str) -> list[Fault]:
    where = np.argwhere(bad) if bad.any() else np.empty((0, 2), int)
    return [Fault(int(i), int(j), array, reason, float(values[i, j])) for i, j in where]


def _first_of_each_row(found: list[list[Fault]]) -> list[Fault]:
    first: dict[int, Fault] = {}
    for faults in found:
        for fault in faults:
            first.setdefault(fault.row, fault)
    return [first[row] for row in sorted(first)]
