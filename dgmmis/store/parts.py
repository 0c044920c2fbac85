"""The parts of a catalogue: what was ingested, and what each append added."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dgmmis.store.layout import FORMAT, GROWN_FORMAT, ArrayLayout, Layout
from dgmmis.store.schema import Schema

__all__ = ["APPENDED", "Addition", "PartedLayout", "additions_of", "numbers_of_part", "prefix_of"]

APPENDED = "appended"
"""Folder of all parts but the first."""


@dataclass(frozen=True)
class Addition:
    """What one append added, as the manifest records it.

    Attributes
    ----------
    grown_from : str
        Fingerprint of the catalogue before.
    n_rows : int
        Usable rows that came.
    pilot_rows : int
        How many of them lie in its own pilot.
    n_quarantined : int
        Rows of its source that cannot be used.
    quarantine : str
        sha256 of the file that lists them.
    first_source_row : int
        Number of its source's first row: sources are numbered on, one after the other.
    source_rows : int
        Rows of its source.
    """

    grown_from: str
    n_rows: int
    pilot_rows: int
    n_quarantined: int
    quarantine: str
    first_source_row: int
    source_rows: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Addition:
        """Read a record; raises KeyError, TypeError or ValueError if it is none."""
        counts = {
            name: operator.index(content[name])
            for name in ("n_rows", "pilot_rows", "n_quarantined", "first_source_row", "source_rows")
        }
        if min(counts["n_rows"], counts["pilot_rows"]) < 1 or min(counts.values()) < 0:
            raise ValueError(f"counts {counts} of an append")
        return cls(grown_from=str(content["grown_from"]), quarantine=str(content["quarantine"]), **counts)


def prefix_of(part: int) -> str:
    """Where the files of a part lie; the first part lies in the catalogue itself."""
    return f"{APPENDED}/{part}/" if part else ""


def additions_of(numbers: Mapping[str, Any]) -> tuple[Addition, ...]:
    """Read the appends that a manifest records, oldest first.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they make no sense.
    """
    if numbers.get("dgmmis_format") != GROWN_FORMAT:
        return ()
    found = tuple(Addition.from_json(content) for content in numbers["appended"])
    if not found:
        raise ValueError("nothing was appended")
    return found


def numbers_of_part(numbers: Mapping[str, Any], last: int) -> dict[str, Any]:
    """Numbers of the manifest as they were when part `last` was the last one."""
    gone = numbers["appended"][last:]
    n_rows = numbers["n_rows"] - sum(addition["n_rows"] for addition in gone)
    earlier = {
        **numbers,
        "n_rows": n_rows,
        "pilot_rows": min(numbers["pilot_limit"], n_rows),
        "n_quarantined": numbers["n_quarantined"] - sum(addition["n_quarantined"] for addition in gone),
        "appended": numbers["appended"][:last],
    }
    if last == 0:
        earlier["dgmmis_format"] = FORMAT
        del earlier["appended"], earlier["pilot_limit"]
    return earlier


@dataclass(frozen=True)
class PartedLayout:
    """The arrays of a whole catalogue.

    Attributes
    ----------
    parts : tuple of Layout
        In the order of their rows.
    pilot_rows : int
        Of the whole: those of all parts' pilots whose ids hash smallest.
    """

    parts: tuple[Layout, ...]
    pilot_rows: int

    @classmethod
    def from_numbers(cls, schema: Schema, numbers: Mapping[str, Any]) -> PartedLayout:
        """Lay out the catalogue that a manifest records.

        Raises
        ------
        KeyError, TypeError, ValueError
            If its numbers make no sense.
        """
        n_rows, chunk_rows, pilot_rows = (
            int(numbers[name]) for name in ("n_rows", "chunk_rows", "pilot_rows")
        )
        additions = additions_of(numbers)
        n_first = n_rows - sum(addition.n_rows for addition in additions)
        first_pilot = min(int(numbers["pilot_limit"]), n_first) if additions else pilot_rows
        if min(n_first, chunk_rows, first_pilot) < 1:
            raise ValueError(f"counts {(n_first, chunk_rows, first_pilot)} below 1")
        parts = [Layout(schema, n_first, chunk_rows, first_pilot)]
        for part, addition in enumerate(additions, start=1):
            begun = parts[-1].first_row + parts[-1].n_rows
            parts.append(
                Layout(schema, addition.n_rows, chunk_rows, addition.pilot_rows, prefix_of(part), begun)
            )
        return cls(tuple(parts), pilot_rows)

    @property
    def n_rows(self) -> int:
        """Rows of all parts."""
        return self.parts[-1].first_row + self.parts[-1].n_rows

    @property
    def chunk_rows(self) -> int:
        """Rows of every chunk but the last one of a part."""
        return self.parts[0].chunk_rows

    @property
    def n_chunks(self) -> int:
        """Chunks of rows."""
        return self._first_chunks[-1] + self.parts[-1].n_chunks

    @property
    def arrays(self) -> dict[str, ArrayLayout]:
        """All arrays by their path."""
        return {name: array for part in self.parts for name, array in part.arrays.items()}

    @property
    def attributes_key(self) -> str:
        """File with the attributes of the whole: each append writes new ones."""
        return self.parts[-1].prefix + "zarr.json"

    def locate(self, chunk: int) -> tuple[Layout, int, int]:
        """Give the part that a chunk lies in, its first row there, and one past its last row there."""
        at = bisect_right(self._first_chunks, chunk) - 1
        part, first = self.parts[at], (chunk - self._first_chunks[at]) * self.chunk_rows
        return part, first, min(first + self.chunk_rows, part.n_rows)

    @cached_property
    def _first_chunks(self) -> list[int]:
        first = [0]
        for part in self.parts[:-1]:
            first.append(first[-1] + part.n_chunks)
        return first
