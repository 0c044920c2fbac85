"""Rows that cannot be used: set aside with the reason, counted, never lost from sight."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import TooManyQuarantined
from dgmmis.faults import Fault, find_faults
from dgmmis.store.manifest import QUARANTINE, canonical_json
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["Quarantine", "read_entries", "readable_ids"]

NAMED = 5


class Quarantine:
    """Where rows with a fault go: one line of JSON each, in source order.

    Parameters
    ----------
    folder : Path
    schema : Schema
    limit : int or None
        Most rows that may be set aside; None means any number.
    tolerance : float
        As in `find_faults`.
    first_row : int
        Number of the source's first row: an error counts from it.
    """

    def __init__(
        self, folder: Path, schema: Schema, limit: int | None, tolerance: float, first_row: int = 0
    ) -> None:
        self._schema, self._limit, self._tolerance = schema, limit, tolerance
        self._first_row = first_row
        self._file = (folder / QUARANTINE).open("wb")
        self._first: list[dict[str, Any]] = []
        self.reasons: Counter[str] = Counter()

    @property
    def n_rows(self) -> int:
        """Rows set aside."""
        return self.reasons.total()

    def sift(self, rows: StoredRows) -> StoredRows:
        """Set the unusable rows aside and return the others.

        Raises
        ------
        TooManyQuarantined
            If they become more than allowed; the first ones are named.
        """
        noise = self._schema.noise_as_stored(rows.noise)
        values = np.asarray(rows.values, dtype=np.float64)
        faults = find_faults(values, noise, rows.weights, tolerance=self._tolerance)
        if not faults:
            return rows
        for fault in faults:
            self._set_aside(rows, fault)
        if self._limit is not None and self.n_rows > self._limit:
            self._refuse()
        usable = np.ones(len(rows), bool)
        usable[[fault.row for fault in faults]] = False
        return rows.take(np.flatnonzero(usable))

    def close(self) -> None:
        """Write what is still buffered."""
        self._file.close()

    def _set_aside(self, rows: StoredRows, fault: Fault) -> None:
        column, value = _stored_entry(self._schema, rows, fault)
        reason = fault.reason
        if self._schema.noise_form == "errors":
            reason = reason.replace("negative variance", "negative error")
        entry = {
            "row": int(rows.source_rows[fault.row]),
            "id": readable_ids(rows.ids[fault.row : fault.row + 1]).tolist()[0],
            "column": column,
            "reason": reason,
            "value": value if np.isfinite(value) else str(value),
        }
        self._file.write(canonical_json(entry) + b"\n")
        self.reasons[reason] += 1
        if len(self._first) < NAMED:
            self._first.append(entry)

    def _refuse(self) -> None:
        first, before = self._first[0], self._first_row
        named = "; ".join(
            f"row {e['row'] - before} (id {e['id']}), {e['column']}: {e['reason']}: {e['value']}"
            for e in self._first
        )
        raise TooManyQuarantined(
            f"{self.n_rows} rows so far cannot be used, {self._limit} are allowed. The first: {named}. Mend "
            "the source, set features that were not observed to NaN, or allow more quarantined rows.",
            array=first["column"],
            row=first["row"] - before,
            column=first["column"],
            value=first["value"],
        )


def _stored_entry(schema: Schema, rows: StoredRows, fault: Fault) -> tuple[str, float]:
    """Name the stored entry that a fault lies in, as "ra" or "errors[ra]", and give its number."""
    feature = schema.features[fault.column]
    if fault.array == "values":
        return feature, fault.value
    if fault.array == "weights":
        return "weights", fault.value
    if fault.reason.startswith(("covariance", "noise covariance")) and schema.has_correlations:
        return _largest_correlation(schema, rows, fault)
    if schema.noise_form == "errors":
        return f"errors[{feature}]", float(rows.noise["errors"][fault.row, fault.column])
    return f"{schema.noise_form}[{feature}]", fault.value


def _largest_correlation(schema: Schema, rows: StoredRows, fault: Fault) -> tuple[str, float]:
    """Pick the coefficient to look at first: one that is not finite, else the largest observed."""
    present = ~np.isnan(rows.values[fault.row])
    first, second = np.tril_indices(schema.n_features, -1)
    coefficients = rows.noise["correlations"][fault.row]
    size = np.where(np.isfinite(coefficients), np.abs(coefficients), np.inf)
    pair = int(np.argmax(np.where(present[first] & present[second], size, -1.0)))
    names = f"{schema.features[first[pair]]}, {schema.features[second[pair]]}"
    return f"correlations[{names}]", float(coefficients[pair])


def readable_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """Ids as int64 (N,) or, from padded UTF-8 (N, L), as str (N,)."""
    if ids.ndim == 1:
        return ids
    joined = np.ascontiguousarray(ids).view(f"S{ids.shape[1]}").ravel()
    return np.strings.decode(joined, "utf-8", "backslashreplace")


def read_entries(files: Iterable[IO[bytes]], limit: int | None) -> list[dict[str, Any]]:
    """Read the first `limit` lines of quarantine files, one after the other, or all."""
    entries: list[dict[str, Any]] = []
    for file in files:
        left = None if limit is None else limit - len(entries)
        with file as lines:
            entries += [json.loads(line) for line in islice(lines, left)]
    return entries
