"""A run as whoever submitted it holds it: it reads the folder, and computes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmmis.model import Model
from dgmmis.runs import RunFolder, open_run
from dgmmis.service.summary import ENDED, run_summary
from dgmmis.trust import NOBODY

if TYPE_CHECKING:
    from dgmmis.monitor.widget import RunWidget

__all__ = ["Run", "cancel"]

POLL = 0.5


@dataclass(frozen=True)
class Run:
    """A run, wherever it is driven.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its name under its root."""
        return self.path.name

    @property
    def folder(self) -> RunFolder:
        """What lies there; functions that it names are imported by nothing but `open_run`."""
        return open_run(self.path, trust=NOBODY)

    @property
    def state(self) -> str:
        """Its state now, as of `RunFolder.state`."""
        return self.folder.state()

    @property
    def status(self) -> dict[str, Any]:
        """What `dgmmis status --json` tells."""
        return run_summary(self.folder)

    @property
    def trace(self) -> list[dict[str, Any]]:
        """All events of all attempts, in order."""
        return self.folder.trace()

    def model(self) -> Model:
        """Return the model after its last pass; raises `NotARun` before the first one is done.

        Raises
        ------
        UntrustedFunction
            If it has a function, and the run was not begun from this account: `open_run(path, trust=...)` then.
        """
        return open_run(self.path).model()

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the run has ended, however, or for `timeout` seconds, and return its state then.

        A run that was interrupted has not ended: a server of its root takes it up again.
        """
        give_up = float("inf") if timeout is None else time.monotonic() + timeout
        while (state := self.state) not in ENDED and time.monotonic() < give_up:
            time.sleep(POLL)
        return state

    def watch(self, *, every: float = 1.0) -> RunWidget:
        """Show it in a notebook, as `dgmmis.watch` does."""
        from dgmmis.monitor.widget import watch

        return watch(self.path, every=every)

    def cancel(self) -> str:
        """Cancel it, as `cancel` does."""
        return cancel(self.path)

    def queue(
        self,
        *,
        tolerance: float | None = None,
        max_passes: int | None = None,
        workers: int | None = None,
        threads: int | None = None,
        memory_limit: str | int | None = None,
    ) -> None:
        """Ask a server of its root to go on with it, after any end, a cancel included.

        Parameters
        ----------
        tolerance, max_passes, workers, threads, memory_limit : optional
            By default as last asked for.
        """
        folder = self.folder
        budget = {"tolerance": tolerance, "max_passes": max_passes}
        means = {"workers": workers, "threads": threads, "memory_limit": memory_limit}
        number = folder.requests.put(
            {**_given(budget, folder.next_budget()), **_given(means, folder.requests.last())}
        )
        folder.requests.lift_cancel(f"requests/{number:04d}")


def _given(wishes: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    found = {key: before.get(key) if wish is None else wish for key, wish in wishes.items()}
    return {key: value for key, value in found.items() if value is not None}


def cancel(run: str | Path | Run | RunFolder, *, timeout: float = 15.0) -> str:
    """Cancel a run: its driver stops at the next boundary, and its last checkpoint is kept.

    Parameters
    ----------
    run : path, Run or RunFolder
    timeout : float
        Seconds to wait for the driver to stop.

    Returns
    -------
    str
        Its state then: CANCELLED; CANCELLING if its driver has not stopped yet; the state it has if it had
        ended before, which stays.
    """
    folder = open_run(run if isinstance(run, str | Path) else run.path, trust=NOBODY)
    state = folder.state()
    if state in ENDED:
        return state
    folder.requests.cancel()
    give_up = time.monotonic() + timeout
    while (state := folder.state()) in ("RUNNING", "CANCELLING") and time.monotonic() < give_up:
        time.sleep(0.1)
    return state
