"""Calls that may never return, given up after a while."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

from distributed import Client, Future, wait
from distributed.client import ClosedClientError

__all__ = ["UNANSWERED", "wait_for_first", "within"]

T = TypeVar("T")

UNANSWERED = (
    TimeoutError,
    OSError,
    CancelledError,
    ClosedClientError,
    KeyError,
    AttributeError,
    RuntimeError,
    ValueError,
)
"""What Dask's client raises while its scheduler or a worker is gone or going."""


def within(seconds: float, call: Callable[..., T], *args: Any, **settings: Any) -> T:
    """Call a function, but wait no longer than `seconds` for it.

    Most calls of a Dask client wait for ever if the scheduler, or a worker that it asks, has been suspended.
    The call is made in a thread, which is abandoned if it takes longer.

    Raises
    ------
    TimeoutError
        If the call has not returned by then.
    """
    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((True, call(*args, **settings)))
        except BaseException as error:  # handed to whoever waits
            answers.put((False, error))

    threading.Thread(target=work, name="dgmmis-bounded-call", daemon=True).start()
    try:
        succeeded, answer = answers.get(timeout=seconds)
    except queue.Empty:
        name = getattr(call, "__name__", repr(call))
        raise TimeoutError(f"{name} did not return within {seconds:.0f} s") from None
    if not succeeded:
        raise answer
    result: T = answer
    return result


def wait_for_first(client: Client, futures: Collection[Future[Any]], seconds: float) -> None:
    """Wait until one of a client's futures is done, it cannot be asked, or so many seconds are over.

    Dask's `wait` runs on the client that was made last in this process.  On another one's event loop nobody wakes it
    when a future is done, and without a default client it fails at once.
    """
    with suppress(*UNANSWERED), nullcontext() if _is_current(client) else client.as_current():
        wait(list(futures), timeout=seconds, return_when="FIRST_COMPLETED")


def _is_current(client: Client) -> bool:
    with suppress(ValueError):  # there is none
        return Client.current() is client
    return False
