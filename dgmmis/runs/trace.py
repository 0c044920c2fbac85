"""The trace of an attempt: one JSON object per line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from dgmmis.disk_faults import naming_faults

__all__ = ["Trace", "read_trace"]


class Trace:
    """Appends events to a JSON-lines file; every line has `event` and `time` [s since 1970]."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.  A number that JSON lacks (infinity) is written as null."""
        record = {"event": event, "time": time.time(), **fields}
        line = json.dumps(_finite(record)) + "\n"
        with naming_faults(self.path, len(line)), open(self.path, "a", encoding="utf-8") as file:
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
    with naming_faults(path):
        lines = path.read_bytes().splitlines()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            break
        if not isinstance(event, dict) or "event" not in event:
            break
        events.append(event)
    return events
