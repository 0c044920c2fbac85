"""From columns of a source to rows as a catalogue stores them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.ingestion.ingest_plan import Plan
from dgmmis.packed import dimension, lower_indices
from dgmmis.readers.source import ColumnBatch
from dgmmis.store.schema import TEXT_WIDTH, StoredRows

__all__ = ["RowBuilder"]


class RowBuilder:
    """Builds stored rows batch by batch, and counts.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    n_read : int
        Rows read.
    n_kept : int
        Rows that met the condition `where`.
    n_without_error : dict of str to int
        By feature: values set to missing because they had no usable error.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.n_read = 0
        self.n_kept = 0
        self.n_without_error = dict.fromkeys(plan.schema.features, 0)

    def build(self, batch: ColumnBatch) -> StoredRows:
        """Turn a batch of columns into stored rows; those that the condition excludes are left out."""
        plan = self._plan
        source_rows = np.arange(batch.first_row, batch.first_row + len(batch))
        self.n_read += len(batch)
        columns, given = batch.columns, batch.noise
        if plan.where is not None:
            kept = plan.where.keeps(columns)
            if not kept.all():
                source_rows = source_rows[kept]
                columns = {name: column[kept] for name, column in columns.items()}
                given = {name: array[kept] for name, array in given.items()}
        n_rows = len(source_rows)
        self.n_kept += n_rows
        values = self._values(columns, n_rows)
        noise: dict[str, NDArray[Any]] = dict(given)
        if plan.noise is not None:
            noise = plan.noise.stored(columns, n_rows, np.dtype(plan.schema.noise_dtype))
        if plan.treat_as_missing:
            self._drop(values, self._unusable(columns, given, n_rows))
        weights = None if plan.weights is None else columns[plan.weights].astype(np.float64)
        return StoredRows(source_rows, self._ids(columns, source_rows), values, noise, weights)

    def _values(self, columns: dict[str, NDArray[Any]], n_rows: int) -> NDArray[Any]:
        values = np.empty((n_rows, len(self._plan.features)), self._plan.schema.value_dtype)
        for index, feature in enumerate(self._plan.features):
            values[:, index] = feature.values(columns)
        return values

    def _unusable(
        self, columns: dict[str, NDArray[Any]], given: dict[str, NDArray[np.float64]], n_rows: int
    ) -> NDArray[np.bool_]:
        if self._plan.noise is not None:
            return self._plan.noise.unusable(columns, n_rows)
        if not given:
            return np.zeros((n_rows, len(self._plan.features)), bool)
        (array,) = given.values()
        if "covariances" in given:
            rows, positions = lower_indices(dimension(array.shape[1]))
            array = array[:, rows == positions]
        return ~(np.isfinite(array) & (array >= 0))

    def _drop(self, values: NDArray[Any], unusable: NDArray[np.bool_]) -> None:
        lost = unusable & ~np.isnan(values)
        for name, count in zip(self.n_without_error, lost.sum(axis=0), strict=True):
            self.n_without_error[name] += int(count)
        values[lost] = np.nan

    def _ids(self, columns: dict[str, NDArray[Any]], source_rows: NDArray[np.int64]) -> NDArray[Any]:
        if self._plan.id is None:
            return source_rows
        ids = columns[self._plan.id]
        if self._plan.schema.id_kind == "integer":
            return ids
        return ids.astype(f"S{TEXT_WIDTH}").view(np.uint8).reshape(len(ids), TEXT_WIDTH)
