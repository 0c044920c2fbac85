"""SIGINT and SIGTERM end a drive at its next boundary; a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from dgmmis.errors import DgmmisError, RunInterrupted
from dgmmis.stopping import Stop

__all__ = ["OVERDUE", "heeding_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OVERDUE = 6.0
"""Seconds that a boundary is waited for.  Then the stop is raised wherever the drive is: it may be waiting for
workers, or in a pass over a large sample, and what is stored is whole at any moment."""
AT_ONCE = b"stopped at once; what was stored is whole\n"


@contextmanager
def heeding_signals(stop: Stop, way_on: str) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM ask for a stop, and raise a stop that is overdue; main thread only.

    Parameters
    ----------
    stop : Stop
        Whoever else asks it (a cancel) is obeyed in the same time.
    way_on : str
        How to go on afterwards, for the message.
    """
    over, forced = threading.Event(), threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        if forced.is_set():
            stop.check()
        if stop.asked and not over.is_set():
            with suppress(OSError):
                os.write(2, AT_ONCE)
            os._exit(128 + number)
        stop.ask(RunInterrupted(number, way_on))

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    arguments = (stop, over, forced, threading.get_ident())
    threading.Thread(target=_force, args=arguments, name="dgmmis-overdue", daemon=True).start()
    try:
        yield
    except DgmmisError:
        raise
    except Exception:
        stop.check()  # what fails once a stop is under way, fails because of it
        raise
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _force(stop: Stop, over: threading.Event, forced: threading.Event, main: int) -> None:
    """Have a stop that no boundary was reached for in time raised in the main thread."""
    while not stop.wait(OVERDUE):
        if over.is_set():
            return
    if not over.wait(OVERDUE) and not stop.delivered:
        forced.set()
        signal.pthread_kill(main, signal.SIGINT)  # a real one: it also ends a wait for a lock
