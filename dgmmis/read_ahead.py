"""The next chunks are read while the caller works on this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["reading_ahead"]

T = TypeVar("T")


@contextmanager
def reading_ahead(
    read: Callable[[int], T],
    stop: int,
    *,
    depth: int = 1,
    at_hand: Callable[[int], T | None] = lambda _: None,
) -> Iterator[Callable[[int], T]]:
    """Give a `read` for chunks that are wanted in ascending order; it has the next ones read by other threads.

    Several threads may call it, each for another chunk.  It returns and raises what `read` does.  When the
    context ends, no thread is left: it waits for what is being read.

    Parameters
    ----------
    read : callable
        Reads a chunk; called from several threads at once.
    stop : int
        One past the last chunk that will be wanted.
    depth : int
        Chunks to be ahead, as many as there are callers: so many more than they work on are in memory.
    at_hand : callable, optional
        Gives a chunk that needs no reading, or None; no thread is bothered for it.
    """
    ahead: dict[int, Future[T]] = {}
    lock = threading.Lock()
    begun = -1

    def take(chunk: int) -> T:
        nonlocal begun
        with lock:
            due = range(max(begun, chunk) + 1, min(chunk + depth + 1, stop))
            begun = max(begun, chunk, *due)
            for later in due:
                if at_hand(later) is None:
                    ahead[later] = readers.submit(read, later)
            reading = ahead.pop(chunk, None)
        if reading is not None:
            return reading.result()
        found = at_hand(chunk)
        return read(chunk) if found is None else found

    with ThreadPoolExecutor(depth, thread_name_prefix="read-ahead") as readers:
        try:
            yield take
        finally:
            readers.shutdown(cancel_futures=True)
