"""Which workers a cluster has, which of them are heard from, and what they have in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from distributed import Client

from dgmmis.cluster.bounded import UNANSWERED, within
from dgmmis.errors import ClusterLost
from dgmmis.local_pass import processors
from dgmmis.vitals import WorkerVitals

__all__ = ["Roster", "known_workers", "means_of", "workers_of"]

SILENCE = 15.0
"""Seconds without a sign of life from which on nothing is sent to a worker; healthy ones are heard once a second."""
EVERY = 2.0
"""Seconds between two looks."""
PATIENCE = 10.0
"""Seconds that the scheduler may take to answer."""


def workers_of(client: Client) -> Mapping[str, Mapping[str, Any]]:
    """Ask the scheduler for its workers, by their addresses.

    Raises
    ------
    TimeoutError, OSError
        If it does not answer.
    """
    workers: Mapping[str, Mapping[str, Any]] = within(PATIENCE, client.scheduler_info, n_workers=-1)[
        "workers"
    ]
    return workers


def known_workers(client: Client) -> Mapping[str, Mapping[str, Any]]:
    """Ask as `workers_of` does; raises `ClusterLost` if the scheduler does not answer."""
    try:
        return workers_of(client)
    except UNANSWERED as error:
        raise ClusterLost(
            f"the scheduler does not answer ({error!r}). See whether it runs, and resume the run on it or another."
        ) from error


def means_of(client: Client | None) -> dict[str, int]:
    """Describe what an attempt computes with, for its record."""
    if client is None:
        return {"workers": 0, "threads": processors()}
    workers = known_workers(client).values()
    return {"workers": len(workers), "threads": sum(worker["nthreads"] for worker in workers)}


class Roster:
    """What the scheduler last said of its workers.

    A worker counts as heard if the scheduler's record of its last sign of life has changed within `SILENCE`:
    clocks of different machines are never compared.

    Parameters
    ----------
    client : distributed.Client
    clock : callable
        Seconds, never set back.

    Attributes
    ----------
    holders : dict
        Which worker has a task in hand, by the task's key.
    idle : frozenset of str
        Workers that could take work, and had none at the last two looks.
    working : float
        When a worker that is heard from last had a task in hand.
    vitals : tuple of WorkerVitals
        Of all workers at the last look.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._heard: dict[str, tuple[Any, float]] = {}
        self._looked = -EVERY
        self._distrusted: dict[str, float] = {}
        self._idle: frozenset[str] = frozenset()
        self.holders: dict[str, str] = {}
        self.idle: frozenset[str] = frozenset()
        self.working = -float("inf")
        self.vitals: tuple[WorkerVitals, ...] = ()

    def look(self, *, now: bool = False) -> bool:
        """Ask the scheduler, unless it was just asked; tell whether anything new was learned."""
        if not now and self._clock() - self._looked < EVERY:
            return False
        learned = False
        if self._client.status == "running":
            with suppress(*UNANSWERED):
                self._note(workers_of(self._client), within(PATIENCE, self._client.processing))
                learned = True
        self._looked = self._clock()
        return learned

    def _note(self, workers: Mapping[str, Mapping[str, Any]], processing: Mapping[str, Any]) -> None:
        moment = self._clock()
        before, self._heard = self._heard, {}
        for address, facts in workers.items():
            seen, since = before.get(address, (None, moment))
            self._heard[address] = (facts["last_seen"], since if facts["last_seen"] == seen else moment)
        self.holders = {key: worker for worker, keys in processing.items() for key in keys}
        heard = set(self.heard())
        idle = frozenset(
            worker
            for worker in heard
            if workers[worker]["status"] == "running" and not processing.get(worker)
        )
        self.idle, self._idle = idle & self._idle, idle
        if any(keys for worker, keys in processing.items() if worker in heard):
            self.working = moment
        self.vitals = tuple(
            _vitals_of(address, workers[address], len(processing.get(address, ())), address in heard)
            for address in sorted(workers)
        )

    def addresses(self) -> list[str]:
        """All workers that the scheduler knows."""
        return sorted(self._heard)

    def heard(self) -> list[str]:
        """Workers to send something to."""
        moment = self._clock()
        return [
            address
            for address, (_, since) in sorted(self._heard.items())
            if moment - since < SILENCE and self._distrusted.get(address, moment) <= moment
        ]

    def silent(self) -> set[str]:
        """Workers that the scheduler knows and nobody hears from."""
        return set(self._heard) - set(self.heard())

    def distrust(self, address: str, seconds: float) -> None:
        """Send a worker nothing for a while."""
        self._distrusted[address] = self._clock() + seconds


def _vitals_of(address: str, facts: Mapping[str, Any], tasks: int, heard: bool) -> WorkerVitals:
    memory = facts.get("metrics", {}).get("memory")
    name = str(facts.get("name", address))
    return WorkerVitals(
        name if name == address else f"{name} at {address}",
        int(facts["nthreads"]),
        tasks,
        None if memory is None else int(memory),
        int(facts["memory_limit"]) if facts.get("memory_limit") else None,
        heard,
    )
