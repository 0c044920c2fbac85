"""How a task is sent out: to which workers, and with the check that the worker computes as the driver does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future

from dgmmis.cluster.worker_check import alike, announcing

__all__ = ["Placement", "Sender"]


@dataclass(frozen=True)
class Placement:
    """Where a segment should go.

    Attributes
    ----------
    workers : tuple of str
        Preferred; anywhere if empty.  Never a demand: a task that is pinned to a worker hangs if that dies.
    anew : bool
        Whether data that were sent before must be sent again, to one of `workers`.
    announced : bool
        Whether the worker is to say that it begins.
    """

    workers: tuple[str, ...] = ()
    anew: bool = False
    announced: bool = False


@dataclass(frozen=True)
class Sender:
    """Sends tasks to the workers of a client.

    Attributes
    ----------
    client : distributed.Client
    expected : dict or None
        What a worker must be like to take a task; None takes any.
    """

    client: Client
    expected: Mapping[str, str] | None = None

    def __call__(self, placement: Placement, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Send one task out."""
        where = {"workers": list(placement.workers), "allow_other_workers": True} if placement.workers else {}
        key = f"{function.__name__}-{uuid.uuid4().hex}"
        call = announcing if placement.announced else alike
        return self.client.submit(call, self.expected, function, *args, key=key, pure=False, **where)
