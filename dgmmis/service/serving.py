"""The server of a root: drives what waits there, one run after another or several at a time.

It keeps nothing to itself.  What is to be done follows from the run folders, who may do it from their locks: it can
be killed, started again, and started twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dgmmis.cluster import Access
from dgmmis.cluster.local import require_sensible
from dgmmis.errors import (
    ClusterLost,
    DgmmisError,
    InvalidSetting,
    MemoryPlanExceeded,
    ObjectStoreError,
    RunInterrupted,
    RunLocked,
    StorageFailed,
)
from dgmmis.local_pass import processors
from dgmmis.places import local_path
from dgmmis.runs import RunFolder, open_run
from dgmmis.service.drivers import Driver, Outcome
from dgmmis.service.root import Root, Waiting
from dgmmis.service.summary import ENDED
from dgmmis.signal_stops import heeding_signals
from dgmmis.stopping import Stop
from dgmmis.trust import NOBODY

__all__ = ["Means", "serve"]

Tell = Callable[[str, dict[str, Any]], None]

POLL = 0.5
CANCEL_SECONDS = 8.0
"""After which a driver that was cancelled and did not stop is killed."""
STOP_SECONDS = 12.0
"""The same, when the server stops."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds before something that failed is tried again; doubled each time."""
LOCKED_PAUSE = 5.0
MOST_TRIES = 5
"""Attempts without a finished pass before a run is called FAILED."""
MOST_LOSSES = 10
"""Losses of the cluster without a finished pass before the server ends."""
HOPELESS = {InvalidSetting.exit_code, MemoryPlanExceeded.exit_code}
STORAGE = {StorageFailed.exit_code, ObjectStoreError.exit_code}
"""The disk or the object store failed, which is no fault of the run: it is waited for."""


