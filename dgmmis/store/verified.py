"""The Zarr store that a catalogue is read through: nothing unchecked comes out of it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from pathlib import Path

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore, WrapperStore

from dgmmis.errors import CorruptCatalog
from dgmmis.store.layout import ArrayLayout, Layout
from dgmmis.store.manifest import FileRecord, Manifest

__all__ = ["VerifiedFiles", "VerifyingStore"]

BLOSC_HEADER = 16


class VerifiedFiles:
    """Files of a catalogue, each compared with the manifest when it is read.

    Length and crc32c are compared at every read, the sha256 at the first one in this process.  Several
    threads may read at once: the only thing that changes is the set of files seen, and seeing one twice
    does no harm.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
    layout : Layout
    """

    def __init__(self, folder: Path, manifest: Manifest, layout: Layout) -> None:
        self.folder, self.manifest, self.layout = folder, manifest, layout
        self._arrays = layout.arrays
        self._seen: set[str] = set()

    def keys(self) -> list[str]:
        """Paths of all files that the manifest vouches for."""
        chunks = (array.key(chunk) for array in self._arrays.values() for chunk in range(array.n_chunks))
        return [*self.manifest.files, *chunks]

    def read(self, key: str) -> bytes:
        """Content of a file, checked.

        Raises
        ------
        CorruptCatalog
            If it is missing or not what was written.
        """
        if key not in self.manifest.files:
            return self._read_chunk(key, *self._locate(key))
        content = self._content(key, key, 0, (0, self.layout.n_rows))
        if FileRecord.of(content) != self.manifest.files[key]:
            raise self._corrupt_file(key, "sha256 or length is not what was written")
        return content

    def verify(self, key: str) -> None:
        """Check a file thoroughly, whether it was seen before or not."""
        self._seen.discard(key)
        if key in self.manifest.files:
            self.verify_file(key)
        else:
            self.read(key)

    def verify_file(self, key: str) -> Path:
        """Check a file that is no chunk without holding it in memory; give its path."""
        path = self.folder / key
        try:
            record = FileRecord.of_file(path)
        except OSError as error:
            raise self._corrupt_file(key, _unreadable(error)) from error
        if record != self.manifest.files[key]:
            raise self._corrupt_file(key, "sha256 or length is not what was written")
        return path

    def _locate(self, key: str) -> tuple[ArrayLayout, int]:
        name, _, position = key.partition("/c/")
        array, chunk = self._arrays.get(name), position.split("/")[0]
        if array is None or not chunk.isdecimal() or int(chunk) >= array.n_chunks:
            raise self._corrupt_file(key, "no such chunk in the manifest")
        return array, int(chunk)

    def _read_chunk(self, key: str, array: ArrayLayout, chunk: int) -> bytes:
        stored = self._content(key, array.name, chunk, array.rows(chunk))
        records = self.manifest.chunks[array.name]
        fault = records.fault(chunk, stored, thorough=key not in self._seen)
        fault = fault or _header_fault(stored, array.chunk_bytes)
        if fault:
            raise CorruptCatalog(array.name, chunk, array.rows(chunk), fault)
        self._seen.add(key)
        return stored

    def _content(self, key: str, array: str, chunk: int, rows: tuple[int, int]) -> bytes:
        try:
            return (self.folder / key).read_bytes()
        except OSError as error:
            raise CorruptCatalog(array, chunk, rows, _unreadable(error)) from error

    def _corrupt_file(self, key: str, what: str) -> CorruptCatalog:
        return CorruptCatalog(key, 0, (0, self.layout.n_rows), what)


class VerifyingStore(WrapperStore[LocalStore]):
    """A read-only Zarr store that checks every file before anything is decoded.

    Every way in which Zarr reads leads through `get_sync`, those of Zarr 3.4 included; `WrapperStore`
    would hand the others to the wrapped store, unchecked.

    Parameters
    ----------
    store : LocalStore
    files : VerifiedFiles
    """

    def __init__(self, store: LocalStore, files: VerifiedFiles) -> None:
        super().__init__(store)
        self._files = files

    def _with_store(self, store: LocalStore) -> VerifyingStore:
        return type(self)(store, self._files)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Give a file, or a piece of it, after the whole of it was checked.

        A name that the manifest does not have gives None, as Zarr expects when it looks whether something
        exists; all names of chunks that a reader may ask for are in the manifest.
        """
        if key not in self._files.manifest.files and "/c/" not in key:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer
        return buffer.from_bytes(_piece(self._files.read(key), byte_range))

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Give a checked file; reading and checking happen in a thread, beside the event loop."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Give checked pieces of several files."""
        return list(await asyncio.gather(*(self.get(key, prototype, piece) for key, piece in key_ranges)))

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        **_: int | None,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Give checked pieces of one file."""
        for index, piece in enumerate(byte_ranges):
            yield [(index, await self.get(key, prototype, piece))]

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, piece in requests:
            yield key, await self.get(key, prototype, piece)


def _piece(content: bytes, byte_range: ByteRequest | None) -> bytes:
    if byte_range is None:
        return content
    if isinstance(byte_range, RangeByteRequest):
        return content[byte_range.start : byte_range.end]
    if isinstance(byte_range, OffsetByteRequest):
        return content[byte_range.offset :]
    return content[-byte_range.suffix :]


def _header_fault(stored: bytes, decoded_bytes: int) -> str | None:
    """Look whether the compressed block says that it decodes to a chunk's size: a small file may not."""
    if len(stored) < BLOSC_HEADER + 4:
        return "too short for a compressed block"
    declared = struct.unpack_from("<I", stored, 4)[0]
    if declared != decoded_bytes:
        return f"declares {declared} decoded bytes where a chunk has {decoded_bytes}"
    return None


def _unreadable(error: OSError) -> str:
    return "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
