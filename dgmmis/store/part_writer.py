"""Rows stream in, and the chunks of one part of a catalogue go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dgmmis.errors import EmptySource
from dgmmis.store.chunk_arrays import ChunkArrays
from dgmmis.store.pilot import Pilot
from dgmmis.store.quarantine import Quarantine
from dgmmis.store.rearrangement import Rearrangement
from dgmmis.store.schema import Schema, StoredRows
from dgmmis.store.zones import Zones, in_stored_order

__all__ = ["ChunkOrder", "PartWriter", "Sifting"]

ChunkOrder = Literal["chunk", "catalog"]
"""How far rows may move to lie near together: inside their chunk, or across the whole catalogue."""

SCRATCH = "scratch"


@dataclass(frozen=True)
class Sifting:
    """How unusable rows are set aside.

    Attributes
    ----------
    limit : int or None
        Most of them before the source is refused; None means any number.
    tolerance : float
        How far below zero the smallest eigenvalue of a noise correlation matrix may lie.
    first_row : int
        Number of the source's first row.
    """

    limit: int | None
    tolerance: float
    first_row: int = 0


class PartWriter:
    """Write the rows of one part of a catalogue; in memory are one batch, one chunk and the pilot's candidates.

    Parameters
    ----------
    folder : Path
        An empty folder.
    schema : Schema
    chunk_rows : int
    pilot_rows : int
    sifting : Sifting
    order : {"chunk", "catalog"}

    Attributes
    ----------
    arrays : ChunkArrays
    zones : Zones
    quarantine : Quarantine
    n_rows : int
        Usable rows so far.
    """

    def __init__(
        self,
        folder: Path,
        schema: Schema,
        chunk_rows: int,
        pilot_rows: int,
        sifting: Sifting,
        order: ChunkOrder,
    ) -> None:
        self._schema, self._chunk_rows = schema, chunk_rows
        self.quarantine = Quarantine(folder, schema, sifting.limit, sifting.tolerance, sifting.first_row)
        try:
            self.arrays = ChunkArrays(folder, schema, chunk_rows)
            self.zones = Zones(schema)
            self._pilot = Pilot(schema.id_kind, pilot_rows)
            self._rearrangement = (
                Rearrangement(folder / SCRATCH, schema, chunk_rows) if order == "catalog" else None
            )
        except BaseException:
            self.quarantine.close()
            raise
        self._waiting: list[StoredRows] = []
        self._n_waiting = self.n_rows = 0

    def append(self, batch: StoredRows) -> None:
        """Check a batch of rows, set the unusable ones aside and write what fills a chunk.

        Raises
        ------
        InvalidData
            If the batch has not the columns of the schema.
        TooManyQuarantined
            If more rows than allowed cannot be used.
        """
        for start in range(0, len(batch), self._chunk_rows):
            part = batch.take(slice(start, start + self._chunk_rows)).conformed(self._schema)
            self._take_in(self.quarantine.sift(part))

    def close(self) -> StoredRows:
        """Write the chunks that are left, and give the pilot of these rows.

        Raises
        ------
        EmptySource
            If there was no usable row.
        """
        self._require_rows()
        self.quarantine.close()
        pilot = self._pilot.rows()
        if self._rearrangement is not None:
            for rows in self._rearrangement.rows(pilot):
                self._fill_chunks(rows)
        if self._n_waiting:
            self._write_chunk()
        return pilot

    def stop(self) -> None:
        """Write nothing any more: after this the folder can be removed."""
        self.quarantine.close()
        self.arrays.stop()

    def _require_rows(self) -> None:
        if self.n_rows:
            return
        if self.quarantine.n_rows:
            raise EmptySource(
                f"none of the {self.quarantine.n_rows} rows that were read can be used: "
                f"{dict(self.quarantine.reasons)}. Check which columns were named as features and errors."
            )
        raise EmptySource("no row was read: the source is empty, or its filter keeps nothing.")

    def _take_in(self, rows: StoredRows) -> None:
        if not len(rows):
            return
        self.n_rows += len(rows)
        self._pilot.add(rows)
        if self._rearrangement is None:
            self._fill_chunks(rows)
        else:
            self._rearrangement.add(rows)

    def _fill_chunks(self, rows: StoredRows) -> None:
        while len(rows):
            piece = rows.take(slice(0, self._chunk_rows - self._n_waiting))
            rows = rows.take(slice(len(piece), None))
            self._waiting.append(piece.copied())
            self._n_waiting += len(piece)
            if self._n_waiting == self._chunk_rows:
                self._write_chunk()

    def _write_chunk(self) -> None:
        chunk = in_stored_order(StoredRows.joined(self._waiting), self._schema)
        self.zones.add(chunk)
        self.arrays.append(chunk)
        self._waiting, self._n_waiting = [], 0
