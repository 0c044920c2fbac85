"""Which arrays a catalogue or one part of it has, their types, shapes and chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, Crc32cCodec

from dgmmis.errors import InvalidSetting
from dgmmis.store.schema import TEXT_WIDTH, Schema

__all__ = [
    "CHUNK_LIMIT",
    "FORMAT",
    "GROWN_FORMAT",
    "ArrayLayout",
    "Layout",
    "array_fault",
    "choose_chunk_rows",
]

FORMAT = 1
"""Of a catalogue as an ingest writes it."""
GROWN_FORMAT = 2
"""Of one that rows were appended to."""
CHUNK_ROWS = 100_000
CHUNK_TARGET = 16 << 20
"""Bytes of the largest array's chunk, decoded, that the default number of rows stays below."""
CHUNK_LIMIT = 32 << 20
"""Bytes of a decoded chunk above which nothing is written or read: larger blocks are page-faulted anew
on every read, and a stranger's file is not to fill the memory."""

ZARR_TYPES = {"<f4": "float32", "<f8": "float64", "<i8": "int64", "|u1": "uint8"}
CODECS = ["bytes", "blosc", "crc32c"]


@dataclass(frozen=True)
class ArrayLayout:
    """One stored array, chunked along its first axis only.

    Attributes
    ----------
    name : str
        Its path in the Zarr group.
    dtype : str
    n_entries : int
        Length of its first axis.
    width : int or None
        Length of its second axis; None if it has one axis.
    chunk_entries : int
    rows_per_entry : int
        Rows of the catalogue that one entry describes: 1, or a chunk's rows in a zone map.
    n_rows : int
        Rows that the whole array describes.
    first_row : int
        The first of them, counted over all parts of the catalogue.
    """

    name: str
    dtype: str
    n_entries: int
    width: int | None
    chunk_entries: int
    rows_per_entry: int
    n_rows: int
    first_row: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return (self.n_entries,) if self.width is None else (self.n_entries, self.width)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return (self.chunk_entries, *self.shape[1:])

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunk_shape) * np.dtype(self.dtype).itemsize

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return -(-self.n_entries // self.chunk_entries)

    def key(self, chunk: int) -> str:
        """File of a chunk, relative to the catalogue."""
        return f"{self.name}/c/{chunk}" + ("" if self.width is None else "/0")

    def rows(self, chunk: int) -> tuple[int, int]:
        """First row and one past the last row that a chunk describes."""
        step = self.chunk_entries * self.rows_per_entry
        first, end = min(chunk * step, self.n_rows), min((chunk + 1) * step, self.n_rows)
        return self.first_row + first, self.first_row + end

    def create(self, store: Store) -> zarr.Array[Any]:
        """Create the array, empty."""
        dtype = np.dtype(self.dtype)
        return zarr.create_array(
            store,
            name=self.name,
            shape=self.shape,
            chunks=self.chunk_shape,
            dtype=dtype,
            fill_value=float("nan") if dtype.kind == "f" else 0,
            filters=None,
            compressors=[
                BloscCodec(typesize=dtype.itemsize, cname="lz4", clevel=5, shuffle="shuffle", blocksize=0),
                Crc32cCodec(),
            ],
            config={"write_empty_chunks": True},
        )


@dataclass(frozen=True)
class Layout:
    """The arrays of one part of a catalogue: of what was ingested, or of what one append added.

    Attributes
    ----------
    schema : Schema
    n_rows, chunk_rows, pilot_rows : int
    prefix : str
        Where its arrays lie in the catalogue: "" or "appended/1/", ...
    first_row : int
        Rows of the parts before it.
    """

    schema: Schema
    n_rows: int
    chunk_rows: int
    pilot_rows: int
    prefix: str = ""
    first_row: int = 0

    @property
    def n_chunks(self) -> int:
        """Chunks of rows."""
        return -(-self.n_rows // self.chunk_rows)

    @property
    def rows(self) -> dict[str, ArrayLayout]:
        """Arrays with one entry per row."""
        arrays = _row_arrays(self.schema, self.n_rows, min(self.chunk_rows, self.n_rows))
        return self._placed(arrays, first_row=self.first_row)

    @property
    def pilot(self) -> dict[str, ArrayLayout]:
        """The same arrays for the rows of the pilot, by the same names."""
        arrays = _row_arrays(self.schema, self.pilot_rows, min(self.chunk_rows, self.pilot_rows))
        return self._placed(arrays, within="pilot/")

    @property
    def zones(self) -> dict[str, ArrayLayout]:
        """Arrays with one entry per chunk of rows."""
        width = self.schema.n_features
        names = {"zone_low": "<f8", "zone_high": "<f8", "zone_missing": "<i8"}
        if self.schema.noise_widths:
            names |= {"zone_noise_low": "<f8", "zone_noise_high": "<f8"}
        entries = min(self.n_chunks, max(1, CHUNK_TARGET // (8 * width)))
        arrays = {
            name: ArrayLayout(name, dtype, self.n_chunks, width, entries, self.chunk_rows, self.n_rows)
            for name, dtype in names.items()
        }
        return self._placed(arrays, first_row=self.first_row)

    @property
    def arrays(self) -> dict[str, ArrayLayout]:
        """All arrays by their path."""
        every = [*self.rows.values(), *self.pilot.values(), *self.zones.values()]
        return {array.name: array for array in every}

    def _placed(
        self, arrays: dict[str, ArrayLayout], *, within: str = "", first_row: int = 0
    ) -> dict[str, ArrayLayout]:
        place = self.prefix + within
        return {
            name: replace(array, name=place + name, first_row=first_row) for name, array in arrays.items()
        }


def _row_arrays(schema: Schema, n_rows: int, chunk_rows: int) -> dict[str, ArrayLayout]:
    columns: dict[str, tuple[str, int | None]] = {"values": (schema.value_dtype, schema.n_features)}
    columns |= {name: (schema.noise_dtype, width) for name, width in schema.noise_widths.items()}
    if schema.has_weights:
        columns["weights"] = ("<f8", None)
    if schema.id_kind != "row":
        columns["row_id"] = ("|u1", TEXT_WIDTH) if schema.id_kind == "text" else ("<i8", None)
    columns["source_row"] = ("<i8", None)
    return {
        name: ArrayLayout(name, dtype, n_rows, width, chunk_rows, 1, n_rows)
        for name, (dtype, width) in columns.items()
    }


def choose_chunk_rows(schema: Schema, asked: int | None) -> int:
    """Rows of a chunk: what was asked for, or as many as keep the largest array's chunk small.

    Raises
    ------
    InvalidSetting
        If a chunk of that many rows would be none, or too large to be read well.
    """
    largest = max(array.chunk_bytes for array in _row_arrays(schema, 1, 1).values())
    if asked is None:
        return max(1, min(CHUNK_ROWS, CHUNK_TARGET // largest))
    if not 1 <= asked <= CHUNK_LIMIT // largest:
        raise InvalidSetting(
            f"chunk_rows is {asked}; a row takes {largest} bytes in the largest array, so choose "
            f"1 to {CHUNK_LIMIT // largest} (a chunk holds at most {CHUNK_LIMIT >> 20} MiB)."
        )
    return asked


def array_fault(metadata: dict[str, Any], expected: ArrayLayout) -> str | None:
    """Say what in an array's zarr.json is not as this format has it, or None.

    This is the gate for files of strangers: after it, nothing larger than the limit is decoded and only
    by the three codecs of this format.
    """
    grid = metadata.get("chunk_grid", {})
    codecs = metadata.get("codecs", [])
    orders = {codec.get("configuration", {}).get("endian", "little") for codec in codecs[:1]}
    found = {
        "node_type": metadata.get("node_type"),
        "shape": tuple(metadata.get("shape", ())),
        "data_type": metadata.get("data_type"),
        "chunk grid": (grid.get("name"), tuple(grid.get("configuration", {}).get("chunk_shape", ()))),
        "codecs": [codec.get("name") for codec in codecs],
        "byte order": orders,
        "chunk key": metadata.get("chunk_key_encoding", {}).get("name"),
    }
    wanted = {
        "node_type": "array",
        "shape": expected.shape,
        "data_type": ZARR_TYPES[expected.dtype],
        "chunk grid": ("regular", expected.chunk_shape),
        "codecs": CODECS,
        "byte order": {"little"},
        "chunk key": "default",
    }
    for name, value in wanted.items():
        if found[name] != value:
            return f"{name} is {found[name]}, expected {value}"
    if expected.chunk_bytes > CHUNK_LIMIT:
        return f"chunks of {expected.chunk_bytes} bytes, above the limit of {CHUNK_LIMIT}"
    return None
