"""Rows put near together across the whole catalogue, out of core.

Rows wait in scratch files until all have come.  Then a kd-tree over the pilot, a random sample, tells their
partitions; one scan routes each row to the file of its partition; and the partitions are read one after
the other, from left to right, and put in an order in which every chunk is a cell of a kd-tree in memory.  A
partition that is too large for that is routed again, by a sample of its own rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dgmmis.kd_partition import KdPartition, Points
from dgmmis.row_order import chunks_near_together, coarse_pattern_codes
from dgmmis.store.pilot import Pilot
from dgmmis.store.row_files import RowFile, record_type
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["Rearrangement"]

POOL_BYTES = 64 << 20
"""Rows that are put in order in memory at once; two chunks' worth if that is more."""
MOST_PARTITIONS = 256
"""Into which one scan routes: each block of rows is written to so many files."""
SAMPLE_ROWS = 20_000
"""Of a partition that is routed again."""


class Rearrangement:
    """Takes in all rows of a catalogue and gives them back, each chunk from a small region of feature space.

    Rows come by their pattern of missing features first, complete ones before all others, and then by place.  What
    comes out depends on the rows and their order, not on the batches in which they came.  In memory are a few
    times `POOL_BYTES`; on disk, one copy of the rows and of one partition.

    Parameters
    ----------
    folder : Path
        Scratch space that does not exist yet; it is gone when the last row was given back.
    schema : Schema
    chunk_rows : int
    """

    def __init__(self, folder: Path, schema: Schema, chunk_rows: int) -> None:
        self._folder, self._schema, self._chunk_rows = folder, schema, chunk_rows
        self._pool_rows = max(2 * chunk_rows, POOL_BYTES // record_type(schema).itemsize)
        self._block_rows = max(1, self._pool_rows // 4)
        self._waiting: list[RowFile] = []
        self._n_files = 0
        folder.mkdir()

    def add(self, rows: StoredRows) -> None:
        """Take in rows that conform to the schema."""
        while len(rows):
            if not self._waiting or self._waiting[-1].n_rows >= self._block_rows:
                self._waiting.append(self._new_file())
            room = self._block_rows - self._waiting[-1].n_rows
            self._waiting[-1].append(rows.take(slice(0, room)))
            rows = rows.take(slice(room, None))

    def rows(self, sample: StoredRows) -> Iterator[StoredRows]:
        """Give all rows back in their new order, once; all but the last piece are whole chunks.

        Parameters
        ----------
        sample : StoredRows
            A random sample of the rows.
        """
        carried: list[StoredRows] = []
        for part in self._pools(self._waiting, sample, limit=None):
            pool = StoredRows.joined([*carried, part])
            pool = pool.take(chunks_near_together(pool.values, self._chunk_rows))
            whole = len(pool) - len(pool) % self._chunk_rows
            if whole:
                yield pool.take(slice(0, whole))
            carried = [pool.take(slice(whole, None)).copied()]
        yield from (rest for rest in carried if len(rest))
        shutil.rmtree(self._folder)

    def _pools(
        self, files: list[RowFile], sample: StoredRows | None, limit: int | None
    ) -> Iterator[StoredRows]:
        """Give the rows of some files in parts that fit in memory, from left to right, and delete the files.

        Files that hold all `limit` rows of what they were routed from cannot be split: these rows share a number.
        """
        n_rows = sum(file.n_rows for file in files)
        if n_rows <= self._pool_rows or n_rows == limit:
            if n_rows:
                yield StoredRows.joined(list(self._emptied(files)))
            return
        if sample is None:
            sample = self._sample_of(files)
        n_parts = min(MOST_PARTITIONS, -(-2 * n_rows // self._pool_rows))
        for part in self._routed(files, KdPartition.of(_points(sample), n_parts)):
            yield from self._pools([part], None, limit=n_rows)

    def _routed(self, files: list[RowFile], partition: KdPartition) -> list[RowFile]:
        parts = [self._new_file() for _ in range(partition.n_leaves)]
        for rows in self._emptied(files):
            leaves = partition.leaf_of(_points(rows))
            by_leaf = np.argsort(leaves, kind="stable")
            ends = np.cumsum(np.bincount(leaves, minlength=len(parts)))
            for part, which in zip(parts, np.split(by_leaf, ends[:-1]), strict=True):
                if len(which):
                    part.append(rows.take(which))
        return parts

    def _emptied(self, files: list[RowFile]) -> Iterator[StoredRows]:
        """Read files block by block, and delete each when it was read."""
        for file in files:
            if file.n_rows:
                yield from file.blocks(self._block_rows)
            file.remove()

    def _sample_of(self, files: list[RowFile]) -> StoredRows:
        pilot = Pilot("row", SAMPLE_ROWS)
        for file in files:
            for rows in file.blocks(self._block_rows):
                pilot.add(rows)
        return pilot.rows()

    def _new_file(self) -> RowFile:
        self._n_files += 1
        return RowFile(self._folder / str(self._n_files), self._schema)


def _points(rows: StoredRows) -> Points:
    values = rows.values.astype(np.float64)
    return Points(values, coarse_pattern_codes(np.isnan(values)), rows.source_rows)
