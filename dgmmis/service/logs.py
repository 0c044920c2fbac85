"""A run's log, as it is and as it grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dgmmis.runs import RunFolder
from dgmmis.service.summary import ENDED

__all__ = ["follow"]

POLL = 0.5


def follow(run: RunFolder, *, until_ended: bool) -> Iterator[dict[str, Any]]:
    """Yield the events of all attempts in order; if so wished, also those to come, until the run has ended."""
    told = 0
    while True:
        over = not until_ended or run.state() in ENDED  # asked before the log is read: nothing comes after
        events = run.trace()
        yield from events[told:]
        told = len(events)
        if over:
            return
        time.sleep(POLL)
