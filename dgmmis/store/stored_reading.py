"""What is read of a catalogue part by part: rows in stored form, the pilot, zone maps, and how many bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.store.layout import ArrayLayout, Layout
from dgmmis.store.pilot import Pilot
from dgmmis.store.reading import VerifiedArrays
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["column_nbytes", "pass_nbytes", "stored_ids", "stored_pilot", "stored_rows", "stored_zones"]


def stored_rows(
    arrays: VerifiedArrays, schema: Schema, layout: dict[str, ArrayLayout], first: int, end: int, *, ids: bool
) -> StoredRows:
    """Read rows `first` to `end` of one part, or of its pilot.

    Parameters
    ----------
    arrays : VerifiedArrays
    schema : Schema
    layout : dict of ArrayLayout
        By column.
    first, end : int
        Counted from the part's first row.
    ids : bool
        Whether ids and source rows are wanted; else both are -1, and not read.
    """
    nothing = np.broadcast_to(np.int64(-1), end - first)
    row_ids, source_rows = stored_ids(arrays, layout, first, end) if ids else (nothing, nothing)
    return StoredRows(
        source_rows,
        row_ids,
        arrays.read(layout["values"], first, end),
        {name: arrays.read(layout[name], first, end) for name in schema.noise_widths},
        arrays.read(layout["weights"], first, end) if schema.has_weights else None,
    )


def stored_ids(
    arrays: VerifiedArrays, layout: dict[str, ArrayLayout], first: int, end: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read ids, as they are stored, and source rows."""
    source_rows = arrays.read(layout["source_row"], first, end)
    return arrays.read(layout["row_id"], first, end) if "row_id" in layout else source_rows, source_rows


def stored_pilot(arrays: VerifiedArrays, schema: Schema, n_rows: int, *, ids: bool = False) -> StoredRows:
    """Read the rows whose ids hash smallest, in order of the hash; with their ids if these are wanted.

    Each part has a pilot of those of its rows that were among the smallest when it came, in that order, so
    the first ones of all are among the first ones of each.
    """
    parts = arrays.layout.parts
    if len(parts) == 1:
        return stored_rows(arrays, schema, parts[0].pilot, 0, n_rows, ids=ids)
    smallest = Pilot(schema.id_kind, n_rows)
    for part in parts:
        most = min(n_rows, part.pilot_rows)
        smallest.add(stored_rows(arrays, schema, part.pilot, 0, most, ids=True))
    return smallest.rows()


def stored_zones(arrays: VerifiedArrays, name: str) -> NDArray[Any]:
    """Read a zone map (C, D) of all chunks; raises `InvalidSetting` if there is none of that name."""
    zones = [part.zones for part in arrays.layout.parts]
    if f"zone_{name}" not in zones[0]:
        known = ", ".join(zone.removeprefix("zone_") for zone in zones[0])
        raise InvalidSetting(f"there is no zone map '{name}'; this catalogue has {known}.")
    of_parts = [of_part[f"zone_{name}"] for of_part in zones]
    return np.concatenate([arrays.read(array, 0, array.n_entries) for array in of_parts])


def pass_nbytes(arrays: VerifiedArrays) -> int:
    """Bytes on disk of values, noise and weights of all rows."""
    read = [array for part in arrays.layout.parts for array in _read_by_a_pass(part)]
    return sum(sum(arrays.manifest.chunks[array.name].lengths) for array in read)


def column_nbytes(arrays: VerifiedArrays) -> tuple[int, ...]:
    """Bytes of a decoded row in each of the arrays that a pass reads."""
    read = _read_by_a_pass(arrays.layout.parts[0])
    return tuple(array.chunk_bytes // array.chunk_entries for array in read)


def _read_by_a_pass(part: Layout) -> list[ArrayLayout]:
    return [array for name, array in part.rows.items() if name not in ("row_id", "source_row")]
