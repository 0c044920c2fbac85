"""Clients and clusters are closed in bounded time, whatever has become of their processes."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from distributed import Client, LocalCluster

from dgmmis.cluster.bounded import UNANSWERED, within

__all__ = ["closed_in_time"]

LOG = logging.getLogger(__name__)
PATIENCE = 20.0
"""[s] Dask's nannies kill a worker that has not ended after 4 s."""

ABANDONED: list[Client | LocalCluster] = []
"""Kept until the end of the process: Dask warns of a cluster that is collected and was never closed."""

Opened = TypeVar("Opened", Client, LocalCluster)


@contextmanager
def closed_in_time(opened: Opened) -> Iterator[Opened]:
    """Close a client or a cluster of ours at the end; what does not close in time is left, its processes killed."""
    try:
        yield opened
    finally:
        pids = _worker_pids(opened)
        try:
            within(PATIENCE, opened.close, timeout=PATIENCE)
        except UNANSWERED as error:
            LOG.info("closing %r was given up: %r", opened, error)
            ABANDONED.append(opened)
        for (
            process
        ) in multiprocessing.active_children():  # children only: a number may have gone to another process
            if process.pid in pids:
                process.kill()


def _worker_pids(opened: Any) -> set[int]:
    """Collect the worker processes of a cluster of ours; a client has none."""
    if not isinstance(opened, LocalCluster):
        return set()
    return {pid for nanny in opened.workers.values() if (pid := getattr(nanny, "pid", None))}
