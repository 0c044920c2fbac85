"""Appending to a catalogue: new rows become a part of their own, and nothing that was there changes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.location import Location, S3Url, location_of
from dgmmis.packed import SEMIDEFINITE_TOLERANCE
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.chunk_arrays import numbers_in
from dgmmis.store.growth import PartFolder
from dgmmis.store.health import noise_health
from dgmmis.store.layout import GROWN_FORMAT
from dgmmis.store.manifest import QUARANTINE
from dgmmis.store.part_writer import ChunkOrder, PartWriter, Sifting
from dgmmis.store.parts import Addition, additions_of
from dgmmis.store.pilot import PILOT_ROWS, Pilot
from dgmmis.store.row_writer import RowWriter
from dgmmis.store.schema import StoredRows
from dgmmis.store.uploading import UploadedPart

__all__ = ["CatalogAppender"]


class CatalogAppender(RowWriter[PartFolder | UploadedPart]):
    """Append batches of rows to a catalogue; use it in a `with` statement and call `finish`.

    The catalogue is as before until `finish` returns; if anything fails, or the block is left before, it stays so.
    Memory is that of a `CatalogWriter` and one more pilot.  No file that was there is changed but the manifest.

    Parameters
    ----------
    path : Path
        Of the catalogue.
    max_quarantined : int, optional
        Most unusable rows of these that are set aside before the append is refused; by default any number.
    quarantine_tolerance : float
        How far below zero the smallest eigenvalue of a noise correlation matrix may lie.

    Attributes
    ----------
    catalog : Catalog
        As it was.
    first_source_row : int
        Number of the first row of the source: sources are numbered on, as if they were one table.

    Raises
    ------
    NotACatalog, CorruptCatalog
    CatalogLocked
        If another process appends to it.
    """

    def __init__(
        self,
        path: str | Location,
        *,
        max_quarantined: int | None = None,
        quarantine_tolerance: float = SEMIDEFINITE_TOLERANCE,
    ) -> None:
        location = location_of(path)
        folder = UploadedPart(location) if isinstance(location, S3Url) else PartFolder(location)
        self.catalog = folder.catalog
        self._numbers = folder.manifest.numbers
        self._pilot_limit = _pilot_limit(self._numbers)

        def make_part(place: Path) -> PartWriter:
            self.first_source_row = self._source_rows = _source_rows_of(self.catalog, self._numbers)
            sifting = Sifting(max_quarantined, quarantine_tolerance, self.first_source_row)
            order: ChunkOrder = "chunk" if self.catalog.follows_source else "catalog"
            return PartWriter(
                place, self.catalog.schema, self.catalog.chunk_rows, self._pilot_limit, sifting, order
            )

        super().__init__(folder, make_part)

    def append(self, batch: StoredRows) -> None:
        """Check a batch of rows, set the unusable ones aside and write what fills a chunk.

        Parameters
        ----------
        batch : StoredRows
            Its source rows counted from 0, in this source.

        Raises
        ------
        InvalidData
            If the batch has not the columns of the schema.
        TooManyQuarantined
            If more rows than allowed cannot be used.
        """
        source_rows = batch.source_rows + self.first_source_row
        if len(batch):
            self._source_rows = max(self._source_rows, int(source_rows.max()) + 1)
        ids = source_rows if self.catalog.schema.id_kind == "row" else batch.ids
        super().append(dataclasses.replace(batch, source_rows=source_rows, ids=ids))

    def finish(self, provenance: Mapping[str, object], *, source_rows: int | None = None) -> Catalog:
        """Write what is left, bring it to disk, and make it part of the catalogue.

        Parameters
        ----------
        provenance : dict
            Where these rows came from, JSON-able; kept under "appended".
        source_rows : int, optional
            Rows of this source, left out ones included; default: up to the last one appended.

        Raises
        ------
        EmptySource
            If there was no usable row.
        CatalogLocked
            If the catalogue was replaced meanwhile.
        """
        with self._all_or_nothing() as folder:
            of_part = self._part.close()
            pilot = self._merged(of_part)
            own = pilot.take(np.flatnonzero(pilot.source_rows >= self.first_source_row))
            own = own if len(own) else of_part.take(slice(0, 1))
            maps = self._part.zones.maps()
            attributes = self._attributes(pilot, provenance)
            added = self._part.arrays.finish(own, maps, attributes)
            read = self._source_rows - self.first_source_row if source_rows is None else source_rows
            addition = Addition(
                grown_from=self.catalog.fingerprint,
                n_rows=self.n_rows,
                pilot_rows=len(own),
                n_quarantined=self.n_quarantined,
                quarantine=added.files[QUARANTINE].sha256,
                first_source_row=self.first_source_row,
                source_rows=read,
            )
            numbers = {**numbers_in(attributes), "pilot_limit": self._pilot_limit}
            folder.place(folder.manifest.grown(numbers, addition, added))
            self._folder = None
        return open_catalog(self.catalog.path)

    def _merged(self, of_part: StoredRows) -> StoredRows:
        merged = Pilot(self.catalog.schema.id_kind, self._pilot_limit)
        merged.add(self.catalog.read_stored_pilot())
        merged.add(of_part)
        return merged.rows()

    def _attributes(self, pilot: StoredRows, provenance: Mapping[str, object]) -> dict[str, Any]:
        before, schema = self.catalog.summary, self.catalog.schema
        origin = dict(schema.provenance)
        appended = [*origin.get("appended", ()), dict(provenance)]  # type: ignore[misc]
        schema = dataclasses.replace(schema, provenance={**origin, "appended": appended})
        reasons = Counter(before["quarantine_reasons"]) + self._part.quarantine.reasons
        self._part.zones.count_before(before["patterns"])
        return {
            "dgmmis_format": GROWN_FORMAT,
            "schema": schema.as_json(),
            "n_rows": self.catalog.n_rows + self.n_rows,
            "chunk_rows": self.catalog.chunk_rows,
            "order": before.get("order", "chunk"),
            "pilot_rows": len(pilot),
            "n_quarantined": self.catalog.n_quarantined + self.n_quarantined,
            "quarantine_reasons": dict(reasons.most_common()),
            "patterns": self._part.zones.patterns(),
            "noise_health": noise_health(schema, pilot),
        }


def _pilot_limit(numbers: Mapping[str, Any]) -> int:
    """Most rows of the pilot: as it is, unless all rows found room in it."""
    if "pilot_limit" in numbers:
        return int(numbers["pilot_limit"])
    stored, n_rows = int(numbers["pilot_rows"]), int(numbers["n_rows"])
    return stored if stored < n_rows else max(stored, PILOT_ROWS)


def _source_rows_of(catalog: Catalog, numbers: Mapping[str, Any]) -> int:
    """Rows of all sources so far: what an ingest counted, or one more than the largest number there is."""
    additions = additions_of(numbers)
    if additions:
        return additions[-1].first_source_row + additions[-1].source_rows
    counts = catalog.schema.provenance.get("counts")
    read = counts.get("read") if isinstance(counts, dict) else None
    if isinstance(read, int):
        return read
    largest = [int(catalog.read_ids(chunk)[1].max()) for chunk in range(catalog.n_chunks)]
    return 1 + max(largest + [int(entry["row"]) for entry in catalog.quarantined()])
