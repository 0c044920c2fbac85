"""How fast this machine moves bytes: `python transfer.py FOLDER CORE` prints GB/s of memory and disk as JSON."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

__all__ = ["disk_gigabytes_per_second", "main", "memory_gigabytes_per_second"]

MEMORY_BYTES = 512 << 20
"""Of each of two arrays: many times the last cache."""

FILE_BYTES = 1 << 30
BLOCK_BYTES = 8 << 20
REPETITIONS = 5


def memory_gigabytes_per_second(n_bytes: int = MEMORY_BYTES) -> float:
    """Read a large array, as a sum of its numbers does: what a pass over rows in memory could do at most."""
    values = np.ones(n_bytes // 8)
    seconds = []
    for _ in range(REPETITIONS):
        before = time.perf_counter()
        np.dot(values, values)
        seconds.append(time.perf_counter() - before)
    return values.nbytes / min(seconds) / 1e9


def disk_gigabytes_per_second(folder: Path, n_bytes: int = FILE_BYTES) -> float:
    """Read a file from its beginning to its end that is on disk and not in the page cache."""
    block = np.random.default_rng(0).bytes(BLOCK_BYTES)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(0, n_bytes, BLOCK_BYTES):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        seconds = min(_seconds_to_read(file.name) for _ in range(REPETITIONS))
        return os.stat(file.name).st_size / seconds / 1e9


def _seconds_to_read(path: str) -> float:
    buffer = bytearray(BLOCK_BYTES)
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = time.perf_counter()
        while file.readinto(buffer):
            pass
        return time.perf_counter() - before


def main(folder: str, core: str) -> None:
    """Measure on one core and print."""
    os.sched_setaffinity(0, {int(core)})
    print(
        json.dumps({"memory": memory_gigabytes_per_second(), "disk": disk_gigabytes_per_second(Path(folder))})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
