"""The Zarr store that a catalogue is written through: it remembers what every chunk file holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
        self._changed = threading.Condition()
        self._under_way, self._stopped = 0, False

    @property
    def _supports_sync_io(self) -> bool:
        """Make Zarr 3.4 write through `set`, which records."""
        return False

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file, and record it if it is a chunk."""
        with self._writing():
            if "/c/" in key:
                self._records[key] = await asyncio.to_thread(_record, value.to_bytes())
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it is there."""
        with self._writing():
            await super().set_if_not_exists(key, value)

    def stop(self) -> None:
        """Begin no further write, and wait for those under way.

        Zarr writes several files at once and raises at the first that fails, while others are still being written:
        who removed the folder then would find them back in it.
        """
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: self._under_way == 0)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._changed:
            if self._stopped:
                raise asyncio.CancelledError("what was being written failed and is discarded")
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def records(self, array: ArrayLayout) -> ChunkRecords:
        """Give the records of all chunks of an array, in order."""
        rows = [self._records[array.key(chunk)] for chunk in range(array.n_chunks)]
        return ChunkRecords([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _record(stored: bytes) -> tuple[int, int, str]:
    one = ChunkRecords([], [], [])
    one.append(stored)
    return one.lengths[0], one.crc32c[0], one.sha256[0]
