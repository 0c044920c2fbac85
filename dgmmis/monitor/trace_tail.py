"""The trace of a run as it grows: what was read once is not read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dgmmis.plain_files import open_plain
from dgmmis.runs import RunFolder
from dgmmis.runs.trace import event_of

__all__ = ["TraceTail"]

MOST = 64 << 20
"""Bytes that are read at a time."""


class TraceTail:
    """All events of all attempts of a run so far.

    Parameters
    ----------
    run : RunFolder
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._read: dict[int, int] = {}
        self._events: dict[int, list[dict[str, Any]]] = {}

    def events(self) -> list[dict[str, Any]]:
        """Read what is new, and list everything in order, each with its `attempt`."""
        count = self._run.n_attempts()
        for attempt in range(1, count + 1):
            if attempt >= count - 1 or attempt not in self._events:
                self._look(attempt)
        return [event for attempt in range(1, count + 1) for event in self._events[attempt]]

    def _look(self, attempt: int) -> None:
        known = self._events.setdefault(attempt, [])
        if not isinstance(self._run.path, Path):
            read = self._run.open_trace(attempt).read()
            known[:] = [{**event, "attempt": attempt} for event in read]
            return
        path = self._run.path / "log" / f"{attempt:04d}.jsonl"
        if not path.exists():
            return
        begin = self._read.get(attempt, 0)
        with open_plain(path) as file:
            file.seek(begin)
            content = file.read(MOST)
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.decode("utf-8", "replace").splitlines():
            event = event_of(line)
            if event is not None:
                known.append({**event, "attempt": attempt})
        self._read[attempt] = begin + len(whole)
