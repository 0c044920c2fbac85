"""Keeps a pass going while workers die, and ends it with an error when nothing moves any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Client, Future, LocalCluster, wait

from dgmmis.errors import ClusterLost, DgmmisError, InvalidSetting

__all__ = ["PROGRESS_DEADLINE", "Supervisor", "require_client"]

PROGRESS_DEADLINE = 300.0
POLL = 1.0
RESULT_TIMEOUT = 20.0
PATIENCE = 24
"""Deadlines to wait while living workers say that they compute: a segment may rightly take long."""
MOST_FAILURES = 20
"""Failures of one segment that are not ours before it is given up."""

Bounds = tuple[int, int]
Submit = Callable[[Bounds, Any, str | None], Future[Any]]


def require_client(client: object) -> None:
    """Refuse what is no client of a Dask cluster, by `InvalidSetting`."""
    if client is not None and not isinstance(client, Client):
        raise InvalidSetting(
            f"client is {client!r}; expected a distributed.Client, or None to compute in this process."
        )


class Supervisor:
    """Runs the segments of each pass on a cluster whose workers may die at any moment.

    Dask itself recomputes what a dead worker owed.  Beyond that: segments whose inputs were lost are sent
    out again; a local cluster whose nannies gave up is scaled back to its size; and no finished segment
    within the deadline is an error, because a cluster can lose all its workers without a word.

    Parameters
    ----------
    client : distributed.Client
    progress_deadline : float
        [s]
    on_segment : callable, optional
        Called with (segments done, segments in all).
    """

    def __init__(
        self, client: Client, progress_deadline: float, on_segment: Callable[[int, int], None] | None = None
    ) -> None:
        require_client(client)
        self._client = client
        self._deadline = progress_deadline
        self._on_segment = on_segment
        self._size = len(client.cluster.workers) if isinstance(client.cluster, LocalCluster) else 0
        self._homes: dict[Bounds, str] = {}
        self.resubmitted = 0

    def n_threads(self) -> int:
        """Worker threads of the cluster; waits for the first worker.

        Raises
        ------
        ClusterLost
            If no worker comes within the deadline.
        """
        try:
            self._client.wait_for_workers(1, timeout=self._deadline)
        except TimeoutError as error:
            raise self._lost("no worker has joined") from error
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def run(self, segments: list[Bounds], submit: Submit, parameters: Any) -> Iterator[Any]:
        """Yield the result of each segment, in order of arrival.

        The parameters travel with every task.  Scattering them once per pass would save bytes, but their
        replicas die with workers, and a worker's death during a broadcast fails it with a bare KeyError.

        Parameters
        ----------
        segments : list of (first chunk, one past the last)
        submit : callable
            Sends one segment out: (bounds, parameters, preferred worker or None) -> Future.
        parameters : object
            What every segment needs.

        Raises
        ------
        DgmmisError
            What a worker raised of this package's errors.
        ClusterLost
            If the cluster makes no progress within the deadline.
        """
        todo, failures = set(segments), dict.fromkeys(segments, 0)
        pending: dict[Bounds, Future[Any]] = {}
        last_progress = last_sign = time.monotonic()
        while todo:
            self._revive()
            self._send(todo - set(pending), submit, parameters, pending)
            self._wait(pending)
            for bounds in sorted(pending):
                finished, result = self._collect(bounds, pending, failures)
                if finished:
                    todo.discard(bounds)
                    last_progress = time.monotonic()
                    if self._on_segment is not None:
                        self._on_segment(len(segments) - len(todo), len(segments))
                    yield result
            now = time.monotonic()
            last_sign = max(last_sign, last_progress)
            if now - last_sign > self._deadline / 2 and self._is_working():
                last_sign = now
            if now - last_sign > self._deadline or now - last_progress > PATIENCE * self._deadline:
                raise self._lost(f"no segment finished for {now - last_progress:.0f} s")

    def _send(
        self, missing: set[Bounds], submit: Submit, parameters: Any, pending: dict[Bounds, Future[Any]]
    ) -> None:
        for bounds in sorted(missing):
            try:
                pending[bounds] = submit(bounds, parameters, self._homes.get(bounds))
            except (TimeoutError, OSError, KeyError, CancelledError):
                return  # a worker died while data were sent to it; the deadline decides how often this is tried

    def _wait(self, pending: dict[Bounds, Future[Any]]) -> None:
        """Wait until something changes, or for a moment."""
        if not pending:
            time.sleep(POLL)
            return
        with suppress(TimeoutError, CancelledError):
            wait(list(pending.values()), timeout=POLL, return_when="FIRST_COMPLETED")

    def _collect(
        self, bounds: Bounds, pending: dict[Bounds, Future[Any]], failures: dict[Bounds, int]
    ) -> tuple[bool, Any]:
        """Take a finished segment's result; drop a failed one from `pending` so that it is sent again."""
        future = pending[bounds]
        if future.status == "pending":
            return False, None
        try:
            result = future.result(timeout=RESULT_TIMEOUT)
        except DgmmisError:
            raise
        except (Exception, CancelledError) as error:
            if isinstance(error, TimeoutError) and future.status != "error":
                return (
                    False,
                    None,
                )  # finished, but its worker died before the result was fetched: being redone
            failures[bounds] += 1
            if failures[bounds] >= MOST_FAILURES:
                raise self._lost(
                    f"chunks {bounds[0]}..{bounds[1] - 1} failed {failures[bounds]} times, last with "
                    f"{type(error).__name__}: {error}"
                ) from error
            self.resubmitted += 1
            del pending[bounds]
            return False, None
        self._remember_home(bounds, future)
        del pending[bounds]
        return True, result

    def _is_working(self) -> bool:
        """Tell whether a worker that the scheduler hears from has a task in hand."""
        with suppress(TimeoutError, OSError, CancelledError):
            return any(self._client.processing().values())
        return False

    def _remember_home(self, bounds: Bounds, future: Future[Any]) -> None:
        if bounds in self._homes:
            return
        with suppress(TimeoutError, OSError, CancelledError):  # only a preference for the next pass
            homes = self._client.who_has([future]).get(future.key, ())
            if homes:
                self._homes[bounds] = next(iter(homes))

    def _revive(self) -> None:
        """Bring a local cluster back to its size; a foreign cluster is its owner's."""
        cluster: Any = self._client.cluster
        if self._size and len(cluster.workers) < self._size:
            cluster.scale(self._size)

    def _lost(self, what: str) -> ClusterLost:
        return ClusterLost(
            f"{what}. Checkpoints are kept: look at the cluster's logs and resume the run on it or another."
        )
