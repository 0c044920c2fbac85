"""The trace of an attempt: one JSON object per line."""

from __future__ import annotations

import json
import time
from typing import Any

from dgmmis.plain_files import as_json
from dgmmis.runs.place import Place

__all__ = ["Trace", "event_of"]

MOST_TRACE = 1 << 30
"""Bytes of a trace: ten million passes of a small mixture."""
NUMBERS = {"pass": ("number", "seconds", "rows_per_second"), "start": ("seconds",)}
"""What an event tells of."""


class Trace:
    """The events of an attempt; every line has `event` and `time` [s since 1970]."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name = place, name

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.  A number that JSON lacks (infinity) is written as null."""
        record = {"event": event, "time": time.time(), **fields}
        self._place.append_line(self._name, json.dumps(_finite(record)))

    def read(self) -> list[dict[str, Any]]:
        """All whole lines, up to one that a crash cut off or that was altered."""
        events = []
        for line in self._place.lines(self._name, MOST_TRACE):
            event = event_of(line)
            if event is None:
                break
            events.append(event)
        return events


def event_of(line: str) -> dict[str, Any] | None:
    """Read a line of a trace; None if a crash cut it off, or it was altered."""
    try:
        event = as_json(line)
    except ValueError:
        return None
    return event if _makes_sense(event) else None


def _finite(record: Any) -> Any:
    if isinstance(record, dict):
        return {key: _finite(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [_finite(value) for value in record]
    if isinstance(record, float) and record - record != 0:
        return None
    return record


def _makes_sense(event: object) -> bool:
    """Tell whether this is an event with what readers of a trace count on."""
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return False
    wanted = NUMBERS.get(event["event"], ())
    return all(isinstance(event.get(name), int | float) for name in wanted) and (
        event["event"] != "pass" or isinstance(event.get("amplitudes"), list)
    )
