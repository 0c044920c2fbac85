"""The files of a catalogue: nothing unchecked comes out of them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import IO

from dgmmis.errors import CorruptCatalog
from dgmmis.location import Location
from dgmmis.plain_files import MOST_JSON, open_plain
from dgmmis.store.file_record import FileRecord
from dgmmis.store.layout import CHUNK_LIMIT, ArrayLayout
from dgmmis.store.manifest import Manifest
from dgmmis.store.parts import PartedLayout
from dgmmis.store.raw_files import raw_files

__all__ = ["VerifiedFiles"]

BLOSC_HEADER = 16
MOST_CHUNK = CHUNK_LIMIT + 4096
"""Bytes of a chunk's file: what cannot be compressed is stored as it is, with a header."""
CHECKSUM = 4
"""Bytes of the crc32c behind the compressed block."""


class VerifiedFiles:
    """Files of a catalogue, each compared with the manifest when it is read.

    Length and crc32c are compared at every read, the sha256 at the first one in this process.  Several
    threads may read at once: the only thing that changes is the set of files seen, and seeing one twice
    does no harm.

    Parameters
    ----------
    folder : Path or S3Url
    manifest : Manifest
    layout : PartedLayout
    """

    def __init__(self, folder: Location, manifest: Manifest, layout: PartedLayout) -> None:
        self.folder, self.manifest, self.layout = folder, manifest, layout
        self._raw = raw_files(folder)
        self._arrays = layout.arrays
        self._seen: set[str] = set()

    def keys(self) -> list[str]:
        """Paths of all files that the manifest vouches for."""
        chunks = (array.key(chunk) for array in self._arrays.values() for chunk in range(array.n_chunks))
        return [*self.manifest.files, *chunks]

    def read_block(self, key: str) -> memoryview:
        """Compressed block of a chunk, checked, without the checksum behind it."""
        return memoryview(self.read(key))[:-CHECKSUM]

    def read(self, key: str) -> bytes:
        """Content of a file, checked.

        Raises
        ------
        CorruptCatalog
            If it is missing or not what was written.
        """
        if key not in self.manifest.files:
            return self._read_chunk(key, *self._locate(key))
        for _ in range(self._raw.attempts):
            content = self._content(key, key, 0, (0, self.layout.n_rows), MOST_JSON)
            if FileRecord.of(content) == self.manifest.files[key]:
                return content
        raise self._corrupt_file(key, "sha256 or length is not what was written")

    def size(self, key: str) -> int:
        """Bytes of a file as it lies there."""
        try:
            return self._raw.size(key)
        except OSError as error:
            raise self._corrupt_file(key, _unreadable(error)) from error

    def verify(self, key: str) -> None:
        """Check a file thoroughly, whether it was seen before or not."""
        self._seen.discard(key)
        if key in self.manifest.files:
            self.verify_file(key)
        else:
            self.read(key)

    def verify_file(self, key: str) -> None:
        """Check a file that is no chunk, on a disk without holding it in memory."""
        try:
            records = (self._raw.record(key) for _ in range(self._raw.attempts))
            right = any(record == self.manifest.files[key] for record in records)
        except OSError as error:
            raise self._corrupt_file(key, _unreadable(error)) from error
        if not right:
            raise self._corrupt_file(key, "sha256 or length is not what was written")

    def open(self, key: str) -> IO[bytes]:
        """Open a file that is no chunk, checked, on a disk without holding it in memory."""
        if isinstance(self.folder, Path):
            self.verify_file(key)
            return open_plain(self.folder / key)
        return io.BytesIO(self.read(key))

    def _locate(self, key: str) -> tuple[ArrayLayout, int]:
        name, _, position = key.partition("/c/")
        array, chunk = self._arrays.get(name), position.split("/")[0]
        if array is None or not chunk.isdecimal() or int(chunk) >= array.n_chunks:
            raise self._corrupt_file(key, "no such chunk in the manifest")
        return array, int(chunk)

    def _read_chunk(self, key: str, array: ArrayLayout, chunk: int) -> bytes:
        records, fault = self.manifest.chunks[array.name], None
        for _ in range(self._raw.attempts):
            stored = self._content(key, array.name, chunk, array.rows(chunk), MOST_CHUNK)
            fault = records.fault(chunk, stored, thorough=key not in self._seen)
            fault = fault or _header_fault(stored, array.chunk_bytes)
            if not fault:
                self._seen.add(key)
                return stored
        raise CorruptCatalog(array.name, chunk, array.rows(chunk), str(fault))

    def _content(self, key: str, array: str, chunk: int, rows: tuple[int, int], most: int) -> bytes:
        try:
            return self._raw.read(key, most)
        except OSError as error:
            raise CorruptCatalog(array, chunk, rows, _unreadable(error)) from error

    def _corrupt_file(self, key: str, what: str) -> CorruptCatalog:
        return CorruptCatalog(key, 0, (0, self.layout.n_rows), what)


def _header_fault(stored: bytes, decoded_bytes: int) -> str | None:
    """Look whether the compressed block says that it decodes to a chunk's size: a small file may not."""
    compressed_bytes = len(stored) - CHECKSUM
    if compressed_bytes < BLOSC_HEADER:
        return "too short for a compressed block"
    declared, _, compressed = struct.unpack_from("<III", stored, 4)
    if declared != decoded_bytes:
        return f"declares {declared} decoded bytes where a chunk has {decoded_bytes}"
    if compressed != compressed_bytes:
        return f"declares {compressed} compressed bytes and has {compressed_bytes}"
    return None


def _unreadable(error: OSError) -> str:
    return (
        "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
    )
