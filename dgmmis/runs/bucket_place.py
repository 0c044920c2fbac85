"""A prefix in a bucket as the place of a run: objects put once, each under the epoch of its writer."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from dgmmis.errors import RunLocked
from dgmmis.location import S3Url
from dgmmis.object_store import bucket_at
from dgmmis.runs.epochs import EPOCHS, GONE, Epoch, key_in, parts_of
from dgmmis.runs.tenure import LOCK, Tenure, is_renewed, last_holder, take

__all__ = ["BucketPlace"]

FRESH = 1.0
"""Seconds for which somebody who only reads goes on with the epoch that was the last one."""


class BucketPlace:
    """A prefix in a bucket; see `Place`.

    What is put while the lock is held belongs to the holder's epoch, and does not count once another has the lock.
    What is put without it (run.json) counts always.

    Parameters
    ----------
    location : S3Url
    """

    def __init__(self, location: S3Url) -> None:
        self.location = location
        self._bucket = bucket_at(location)
        self._tenure: Tenure | None = None
        self._epoch, self._seen = Epoch(), -FRESH
        self._logs: dict[str, list[str]] = {}

    def read(self, name: str, most: int | None = None) -> bytes:
        """Content of the object that counts; raises `CorruptCheckpoint` if it is not what was put."""
        return self._read(name, most, checked=True)

    def _read(self, name: str, most: int | None = None, *, checked: bool) -> bytes:
        epoch = self._current()
        for key in filter(None, (epoch.key(name), key_in(epoch.number, name) if epoch.number else None)):
            with suppress(FileNotFoundError):
                return self._bucket.get(key, most, checked=checked).content
        return self._bucket.get(name, most, checked=checked).content

    def exists(self, name: str) -> bool:
        """Tell whether there is an object that counts."""
        epoch = self._current()
        keys = (epoch.key(name), key_in(epoch.number, name) if epoch.number else None, name)
        return any(self._bucket.exists(key) for key in keys if key)

    def names(self, folder: str) -> list[str]:
        """Names of the objects that count, with the folders below."""
        there = [f"{folder}/{name}" for name in self._bucket.names(folder)]
        plain = {key for key in there if parts_of(key)[1] == 0}
        return sorted(
            name.removeprefix(f"{folder}/") for name in plain | self._current().counted(there).keys()
        )

    def folders(self) -> list[str]:
        """Names of the prefixes directly below."""
        return self._bucket.folders()

    def make(self, folders: Sequence[str]) -> None:
        """Do nothing: a bucket has no folders."""

    def is_blank(self, first: str, folders: Collection[str]) -> bool:
        """Tell whether there is nothing but the lock and its epochs."""
        return all(key == LOCK or key.startswith(f"{EPOCHS}/") for key in self._bucket.names())

    def put_if_absent(self, name: str, content: bytes) -> None:
        """Put an object once; as the holder of the lock only if it is still held, before and after."""
        if self._tenure is None:
            if self.exists(name):
                raise FileExistsError(f"{self.location / name} is there already")
            self._bucket.put_if_absent(name, content)
            return
        if self._epoch.key(name) is not None:
            raise FileExistsError(f"{self.location / name} is there already")
        self._put_fenced(key_in(self._epoch.number, name), content)

    def replace(self, name: str, content: bytes) -> None:
        """Put an object over an earlier one."""
        self._bucket.put(name, content)

    def set_aside(self, name: str, aside: str) -> None:
        """Copy an object to another name, and leave it out from now on."""
        if self._tenure is None:
            raise RunLocked(f"{self.location} is not held: nothing is set aside there.")
        content = self._read(name, checked=False)
        with suppress(FileExistsError):  # copied before the last holder died
            self.put_if_absent(aside, content)
        if self._epoch.key(name) is None:
            self._tenure.require()
            self._bucket.delete(key_in(self._epoch.number, name))
            return
        self._put_fenced(f"{GONE}/e{self._epoch.number:06d}/{name}", b"")
        self._epoch = replace(self._epoch, gone=self._epoch.gone | {name})

    def append_line(self, name: str, line: str) -> None:
        """Put a line as an object of its own, together with some that came before.

        Object n holds as many lines as the largest power of 2 that divides n, so that a thousand lines are read with
        ten requests and written with five times their length.
        """
        lines = self._logs.setdefault(name, self.lines(name) if name not in self._logs else [])
        number = len(lines) + 1
        block = [*lines, line][number - (number & -number) :]
        self.put_if_absent(f"{name}/{number:06d}", "\n".join(block).encode())
        lines.append(line)

    def lines(self, name: str, most: int | None = None) -> list[str]:
        """Read the blocks of lines that end with the last one, each of at most `most` bytes."""
        numbers = [int(block) for block in self.names(name) if block.isdecimal()]
        number, blocks = max(numbers, default=0), []
        while number:
            blocks.append(self.read(f"{name}/{number:06d}", most).decode().split("\n"))
            number -= number & -number
        return [line for block in reversed(blocks) for line in block]

    @contextmanager
    def hold(self, folders: Collection[str]) -> Iterator[None]:
        """Hold the lock object, and begin an epoch."""
        tenure = take(self._bucket)
        try:
            self._epoch = self._begin(tenure)
            self._tenure = tenure
            yield
        finally:
            self._tenure, self._seen = None, -FRESH
            self._logs.clear()
            tenure.release()

    def is_held(self) -> bool:
        """Tell whether the lock object is renewed."""
        return self._tenure is not None or is_renewed(self._bucket)

    def holder(self) -> str:
        """Who put the lock object last."""
        return last_holder(self._bucket)

    def _begin(self, tenure: Tenure) -> Epoch:
        """List what counts, which is what will count of earlier epochs for ever."""
        begun = self._latest().next(tenure.epoch, self._bucket.names())
        self._bucket.put_if_absent(f"{EPOCHS}/{begun.number:06d}", begun.to_bytes(tenure.holder))
        tenure.require()
        return begun

    def _put_fenced(self, key: str, content: bytes) -> None:
        assert self._tenure is not None
        self._tenure.require()
        self._bucket.put_if_absent(key, content)
        self._tenure.require()

    def _current(self) -> Epoch:
        if self._tenure is None and time.monotonic() - self._seen > FRESH:
            self._epoch, self._seen = self._latest(), time.monotonic()
        return self._epoch

    def _latest(self) -> Epoch:
        numbers = [int(name) for name in self._bucket.names(EPOCHS) if name.isdecimal()]
        number = max(numbers, default=0)
        if number == 0:
            return Epoch()
        content = self._bucket.get(f"{EPOCHS}/{number:06d}").content
        gone = self._bucket.names(f"{GONE}/e{number:06d}")
        return Epoch.of(number, content, gone, f"{self.location}/{EPOCHS}/{number:06d}")
