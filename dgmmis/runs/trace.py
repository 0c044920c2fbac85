"""The trace of an attempt: one JSON object per line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from dgmmis.disk_faults import naming_faults
from dgmmis.plain_files import append_plain, as_json
from dgmmis.runs.objects import read_object

__all__ = ["Trace", "read_trace"]

MOST_TRACE = 1 << 30
"""Bytes of a trace: ten million passes of a small mixture."""
NUMBERS = {"pass": ("number", "seconds", "rows_per_second"), "start": ("seconds",)}
"""What an event tells of."""


class Trace:
    """Appends events to a JSON-lines file; every line has `event` and `time` [s since 1970]."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.  A number that JSON lacks (infinity) is written as null."""
        record = {"event": event, "time": time.time(), **fields}
        line = json.dumps(_finite(record)) + "\n"
        with naming_faults(self.path, len(line)), append_plain(self.path) as file:
            file.write(line)


def _finite(record: Any) -> Any:
    if isinstance(record, dict):
        return {key: _finite(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [_finite(value) for value in record]
    if isinstance(record, float) and record - record != 0:
        return None
    return record


def read_trace(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a trace, up to one that a crash cut off or that was altered."""
    if not path.exists():
        return []
    events = []
    for line in read_object(path, MOST_TRACE).decode("utf-8", "replace").splitlines():
        try:
            event = as_json(line)
        except ValueError:
            break
        if not _makes_sense(event):
            break
        events.append(event)
    return events


def _makes_sense(event: object) -> bool:
    """Tell whether this is an event with what readers of a trace count on."""
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return False
    wanted = NUMBERS.get(event["event"], ())
    return all(isinstance(event.get(name), int | float) for name in wanted) and (
        event["event"] != "pass" or isinstance(event.get("amplitudes"), list)
    )
