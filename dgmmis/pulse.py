"""The pulse of an attempt: what its driver is doing at this moment, for whoever watches the run folder.

It is one small file, `pulse.json`, that is written over every few seconds.  Nothing is computed from it: the trace and
the checkpoints tell what was done.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dgmmis.errors import DgmmisError
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass
from dgmmis.observer import Observer
from dgmmis.runs import RunFolder
from dgmmis.vitals import Vitals

__all__ = ["PULSE", "Pulse", "pulsing"]

PULSE = "pulse.json"
FIRST = 5.0
"""Seconds until the first one: a fit that is over by then needs none."""
EVERY = 2.0


class Pulse:
    """An `Observer` that passes on what it hears, and remembers it.

    Parameters
    ----------
    observer : Observer
    attempt : int
    """

    def __init__(self, observer: Observer, attempt: int) -> None:
        self._observer, self._attempt = observer, attempt
        self._ask: Callable[[], Vitals] = Vitals
        self._now: dict[str, Any] = {"stage": "", "done": 0, "of": 0, "start_passes": 0, "next_pass": None}
        self._began = self._moved = time.monotonic()

    @property
    def vitals(self) -> Vitals:
        """How those who make the passes are."""
        return self._ask()

    def listen_to(self, ask: Callable[[], Vitals]) -> None:
        """Ask so from now on how those are who make the passes."""
        self._ask = ask

    def on_stage(self, what: str) -> None:
        """Note that a stage begins."""
        self._note(stage=what, done=0, of=0)
        self._began = self._moved
        self._observer.on_stage(what)

    def on_start_pass(self, scan: Pass) -> None:
        """Note a pass over the random sample."""
        self._note(start_passes=self._now["start_passes"] + 1)
        self._observer.on_start_pass(scan)

    def on_segment(self, done: int, of: int) -> None:
        """Note how far the pass is; that nothing changed is no sign of progress."""
        if (done, of) != (self._now["done"], self._now["of"]):
            if done <= self._now["done"]:
                self._began = self._moved
            self._note(done=done, of=of)
        self._observer.on_segment(done, of)

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Note that a pass is done."""
        self._note(done=0, of=0, next_pass=scan.number + 1)
        self._began = self._moved
        self._observer.on_pass(scan, log_likelihoods, rows)

    def content(self) -> dict[str, Any]:
        """Say what is going on.

        Returns
        -------
        dict
            `time` [s since 1970], `attempt`, `stage`, `done` and `of` segments, `start_passes` over the random sample,
            `next_pass`; seconds since what is under way began (`seconds`) and since anything moved (`still_seconds`);
            and the fields of `Vitals`.
        """
        now = time.monotonic()
        return {
            "time": time.time(),
            "attempt": self._attempt,
            **self._now,
            "seconds": now - self._began,
            "still_seconds": now - self._moved,
            **asdict(self.vitals),
        }

    def _note(self, **changed: Any) -> None:
        self._now = {**self._now, **changed}
        self._moved = time.monotonic()


@contextmanager
def pulsing(run: RunFolder, attempt: int, observer: Observer) -> Iterator[Pulse]:
    """Give an observer whose pulse a thread writes into the run's folder while the context lasts.

    A run in an object store has none: there each write is a request that costs.
    """
    pulse, over = Pulse(observer, attempt), threading.Event()
    if not isinstance(run.path, Path):
        yield pulse
        return

    def beat() -> None:
        wait = FIRST
        while not over.wait(wait):
            with suppress(
                DgmmisError, OSError
            ):  # a disk that does not take it will say so at the next checkpoint
                run.place.replace(PULSE, json.dumps(pulse.content()).encode())
            wait = EVERY

    thread = threading.Thread(target=beat, name="dgmmis-pulse", daemon=True)
    thread.start()
    try:
        yield pulse
    finally:
        over.set()
        thread.join()
