"""Writing a catalogue: rows stream in, whole chunks go out, and the folder appears when all is done."""

from __future__ import annotations

from typing import Any, get_args

from dgmmis.errors import InvalidSetting
from dgmmis.location import Location, S3Url, location_of
from dgmmis.packed import SEMIDEFINITE_TOLERANCE
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.health import noise_health
from dgmmis.store.layout import FORMAT, choose_chunk_rows
from dgmmis.store.manifest import MANIFEST
from dgmmis.store.part_writer import ChunkOrder, PartWriter, Sifting
from dgmmis.store.pilot import PILOT_ROWS
from dgmmis.store.placement import PartialFolder
from dgmmis.store.row_writer import RowWriter
from dgmmis.store.schema import Schema, StoredRows
from dgmmis.store.uploading import UploadedFolder

__all__ = ["CatalogWriter", "ChunkOrder"]


class CatalogWriter(RowWriter[PartialFolder | UploadedFolder]):
    """Write a catalogue from batches of rows; use it in a `with` statement and call `finish`.

    Nothing is at the destination before `finish` returns; if anything fails, or the block is left before,
    nothing stays.  In memory are one batch, one chunk and the pilot's candidates, and with the order "catalog" a few
    times 64 MiB of rows, whatever the number of rows.  What is written does not depend on how the rows were cut
    into batches.

    Parameters
    ----------
    destination : path, or address in an object store
        What goes to "s3://BUCKET/PREFIX" is written to a scratch folder first, which takes as much room.
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
        destination: str | Location,
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
        if not isinstance(order, str) or order not in get_args(ChunkOrder):
            raise InvalidSetting(f"order is {order!r}; expected 'chunk' or 'catalog'.")
        rows = choose_chunk_rows(schema, chunk_rows)
        sifting = Sifting(max_quarantined, quarantine_tolerance)
        self._schema, self._chunk_rows, self._order = schema, rows, order
        super().__init__(
            _folder_for(location_of(destination), overwrite),
            lambda folder: PartWriter(folder, schema, rows, pilot_rows, sifting, order),
        )

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
            pilot = self._part.close()
            attributes = self._attributes(pilot)
            manifest = self._part.arrays.finish(pilot, self._part.zones.maps(), attributes)
            (folder.path / MANIFEST).write_bytes(manifest.to_bytes())
            folder.place()
            self._folder = None
        return open_catalog(folder.destination)

    def _attributes(self, pilot: StoredRows) -> dict[str, Any]:
        return {
            "dgmmis_format": FORMAT,
            "schema": self._schema.as_json(),
            "n_rows": self.n_rows,
            "chunk_rows": self._chunk_rows,
            "order": self._order,
            "pilot_rows": len(pilot),
            "n_quarantined": self.n_quarantined,
            "quarantine_reasons": dict(self._part.quarantine.reasons.most_common()),
            "patterns": self._part.zones.patterns(),
            "noise_health": noise_health(self._schema, pilot),
        }


def _folder_for(destination: Location, overwrite: bool) -> PartialFolder | UploadedFolder:
    if isinstance(destination, S3Url):
        return UploadedFolder(destination, overwrite=overwrite)
    return PartialFolder(destination, overwrite=overwrite)
