"""The pulse of a run as whoever watches it sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from dgmmis.errors import DgmmisError
from dgmmis.monitor.record import PulseRecord
from dgmmis.plain_files import MOST_JSON, as_json
from dgmmis.pulse import PULSE
from dgmmis.runs.place import Place
from dgmmis.vitals import OldestSegment, WorkerVitals

__all__ = ["PulseWatch"]


class PulseWatch:
    """Reads the pulse, and tells how long it has not changed.

    Clocks of two machines are not compared: a pulse is as old as it was seen unchanged.

    Parameters
    ----------
    place : Place
    clock : callable
        Seconds, never set back.
    """

    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._place, self._clock = place, clock
        self._content, self._since = b"", clock()

    def look(self, attempt: int) -> PulseRecord | None:
        """Read the pulse of an attempt; None if it has none, or one that makes no sense."""
        try:
            content = self._place.read(PULSE, MOST_JSON) if self._place.exists(PULSE) else b""
        except (DgmmisError, OSError):
            return None
        if content != self._content:
            self._content, self._since = content, self._clock()
        try:
            said = as_json(content)
            return _pulse(said, self._clock() - self._since) if said["attempt"] == attempt else None
        except (ValueError, TypeError, KeyError):
            return None


def _pulse(said: Mapping[str, Any], age: float) -> PulseRecord:
    oldest = said["oldest"]
    return PulseRecord(
        str(said["stage"]),
        int(said["done"]),
        int(said["of"]),
        int(said["start_passes"]),
        -1 if said["next_pass"] is None else int(said["next_pass"]),
        float(said["seconds"]),
        float(said["still_seconds"]),
        age,
        tuple(_worker(one) for one in said["workers"]),
        int(said["resubmitted"]),
        int(said["deaths"]),
        None
        if oldest is None
        else OldestSegment(
            int(oldest["first"]), int(oldest["last"]), float(oldest["seconds"]), str(oldest["worker"])
        ),
    )


def _worker(said: Mapping[str, Any]) -> WorkerVitals:
    memory, limit = said["memory"], said["memory_limit"]
    return WorkerVitals(
        str(said["name"]),
        int(said["threads"]),
        int(said["tasks"]),
        None if memory is None else int(memory),
        None if limit is None else int(limit),
        bool(said["heard"]),
    )
