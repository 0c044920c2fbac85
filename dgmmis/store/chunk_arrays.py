"""The arrays of one part of a catalogue while they are written, and the manifest of what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from dgmmis.store.layout import ArrayLayout, Layout
from dgmmis.store.manifest import QUARANTINE, FileRecord, Manifest
from dgmmis.store.recorded import RecordingStore
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["ChunkArrays", "columns_of", "numbers_in"]

OPEN_ENDED = 10**15
"""Rows that an array is created with while nobody knows how many will come."""


class ChunkArrays:
    """Append whole chunks of rows, then finish with the pilot and the zone maps.

    Parameters
    ----------
    folder : Path
        An empty folder.
    schema : Schema
    chunk_rows : int
    """

    def __init__(self, folder: Path, schema: Schema, chunk_rows: int) -> None:
        self._folder, self._schema, self._chunk_rows = folder, schema, chunk_rows
        self._store = RecordingStore(LocalStore(folder))
        try:
            self._root = zarr.create_group(self._store)
            zarr.create_group(self._store, path="pilot")
        except BaseException:
            self.stop()
            raise
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self.n_rows = 0

    def append(self, rows: StoredRows) -> None:
        """Write one chunk; only the last one may be shorter than the others."""
        if not self._arrays:
            whole = len(rows) == self._chunk_rows
            layout = Layout(self._schema, OPEN_ENDED if whole else len(rows), self._chunk_rows, 1)
            self._arrays = {name: array.create(self._store) for name, array in layout.rows.items()}
        columns = columns_of(rows)
        for name, array in self._arrays.items():
            array[self.n_rows : self.n_rows + len(rows)] = columns[name]
        self.n_rows += len(rows)

    def finish(
        self, pilot: StoredRows, zones: dict[str, NDArray[Any]], attributes: dict[str, Any]
    ) -> Manifest:
        """Write everything that is not a chunk of rows, and say what every file holds.

        Parameters
        ----------
        pilot : StoredRows
        zones : dict
            Zone maps by their arrays' names.
        attributes : dict
            Of the group.

        Returns
        -------
        Manifest
            Not written: whoever gives these files their place writes it last.
        """
        layout = Layout(self._schema, self.n_rows, self._chunk_rows, len(pilot))
        columns = columns_of(pilot)
        for name, array in layout.pilot.items():
            self._write_whole(array, columns[name])
        for name, array in layout.zones.items():
            self._write_whole(array, zones[name])
        for array in layout.rows.values():
            self._close_end(array)
        self._root.update_attributes(attributes)
        files = [*self._folder.rglob("zarr.json"), self._folder / QUARANTINE]
        return Manifest(
            numbers_in(attributes),
            {name: self._store.records(array) for name, array in layout.arrays.items()},
            {path.relative_to(self._folder).as_posix(): FileRecord.of_file(path) for path in files},
        )

    def stop(self) -> None:
        """Write nothing any more: after this the folder can be removed."""
        self._store.stop()

    def _write_whole(self, array: ArrayLayout, content: NDArray[Any]) -> None:
        stored = array.create(self._store)
        for first in range(0, array.n_entries, array.chunk_entries):
            part = content[first : first + array.chunk_entries]
            stored[first : first + len(part)] = part

    def _close_end(self, array: ArrayLayout) -> None:
        """Put the true length into an array's metadata: Zarr's own resize would look for every chunk."""
        path = self._folder / array.name / "zarr.json"
        metadata = json.loads(path.read_bytes())
        path.write_text(json.dumps({**metadata, "shape": list(array.shape)}, indent=2))


def numbers_in(attributes: dict[str, Any]) -> dict[str, Any]:
    """Pick the attributes that shape the numbers which a catalogue gives."""
    schema = {name: value for name, value in attributes["schema"].items() if name != "provenance"}
    counts = ("dgmmis_format", "n_rows", "chunk_rows", "pilot_rows", "n_quarantined")
    return {name: attributes[name] for name in counts} | {"schema": schema}


def columns_of(rows: StoredRows) -> dict[str, NDArray[Any]]:
    """Columns of rows by the names of their arrays."""
    columns: dict[str, NDArray[Any]] = {"values": rows.values, **rows.noise}
    columns |= {"row_id": rows.ids, "source_row": rows.source_rows}
    return columns if rows.weights is None else columns | {"weights": rows.weights}
