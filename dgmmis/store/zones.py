"""What is summed up per chunk while the rows are written: ranges, missing features, noise, patterns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.row_order import rows_by_pattern
from dgmmis.store.noise_columns import diagonal_of
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["Zones", "errors_of", "in_stored_order"]


def in_stored_order(rows: StoredRows, schema: Schema) -> StoredRows:
    """Put a chunk's rows in the order of their missing patterns, complete ones first, and near together inside."""
    return rows.take(np.concatenate(rows_by_pattern(rows.values, "kd", schema.noise(rows.noise))))


def errors_of(values: NDArray[Any], noise: Noise) -> Array:
    """Compute the standard errors (N, D) of observed features, NaN where a row lacks the feature."""
    n_rows, n_features = values.shape
    if noise.array is None:
        variances = np.zeros((n_rows, n_features))
    elif noise.kind == "diagonal":
        variances = noise.array
    elif noise.kind == "shared":
        variances = np.broadcast_to(np.diagonal(noise.array), values.shape)
    else:
        variances = diagonal_of(noise.array, n_features)
    return np.sqrt(np.where(np.isnan(values), np.nan, variances))


class Zones:
    """Zone maps of the chunks written so far, and the count of each missing pattern."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._maps: dict[str, list[NDArray[Any]]] = {}
        self._patterns: Counter[bytes] = Counter()

    def add(self, rows: StoredRows) -> None:
        """Sum up a chunk whose rows are grouped by pattern."""
        missing = np.isnan(rows.values)
        values = rows.values.astype(np.float64)
        self._keep_range("zone_low", "zone_high", values)
        self._keep("zone_missing", missing.sum(axis=0))
        if self._schema.noise_widths:
            errors = errors_of(values, self._schema.noise(rows.noise))
            self._keep_range("zone_noise_low", "zone_noise_high", errors)
        self._count_patterns(missing)

    def count_before(self, patterns: Iterable[Mapping[str, Any]]) -> None:
        """Count patterns, as `patterns` gives them, of rows that were summed up earlier."""
        for pattern in patterns:
            bits = np.zeros(self._schema.n_features, bool)
            bits[pattern["missing"]] = True
            self._patterns[np.packbits(bits, bitorder="little").tobytes()] += pattern["rows"]

    def maps(self) -> dict[str, NDArray[Any]]:
        """Zone maps (C, D) by the names of their arrays."""
        return {name: np.stack(rows) for name, rows in self._maps.items()}

    def patterns(self) -> list[dict[str, Any]]:
        """Missing features and number of rows of each pattern, most frequent first, ties in pattern order."""
        n_features = self._schema.n_features
        listed = []
        for packed, count in sorted(self._patterns.items(), key=lambda item: (-item[1], item[0][::-1])):
            bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=n_features, bitorder="little")
            listed.append({"missing": [int(j) for j in np.flatnonzero(bits)], "rows": count})
        return listed

    def _keep_range(self, low: str, high: str, columns: NDArray[Any]) -> None:
        """Keep the smallest and the largest number of each column (N, D), turned to be neighbours: that is quicker."""
        turned = np.ascontiguousarray(columns.T)
        self._keep(low, np.fmin.reduce(turned, axis=1))
        self._keep(high, np.fmax.reduce(turned, axis=1))

    def _keep(self, name: str, row: NDArray[Any]) -> None:
        self._maps.setdefault(name, []).append(row)

    def _count_patterns(self, missing: NDArray[np.bool_]) -> None:
        changes = np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1
        starts = np.concatenate([[0], changes])
        counts = np.diff(np.concatenate([starts, [len(missing)]]))
        for bits, count in zip(np.packbits(missing[starts], axis=1, bitorder="little"), counts, strict=True):
            self._patterns[bits.tobytes()] += int(count)