@dataclass(frozen=True)
class Means:
    """What runs are driven with.

    Attributes
    ----------
    cluster : str
        Address of a scheduler, or "local": each run gets workers of its own on this machine.
    workers, threads : int or None
        Of a local cluster, where a request wishes nothing else; 0 workers: threads of the driving process.
    memory_limit : str or int
        Of each worker.
    access : Access
        Certificates for a scheduler that is reached by `tls://`.
    """

    cluster: str = "local"
    workers: int | None = None
    threads: int = 1
    memory_limit: str | int = "auto"
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        if self.cluster != "local":
            self.access.security(self.cluster)  # refused here instead of by each run
        if self.workers != 0:
            require_sensible(self.workers, self.threads, self.memory_limit)

    def order(self, wish: dict[str, Any], at_once: int) -> dict[str, Any]:
        """Say with what a run is to be driven that wishes this, beside others."""
        found = {**asdict(self), **{key: wish[key] for key in WISHES if wish.get(key) is not None}}
        if found["workers"] is None:
            require_sensible(None, found["threads"], found["memory_limit"])
            found["workers"] = max(1, processors() // found["threads"] // at_once)
        return found


WISHES = ("workers", "threads", "memory_limit")


def serve(
    runs: str | Path,
    *,
    means: Means | None = None,
    at_once: int = 1,
    drain: bool = False,
    tell: Tell = lambda event, fields: None,
) -> None:
    """Drive the queued and interrupted runs of a root until SIGTERM, SIGINT, or, if so wished, none is left.

    Each run is driven by a process of its own.  One that fails stops no other; one that fails again and again without
    finishing a pass is called FAILED, with the reason.  A lost cluster, a full disk and an object store that does not
    answer are tried again, after pauses of 5 to 60 s.

    Parameters
    ----------
    runs : path
        The root; made if it is not there.
    means : Means, optional
        Default: workers of its own on this machine.
    at_once : int
        Runs at a time.
    drain : bool
        End when no run waits any more.
    tell : callable, optional
        Told of everything that happens: (event, fields).

    Raises
    ------
    ClusterLost
        If the cluster was lost ten times without a finished pass in between.
    """
    if at_once < 1:
        raise InvalidSetting(f"at_once is {at_once}; at least 1 run at a time is driven.")
    root, stop = local_path(runs), Stop()
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            stack.enter_context(heeding_signals(stop, f"go on with: dgmmis serve --runs {root}"))
        server = _Server(Root(root), means or Means(), at_once, tell)
        tell("serving", {"runs": str(root), "process": os.getpid(), "at_once": at_once})
        try:
            server.work(stop, drain)
        except RunInterrupted as error:
            tell("stopping", {"signal": error.signal})
        finally:
            server.close()
            tell("ended", dict(server.ends))


class _Server:
    def __init__(self, root: Root, means: Means, at_once: int, tell: Tell) -> None:
        self._root, self._means, self._at_once, self._tell = root, means, at_once, tell
        self._drivers: dict[Path, Driver] = {}
        self._tries: dict[Path, int] = {}
        self._storage_failures: dict[Path, int] = {}
        self._not_before: dict[Path, float] = {}
        self._losses, self._cluster_not_before = 0, 0.0
        self.ends: Counter[str] = Counter()

    def work(self, stop: Stop, drain: bool) -> None:
        """Start what can be started and settle what ended, until told to stop; or none is left."""
        while True:
            stop.check()
            self._look_after()
            waiting = self._root.waiting(self._tell)
            self._start([one for one in waiting if one.path not in self._drivers])
            if drain and not waiting and not self._drivers:
                return
            stop.wait(POLL)

    def close(self) -> None:
        """Stop all drivers at their next boundaries; those that do not reach one in time are killed."""
        for driver in self._drivers.values():
            driver.terminate()
        give_up = time.monotonic() + STOP_SECONDS
        for path, driver in self._drivers.items():
            outcome = driver.outcome(max(0.0, give_up - time.monotonic()))
            if outcome is None:
                driver.kill()
                outcome = driver.outcome(STOP_SECONDS)
            fields = {"run": str(path), "state": driver.run.state()}
            self._tell(
                "left", {**fields, "reason": outcome.message if outcome else "its process does not end"}
            )
        self._drivers.clear()

    def _start(self, waiting: list[Waiting]) -> None:
        now = time.monotonic()
        if now < self._cluster_not_before:
            return
        ready = [one for one in waiting if now >= self._not_before.get(one.path, 0.0)]
        for one in ready[: self._at_once - len(self._drivers)]:
            with self._sparing_others(one.path):
                run = open_run(one.path, trust=NOBODY)
                order = self._means.order(run.requests.last(), self._at_once)
                self._drivers[run.folder] = driver = Driver(run, {**order, "attempts": one.attempts})
                self._tell("driving", {"run": str(run.path), "process": driver.pid})

    def _look_after(self) -> None:
        for path, driver in list(self._drivers.items()):
            with self._sparing_others(path):
                if driver.is_overdue(CANCEL_SECONDS):
                    driver.kill()
                outcome = driver.outcome()
                if outcome is not None:
                    del self._drivers[path]
                    self._settle(driver, outcome)

    @contextmanager
    def _sparing_others(self, path: Path) -> Iterator[None]:
        """Keep what one run's folder does not give or take from ending the server; it is looked at again later."""
        try:
            yield
        except ClusterLost:
            raise
        except (DgmmisError, OSError, ValueError, KeyError) as error:
            self._not_before[path] = time.monotonic() + LONGEST_PAUSE
            self._tell("failed", {"run": str(path), "reason": str(error), "again_in_seconds": LONGEST_PAUSE})

    def _settle(self, driver: Driver, outcome: Outcome) -> None:
        """Decide what becomes of a run whose process ended."""
        path, state = driver.run.folder, driver.run.state()
        if driver.progressed() or outcome.code == 0:
            self._tries.pop(path, None)
            self._storage_failures.pop(path, None)
            self._losses = 0
        if outcome.code == 0 or state in ENDED:
            self.ends[state] += 1
            self._tell("done", {"run": str(path), "state": state, "reason": outcome.message})
        elif outcome.code == RunLocked.exit_code:
            self._not_before[path] = time.monotonic() + LOCKED_PAUSE
            self._tell("driven by another", {"run": str(path), "reason": outcome.message})
        elif outcome.code == ClusterLost.exit_code:
            self._lose(path, outcome)
        elif outcome.code in STORAGE:
            self._wait_for_storage(path, outcome)
        else:
            self._fail(driver.run, outcome)

    def _lose(self, path: Path, outcome: Outcome) -> None:
        self._losses += 1
        if self._losses >= MOST_LOSSES:
            raise ClusterLost(
                f"the cluster was lost {self._losses} times without a finished pass, last: {outcome.message} The runs "
                "keep their checkpoints; start the server again when the cluster is there."
            )
        pause = _pause(self._losses)
        self._cluster_not_before = time.monotonic() + pause
        fields = {"run": str(path), "reason": outcome.message, "loss": self._losses, "of": MOST_LOSSES}
        self._tell("cluster lost", {**fields, "again_in_seconds": pause})

    def _wait_for_storage(self, path: Path, outcome: Outcome) -> None:
        times = self._storage_failures[path] = self._storage_failures.get(path, 0) + 1
        pause = _pause(times)
        self._not_before[path] = time.monotonic() + pause
        fields = {"run": str(path), "reason": outcome.message, "time": times}
        self._tell("storage failed", {**fields, "again_in_seconds": pause})

    def _fail(self, run: RunFolder, outcome: Outcome) -> None:
        tries = self._tries[run.folder] = self._tries.get(run.folder, 0) + 1
        reason = f"{outcome.error}: {outcome.message}" if outcome.error else outcome.message
        if outcome.code not in HOPELESS and tries < MOST_TRIES:
            pause = _pause(tries)
            self._not_before[run.folder] = time.monotonic() + pause
            fields = {"run": str(run.path), "reason": reason, "try": tries, "of": MOST_TRIES}
            self._tell("failed", {**fields, "again_in_seconds": pause})
            return
        if tries > 1:
            reason = f"driven {tries} times without finishing a pass; last: {reason}"
        self._tries.pop(run.folder, None)
        run.give_up(reason)
        self.ends[run.state()] += 1
        self._tell("given up", {"run": str(run.path), "state": run.state(), "reason": reason})


def _pause(times: int) -> float:
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (times - 1)))
