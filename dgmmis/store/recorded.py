"""The Zarr store that a catalogue is written through: it remembers what every chunk file holds."""

from __future__ import annotations

import asyncio

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore, WrapperStore

from dgmmis.store.layout import ArrayLayout
from dgmmis.store.manifest import ChunkRecords

__all__ = ["RecordingStore"]


class RecordingStore(WrapperStore[LocalStore]):
    """A local store that records the bytes of each chunk as they are handed to the disk.

    The hashes are of what was meant to be written, not of what a disk gives back.

    Parameters
    ----------
    store : LocalStore
    """

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._records: dict[str, tuple[int, int, str]] = {}

    @property
    def _supports_sync_io(self) -> bool:
        """Make Zarr 3.4 write through `set`, which records."""
        return False

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file, and record it if it is a chunk."""
        if "/c/" in key:
            self._records[key] = await asyncio.to_thread(_record, value.to_bytes())
        await super().set(key, value)

    def records(self, array: ArrayLayout) -> ChunkRecords:
        """Give the records of all chunks of an array, in order."""
        rows = [self._records[array.key(chunk)] for chunk in range(array.n_chunks)]
        return ChunkRecords([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _record(stored: bytes) -> tuple[int, int, str]:
    one = ChunkRecords([], [], [])
    one.append(stored)
    return one.lengths[0], one.crc32c[0], one.sha256[0]
