"""Arrays of a catalogue, read through the checks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from dgmmis.errors import CorruptCatalog, NotACatalog
from dgmmis.location import Location
from dgmmis.plain_files import as_json
from dgmmis.store.layout import FORMAT, GROWN_FORMAT, ArrayLayout, array_fault
from dgmmis.store.manifest import Manifest
from dgmmis.store.parts import PartedLayout
from dgmmis.store.schema import Schema
from dgmmis.store.verified import VerifiedFiles

__all__ = ["VerifiedArrays"]

LARGEST_BLOCK = 31 << 20
"""Bytes; glibc adapts to freed blocks of up to 32 MiB."""


class VerifiedArrays:
    """The arrays and attributes of a catalogue; several threads may read at once.

    Parameters
    ----------
    folder : Path or S3Url
    manifest : Manifest
        Of the state to read: what is in the folder now, or was there before rows were appended.

    Raises
    ------
    NotACatalog
        If the manifest is one of another format.
    CorruptCatalog
        If the metadata are not what was written, or not such as this format allows.
    """

    def __init__(self, folder: Location, manifest: Manifest) -> None:
        self.manifest = manifest
        self.layout = _layout(folder, manifest)
        self.files = VerifiedFiles(folder, self.manifest, self.layout)
        self.attributes: dict[str, Any] = self._metadata(self.layout.attributes_key).get("attributes", {})
        for array in self.layout.arrays.values():
            self._check_array(array)
        self._codec = Blosc()
        _keep_freed_memory()

    def read(self, array: ArrayLayout, first: int, end: int) -> NDArray[Any]:
        """Read the entries `first` to `end` of an array.

        Each chunk is decoded in the calling thread, straight to where its entries belong; the GIL is free
        meanwhile.
        """
        entries = array.chunk_entries
        chunks = range(first // entries, -(-end // entries))
        whole = np.empty((len(chunks) * entries, *array.shape[1:]), array.dtype)
        for chunk, part in zip(chunks, np.split(whole, len(chunks)), strict=True):
            self._decode(array, chunk, part)
        skipped = chunks.start * entries
        return whole[first - skipped : end - skipped]

    def _decode(self, array: ArrayLayout, chunk: int, out: NDArray[Any]) -> None:
        block = self.files.read_block(array.key(chunk))
        try:
            self._codec.decode(block, out)
        except (RuntimeError, ValueError) as error:
            what = f"cannot be decoded ({error})"
            raise CorruptCatalog(array.name, chunk, array.rows(chunk), what) from error

    def _metadata(self, key: str) -> dict[str, Any]:
        try:
            content = as_json(self.files.read(key))
        except (ValueError, KeyError) as error:
            raise self._refused(key, f"it is no metadata of Zarr ({error!r})") from error
        if not isinstance(content, dict):
            raise self._refused(key, "it is no metadata of Zarr")
        return content

    def _check_array(self, array: ArrayLayout) -> None:
        key = f"{array.name}/zarr.json"
        try:
            fault = array_fault(self._metadata(key), array)
        except (TypeError, AttributeError) as error:
            fault = f"it is no metadata of Zarr ({error!r})"
        records = self.manifest.chunks.get(array.name)
        n_records = 0 if records is None else min(len(column) for column in vars(records).values())
        if fault is None and n_records != array.n_chunks:
            fault = f"the manifest has {n_records} chunks, the array {array.n_chunks}"
        if fault:
            raise self._refused(key, fault)

    def _refused(self, key: str, what: str) -> CorruptCatalog:
        return CorruptCatalog(key, 0, (0, self.layout.n_rows), what)


@cache
def _keep_freed_memory() -> None:
    """Have the memory of one chunk serve for the next, instead of being page-faulted in again.

    glibc gives freed memory back to the system as soon as there is more of it than twice the largest block
    that it has seen freed, and the arrays of a chunk together are more.  Having seen one block go (it is
    never touched, so it costs nothing), it keeps up to 62 MiB.  This halves the cost of reading.
    """
    np.empty(LARGEST_BLOCK, np.uint8)


def _layout(folder: Location, manifest: Manifest) -> PartedLayout:
    """Say which arrays a catalogue with this manifest must have."""
    numbers = dict(manifest.numbers)
    if numbers.get("dgmmis_format") not in (FORMAT, GROWN_FORMAT):
        raise NotACatalog(
            f"{folder} has format {numbers.get('dgmmis_format')}; this version reads formats {FORMAT} and "
            f"{GROWN_FORMAT}. Use the version of dgmmis that wrote it, or ingest the source again."
        )
    try:
        schema = Schema.from_json({**numbers["schema"], "provenance": {}})
        return PartedLayout.from_numbers(schema, numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise NotACatalog(f"{folder} is not a catalogue: its manifest makes no sense ({error!r}).") from error
