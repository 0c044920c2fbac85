"""How a drive is asked to end early, and where it listens: between passes, and between segments of a pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dgmmis.errors import DgmmisError
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass
from dgmmis.observer import Observer

__all__ = ["Heeding", "Stop", "looking_out"]

POLL = 0.5
"""Seconds between two looks at what may ask for a stop."""


class Stop:
    """A wish that a drive end at its next boundary.  The first who asks decides why.

    Attributes
    ----------
    delivered : bool
        Whether a boundary was reached since.
    """

    def __init__(self) -> None:
        self._error: DgmmisError | None = None
        self._asked = threading.Event()
        self.delivered = False

    def ask(self, error: DgmmisError) -> None:
        """Have the drive end with `error`."""
        if self._error is None:
            self._error = error
            self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until somebody asks, for so long at most; tell whether somebody did."""
        return self._asked.wait(seconds)

    def check(self) -> None:
        """Raise what was asked for, if anything was."""
        if self._error is not None:
            self.delivered = True
            raise self._error


class Heeding:
    """An `Observer` that passes on what it hears, and ends the drive there once a stop was asked for.

    Parameters
    ----------
    observer : Observer
    stop : Stop
        Whoever else has reason to end the drive asks this one too.
    """

    def __init__(self, observer: Observer, stop: Stop) -> None:
        self._observer, self.stop = observer, stop

    def on_stage(self, what: str) -> None:
        """Pass on, then heed."""
        self._observer.on_stage(what)
        self.stop.check()

    def on_start_pass(self, scan: Pass) -> None:
        """Pass on, then heed."""
        self._observer.on_start_pass(scan)
        self.stop.check()

    def on_segment(self, done: int, of: int) -> None:
        """Pass on, then heed."""
        self._observer.on_segment(done, of)
        self.stop.check()

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Pass on, then heed: the pass is stored by now."""
        self._observer.on_pass(scan, log_likelihoods, rows)
        self.stop.check()


@contextmanager
def looking_out(look: Callable[[], DgmmisError | None], stop: Stop) -> Iterator[None]:
    """Look every half second whether `look` returns a reason to stop, and ask for it then.

    A look that fails (storage that does not answer) is taken for none; the next one may succeed.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            try:
                error = look()
            except (DgmmisError, OSError):
                continue
            if error is not None:
                stop.ask(error)
                return

    watcher = threading.Thread(target=watch, name="dgmmis-looking-out", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
