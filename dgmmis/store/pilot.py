"""The pilot: the rows whose ids hash smallest, kept while the rows stream by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.row_hash import hash_integers, hash_texts
from dgmmis.store.schema import IdKind, StoredRows

__all__ = ["PILOT_ROWS", "Pilot"]

PILOT_ROWS = 200_000


class Pilot:
    """The rows with the smallest hashes of those that were added.

    Any prefix of them, in order of the hash, is a random sample of all rows that does not depend on how
    the rows were cut into batches.  Candidates are gathered until they are twice as many as wanted and
    then thinned, so that memory stays bounded and, once it is full, few rows are even looked at.

    Parameters
    ----------
    id_kind : {"row", "integer", "text"}
    n_rows : int
        How many to keep.
    """

    def __init__(self, id_kind: IdKind, n_rows: int = PILOT_ROWS) -> None:
        self._id_kind, self._n_rows = id_kind, n_rows
        self._parts: list[tuple[NDArray[np.uint64], StoredRows]] = []
        self._n_candidates = 0
        self._largest = np.uint64(np.iinfo(np.uint64).max)

    def add(self, rows: StoredRows) -> None:
        """Offer rows."""
        for start in range(0, len(rows), self._n_rows):
            self._add_some(rows.take(slice(start, start + self._n_rows)))

    def rows(self) -> StoredRows:
        """Give the pilot's rows in order of their hashes, ties by source row.

        At least one row must have been added.
        """
        self._thin()
        return self._parts[0][1]

    def _add_some(self, rows: StoredRows) -> None:
        hashes = _hashes(rows, self._id_kind)
        near = np.flatnonzero(hashes <= self._largest)
        self._parts.append((hashes[near], rows.take(near)))
        self._n_candidates += len(near)
        if self._n_candidates >= 2 * self._n_rows:
            self._thin()

    def _thin(self) -> None:
        hashes = np.concatenate([part[0] for part in self._parts])
        rows = StoredRows.joined([part[1] for part in self._parts])
        best = np.lexsort((rows.source_rows, hashes))[: self._n_rows]
        self._parts = [(hashes[best], rows.take(best))]
        self._n_candidates = len(best)
        if len(best) == self._n_rows:
            self._largest = hashes[best[-1]]


def _hashes(rows: StoredRows, id_kind: IdKind) -> NDArray[Any]:
    if id_kind == "text":
        return hash_texts(rows.ids)
    return hash_integers(rows.source_rows if id_kind == "row" else rows.ids)
