"""A local cluster is brought back to its size."""

from __future__ import annotations

from typing import Any

from distributed import Status

__all__ = ["revive"]

GIVEN_UP = (Status.closed, Status.closing, Status.failed)


def revive(cluster: Any, size: int) -> None:
    """Start what is missing.

    A nanny whose worker could not register, because the scheduler had not yet heard of the death of the one before,
    closes itself, and the cluster goes on counting it: such ones are struck off first.

    Parameters
    ----------
    cluster : distributed.LocalCluster
    size : int
        Workers that it had.
    """
    workers: dict[Any, Any] = cluster.workers
    given_up = [name for name, nanny in list(workers.items()) if nanny.status in GIVEN_UP]

    def strike_off() -> None:
        for name in given_up:
            workers.pop(name, None)

    if given_up:
        cluster.loop.add_callback(strike_off)
    if len(workers) - len(given_up) < size:
        cluster.scale(size)
