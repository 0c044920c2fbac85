"""Which tasks were on a worker when it died, as the scheduler's log of events tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client

from dgmmis.cluster.bounded import UNANSWERED

__all__ = ["Deaths"]

TOPIC = "all"
"""Where Dask's scheduler logs that a worker was removed, and which tasks it had."""


class Deaths:
    """Hears of workers that died while they had tasks.

    Nothing is asked of workers, which may die within a millisecond of beginning a task.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._new: SimpleQueue[tuple[str, frozenset[str]]] = SimpleQueue()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Listen for as long as the context lasts."""
        self.listen()
        try:
            yield
        finally:
            with suppress(*UNANSWERED):
                self._client.unsubscribe_topic(TOPIC)

    def listen(self) -> None:
        """Begin to listen, also again after the connection was lost."""
        with suppress(*UNANSWERED):
            self._client.subscribe_topic(TOPIC, self._hear)

    def taken(self) -> list[tuple[str, frozenset[str]]]:
        """Addresses that died since the last call, and the keys of the tasks that each had."""
        taken = []
        with suppress(Empty):
            while True:
                taken.append(self._new.get_nowait())
        return taken

    def _hear(self, event: tuple[float, Any]) -> None:
        _, what = event
        if isinstance(what, dict) and what.get("action") == "remove-worker" and not what.get("expected"):
            self._new.put((str(what.get("worker")), frozenset(map(str, what.get("processing-tasks", ())))))
