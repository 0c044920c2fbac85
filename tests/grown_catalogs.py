"""Catalogues that grew, for the tests, and everything there is of a catalogue's rows in source order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from dgmmis.store import Catalog, CatalogAppender, Schema, StoredRows
from stored_sources import batches, write

ORIGIN = {"source": "later rows", "notes": []}


def append_rows(path: Path, rows: StoredRows, *, batch_rows: int = 10**6, **options: object) -> Catalog:
    """Append rows as a source of their own: numbered from 0."""
    with CatalogAppender(path, **options) as appender:
        for batch in batches(replace(rows, source_rows=np.arange(len(rows))), batch_rows):
            appender.append(batch)
        return appender.finish(ORIGIN)


def grow(
    path: Path, schema: Schema, rows: StoredRows, cuts: Sequence[int], **options: object
) -> list[Catalog]:
    """Write the rows before the first cut and append those between the others; give every state."""
    edges = [*cuts, len(rows)]
    states = [write(path, schema, rows.take(slice(0, edges[0])), **options)]
    for first, end in pairwise(edges):
        states.append(append_rows(path, rows.take(slice(first, end)), batch_rows=7))
    return states


def source_rows_of(catalog: Catalog) -> np.ndarray:
    return np.concatenate([catalog.read_ids(chunk)[1] for chunk in range(catalog.n_chunks)])


def columns(catalog: Catalog) -> dict[str, np.ndarray]:
    """Ids, values, noise and weights, in the order of the sources."""
    order = np.argsort(source_rows_of(catalog), kind="stable")
    read = [catalog.read_rows(chunk) for chunk in range(catalog.n_chunks)]
    found = {"id": np.concatenate([catalog.read_ids(chunk)[0] for chunk in range(catalog.n_chunks)])}
    found["values"] = np.concatenate([rows.values for rows in read])
    if read[0].noise.kind in ("diagonal", "full"):
        found["noise"] = np.concatenate([rows.noise.array for rows in read])
    if read[0].weights is not None:
        found["weights"] = np.concatenate([rows.weights for rows in read])
    return {name: column[order] for name, column in found.items()} | {
        "source_row": source_rows_of(catalog)[order]
    }


def assert_same_columns(left: Catalog, right: Catalog) -> None:
    ours, theirs = columns(left), columns(right)
    assert set(ours) == set(theirs)
    for name, column in ours.items():
        np.testing.assert_array_equal(column, theirs[name])


def assert_same_pilot(left: Catalog, right: Catalog, n_rows: int | None = None) -> None:
    ours, theirs = left.read_pilot(n_rows), right.read_pilot(n_rows)
    np.testing.assert_array_equal(ours.values, theirs.values)
    for name in ("array",):
        np.testing.assert_array_equal(getattr(ours.noise, name), getattr(theirs.noise, name))
    if theirs.weights is not None:
        np.testing.assert_array_equal(ours.weights, theirs.weights)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
