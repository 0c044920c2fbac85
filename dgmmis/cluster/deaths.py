"""Which tasks were on a worker when it died, as the scheduler's log of events tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client

from dgmmis.cluster.bounded import UNANSWERED
from dgmmis.cluster.worker_check import BEGUN

__all__ = ["Beginning", "Death", "Deaths"]

TOPIC = "all"
"""Where Dask's scheduler logs that a worker was removed, and which tasks it had."""


@dataclass(frozen=True)
class Death:
    """A worker died, having these tasks."""

    worker: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Beginning:
    """A worker began a task."""

    key: str


class Deaths:
    """Hears of workers that died while they had tasks.

    Nothing is asked of workers, which may die within a millisecond of beginning a task; only those that are to
    announce it do so.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._new: SimpleQueue[Death | Beginning] = SimpleQueue()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Listen for as long as the context lasts."""
        self.listen()
        try:
            yield
        finally:
            for topic in (TOPIC, BEGUN):
                with suppress(*UNANSWERED):
                    self._client.unsubscribe_topic(topic)

    def listen(self) -> None:
        """Begin to listen, also again after the connection was lost."""
        with suppress(*UNANSWERED):
            self._client.subscribe_topic(TOPIC, self._hear)
            self._client.subscribe_topic(BEGUN, lambda event: self._new.put(Beginning(str(event[1]))))

    def taken(self) -> list[Death | Beginning]:
        """List what has happened since the last call, in order."""
        taken: list[Death | Beginning] = []
        with suppress(Empty):
            while True:
                taken.append(self._new.get_nowait())
        return taken

    def _hear(self, event: tuple[float, Any]) -> None:
        _, what = event
        if isinstance(what, dict) and what.get("action") == "remove-worker" and not what.get("expected"):
            self._new.put(
                Death(str(what.get("worker")), frozenset(map(str, what.get("processing-tasks", ()))))
            )
