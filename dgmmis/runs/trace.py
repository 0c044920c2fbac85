"""The trace of an attempt: one JSON object per line."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

__all__ = ["Trace", "read_trace"]


class Trace:
    """Appends events to a JSON-lines file; every line has `event` and `time` [s since 1970]."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.  A number that JSON lacks (infinity) is written as null."""
        record = {"event": event, "time": time.time(), **fields}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(record)) + "\n")


def _finite(record: Any) -> Any:
    if isinstance(record, dict):
        return {key: _finite(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [_finite(value) for value in record]
    if isinstance(record, float) and record - record != 0:
        return None
    return record


def read_trace(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a trace; a line cut off by a crash is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            break
    return events
