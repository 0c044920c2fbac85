"""Writing a catalogue: rows stream in, whole chunks go out, and the folder appears when all is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

from dgmmis.errors import EmptySource, InvalidSetting
from dgmmis.packed import SEMIDEFINITE_TOLERANCE
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.chunk_arrays import ChunkArrays
from dgmmis.store.health import noise_health
from dgmmis.store.layout import FORMAT, choose_chunk_rows
from dgmmis.store.pilot import PILOT_ROWS, Pilot
from dgmmis.store.placement import PartialFolder
from dgmmis.store.quarantine import Quarantine
from dgmmis.store.rearrangement import Rearrangement
from dgmmis.store.schema import Schema, StoredRows
from dgmmis.store.zones import Zones, in_stored_order

__all__ = ["CatalogWriter", "ChunkOrder"]

ChunkOrder = Literal["chunk", "catalog"]
"""How far rows may move to lie near together: inside their chunk, or across the whole catalogue."""

SCRATCH = "scratch"


class CatalogWriter:
    """Write a catalogue from batches of rows; use it in a `with` statement and call `finish`.

    Nothing is at the destination before `finish` returns; if anything fails, or the block is left before,
    nothing stays.  In memory are one batch, one chunk and the pilot's candidates, and with the order "catalog" a few
    times 64 MiB of rows, whatever the number of rows.  What is written does not depend on how the rows were cut
    into batches.

    Parameters
    ----------
    destination : Path
    schema : Schema
    chunk_rows : int, optional
        Rows per chunk.  By default 100,000, or fewer if the largest array's chunk would pass 16 MiB.
    overwrite : bool
        Replace a catalogue that lies at the destination.
    max_quarantined : int, optional
        Most unusable rows that are set aside before the ingest is refused; by default any number.
    quarantine_tolerance : float
        How far below zero the smallest eigenvalue of a noise correlation matrix may lie.
    pilot_rows : int
        Size of the pilot.
    order : {"chunk", "catalog"}
        "chunk": chunks follow the source, and the rows of each are put near together.  "catalog": rows move across
        chunks as well, so that each chunk covers a small region.

    Raises
    ------
    AlreadyExists
        If something lies at the destination that may not be replaced.
    InvalidSetting
        If a chunk of `chunk_rows` rows would be none, or too large, or there is no such order.
    """

    def __init__(
        self,
        destination: str | Path,
        schema: Schema,
        *,
        chunk_rows: int | None = None,
        overwrite: bool = False,
        max_quarantined: int | None = None,
        quarantine_tolerance: float = SEMIDEFINITE_TOLERANCE,
        pilot_rows: int = PILOT_ROWS,
        order: ChunkOrder = "chunk",
    ) -> None:
        if pilot_rows < 1:
            raise InvalidSetting(f"pilot_rows is {pilot_rows}; the pilot needs at least one row.")
        if order not in get_args(ChunkOrder):
            raise InvalidSetting(f"order is {order!r}; expected 'chunk' or 'catalog'.")
        self._schema = schema
        self._chunk_rows = choose_chunk_rows(schema, chunk_rows)
        self._pilot, self._zones = Pilot(schema.id_kind, pilot_rows), Zones(schema)
        self._waiting: list[StoredRows] = []
        self._n_waiting = self._n_usable = 0
        self._rearrangement: Rearrangement | None = None
        self._folder: PartialFolder | None = PartialFolder(Path(destination), overwrite=overwrite)
        self._quarantine = Quarantine(self._folder.path, schema, max_quarantined, quarantine_tolerance)
        with self._all_or_nothing() as folder:
            self._arrays = ChunkArrays(folder.path, schema, self._chunk_rows)
            if order == "catalog":
                self._rearrangement = Rearrangement(folder.path / SCRATCH, schema, self._chunk_rows)

    def __enter__(self) -> CatalogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    @property
    def n_rows(self) -> int:
        """Usable rows so far."""
        return self._n_usable

    @property
    def n_quarantined(self) -> int:
        """Rows set aside so far."""
        return self._quarantine.n_rows

    def append(self, batch: StoredRows) -> None:
        """Check a batch of rows, set the unusable ones aside and write what fills a chunk.

        Raises
        ------
        InvalidData
            If the batch has not the columns of the schema.
        TooManyQuarantined
            If more rows than allowed cannot be used.
        """
        with self._all_or_nothing():
            for start in range(0, len(batch), self._chunk_rows):
                part = batch.take(slice(start, start + self._chunk_rows)).conformed(self._schema)
                self._take_in(self._quarantine.sift(part))

    def finish(self) -> Catalog:
        """Write what is left, bring it to disk, and give the catalogue its place.

        Raises
        ------
        EmptySource
            If there was no usable row.
        AlreadyExists
            If something came to lie at the destination meanwhile.
        """
        with self._all_or_nothing() as folder:
            self._require_rows()
            self._quarantine.close()
            pilot = self._pilot.rows()
            if self._rearrangement is not None:
                for rows in self._rearrangement.rows(pilot):
                    self._fill_chunks(rows)
            if self._n_waiting:
                self._write_chunk()
            self._arrays.finish(pilot, self._zones.maps(), self._attributes(pilot))
            folder.place()
            self._folder = None
        return open_catalog(folder.destination)

    def _require_rows(self) -> None:
        if self.n_rows:
            return
        if self.n_quarantined:
            raise EmptySource(
                f"none of the {self.n_quarantined} rows that were read can be used: "
                f"{dict(self._quarantine.reasons)}. Check which columns were named as features and errors."
            )
        raise EmptySource("no row was read: the source is empty, or its filter keeps nothing.")

    def _take_in(self, rows: StoredRows) -> None:
        if not len(rows):
            return
        self._n_usable += len(rows)
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
        self._zones.add(chunk)
        self._arrays.append(chunk)
        self._waiting, self._n_waiting = [], 0

    def _attributes(self, pilot: StoredRows) -> dict[str, Any]:
        return {
            "dgmmis_format": FORMAT,
            "schema": self._schema.as_json(),
            "n_rows": self.n_rows,
            "chunk_rows": self._chunk_rows,
            "order": "chunk" if self._rearrangement is None else "catalog",
            "pilot_rows": len(pilot),
            "n_quarantined": self.n_quarantined,
            "quarantine_reasons": dict(self._quarantine.reasons.most_common()),
            "patterns": self._zones.patterns(),
            "noise_health": noise_health(self._schema, pilot),
        }

    @contextmanager
    def _all_or_nothing(self) -> Iterator[PartialFolder]:
        if self._folder is None:
            raise InvalidSetting("this writer was finished or has failed; make another one.")
        try:
            yield self._folder
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        if self._folder is not None:
            self._quarantine.close()
            self._folder.discard()
            self._folder = None
