"""One run driven by a process of its own, which the server started: `python -m dgmmis.service.child ORDER`.

A process for each run keeps a failure of one, whatever it is, from all others.  It ends when its parent does: the pipe
that is its standard input closes then.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmmis.cluster import Access, connect, local_cluster
from dgmmis.errors import DgmmisError, RunInterrupted
from dgmmis.observer import SilentObserver
from dgmmis.resuming import go_on
from dgmmis.runs import open_run
from dgmmis.signal_stops import heeding_signals
from dgmmis.stopping import Heeding, Stop

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["main"]

ORPHAN_SECONDS = 20.0
"""Left to a process without a parent until it is over."""


def main(order: dict[str, Any]) -> int:
    """Drive the run of an order and report on standard output; returns the exit code."""
    stop, way_on = Stop(), f"go on with: dgmmis resume {order['run']}"
    threading.Thread(target=_follow_parent, args=(stop, way_on), daemon=True).start()
    try:
        _find_functions(order["run"])
        with heeding_signals(stop, way_on), _means(order) as client:
            observer = Heeding(SilentObserver(), stop)
            result = go_on(order["run"], client=client, observer=observer, attempts=order["attempts"])
    except DgmmisError as error:
        _report({"error": type(error).__name__, "message": str(error)})
        return error.exit_code
    _report({"message": result.reason})
    return 0


@contextmanager
def _means(order: dict[str, Any]) -> Iterator[Client | None]:
    if order["cluster"] != "local":
        with connect(order["cluster"], access=_access(order["access"])) as client:
            yield client
    elif order["workers"] == 0:
        yield None
    else:
        with local_cluster(order["workers"], order["threads"], order["memory_limit"]) as client:
            yield client


def _access(said: dict[str, Any]) -> Access:
    ca, cert, key = (None if said[name] is None else Path(said[name]) for name in ("ca", "cert", "key"))
    return Access(ca, cert, key, said["insecure"])


def _find_functions(run: str) -> None:
    """Let a selection's module be imported from where the server was started, if this account began the run."""
    folder = open_run(run)
    if folder.names_functions and folder.trust.everything:
        sys.path.append(os.getcwd())


def _follow_parent(stop: Stop, way_on: str) -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock a thread that waits would hold when the process ends
        pass
    stop.ask(RunInterrupted(signal.SIGTERM, way_on))
    time.sleep(ORPHAN_SECONDS)
    os._exit(128 + signal.SIGTERM)


def _report(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
