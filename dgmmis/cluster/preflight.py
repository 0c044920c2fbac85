"""Before the first pass every worker is asked whether it computes as the driver does and reads what it is sent."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.client import ClosedClientError
from distributed.protocol.pickle import dumps

from dgmmis.cluster.bounded import wait_for_first
from dgmmis.cluster.configuration import allows_skew
from dgmmis.cluster.roster import Roster
from dgmmis.cluster.worker_check import computing_fingerprint, differences, read_pickled
from dgmmis.errors import SelectionError, WorkersDiffer

__all__ = ["Preflight", "ask_workers"]

PATIENCE = 100.0
"""Seconds to wait for answers of workers that live: the first question has them import this package."""
SOON = 0.2

IMPORTABLE = (
    "Put its function in a module that is installed on every worker and name it 'module:function', or use the parts "
    "of dgmmis.selection."
)


def ask_workers(
    client: Client,
    question: Callable[..., Any],
    *args: Any,
    only: Collection[str] | None = None,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """Have every worker call a function; an exception that it raised is its answer.

    Workers that die meanwhile, or from which nothing is heard, are not waited for and have no answer.
    """
    roster = Roster(client)
    roster.look(now=True)
    asked = {}
    for address in only or roster.addresses():
        with suppress(ClosedClientError):  # whatever comes next says that the cluster is lost
            asked[address] = _ask(client, address, question, args)
    answers: dict[str, Any] = {}
    ends = time.monotonic() + patience
    while asked and time.monotonic() < ends and client.status != "closed":
        wait_for_first(client, asked.values(), SOON)
        for address in [address for address, future in asked.items() if future.status != "pending"]:
            with suppress(TimeoutError, CancelledError, KilledWorker):
                answers[address] = _answer(asked[address])
            asked.pop(address).release()
        if roster.look():
            for address in asked.keys() - set(roster.heard()):
                asked.pop(address).release()
    for future in asked.values():
        future.release()
    return answers


def _ask(client: Client, address: str, question: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
    key = f"{question.__name__}-{uuid.uuid4().hex}"
    return client.submit(
        question, *args, key=key, pure=False, workers=[address], allow_other_workers=False, priority=1000
    )


def _answer(future: Future[Any]) -> Any:
    try:
        return future.result(timeout=5)
    except (TimeoutError, CancelledError, KilledWorker):
        raise
    except Exception as error:
        return error


class Preflight:
    """Examines workers: those that are there, and later those that have come since.

    Parameters
    ----------
    client : distributed.Client
    what : object
        What every worker must be able to read.
    name : str
        Of it, for messages.

    Raises
    ------
    WorkersDiffer, SelectionError
        From `examine`.
    """

    def __init__(self, client: Client, what: object = None, name: str = "the selection") -> None:
        self._client, self._name = client, name
        self._content = self._pickled(what)
        self._examined: set[str] = set()
        self._skew: dict[str, tuple[str, ...]] = {}

    @property
    def expected(self) -> Mapping[str, str] | None:
        """What a worker must be like; None if any will do."""
        return None if allows_skew() else computing_fingerprint()

    @property
    def skew(self) -> tuple[str, ...]:
        """In what workers differ from the driver, if that was allowed."""
        return tuple(f"worker {address}: {', '.join(how)}" for address, how in sorted(self._skew.items()))

    def examine(self, addresses: Collection[str] | None = None) -> None:
        """Ask all workers, or those of `addresses` that were not asked before."""
        fresh = None if addresses is None else [a for a in addresses if a not in self._examined]
        if fresh is not None and not fresh:
            return
        answers = ask_workers(self._client, read_pickled, self._content, only=fresh)
        for address, answer in sorted(answers.items()):
            self._judge(address, answer)
        self._examined |= answers.keys()

    def _judge(self, address: str, answer: Any) -> None:
        if isinstance(answer, Exception):
            raise WorkersDiffer(
                f"worker {address} cannot run this package: {answer!r}. Install it there, with all that it needs in "
                "the versions that are installed here.",
                address,
            )
        there, trouble = answer
        how = differences(there, computing_fingerprint())
        if how and not allows_skew():
            raise WorkersDiffer.of(address, how)
        if how:
            self._skew[address] = tuple(how)
        if trouble:
            raise SelectionError(
                f"worker {address} cannot read {self._name}: {trouble}. {IMPORTABLE}", array="selection"
            )

    def _pickled(self, what: object) -> bytes:
        try:
            content: bytes = dumps(what)
        except Exception as error:
            raise SelectionError(
                f"{self._name} cannot be sent to workers: {error!r}. {IMPORTABLE}"
            ) from error
        return content
