"""On a worker: whether it computes as the driver does, and understands what it is sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import TypeVar

import numpy as np
from distributed import get_worker
from distributed.protocol.pickle import loads

from dgmmis.errors import WorkersDiffer
from dgmmis.runs import numerics_fingerprint

__all__ = ["BEGUN", "alike", "announcing", "computing_fingerprint", "differences", "read_pickled"]

T = TypeVar("T")

BEGUN = "dgmmis-begun"
"""Topic of the scheduler's events under which workers say that they begin a task."""
HEARD = 0.5
"""[s] One that dies at once takes its message with it, and its nanny believes that it has never started."""


@cache
def computing_fingerprint() -> dict[str, str]:
    """Versions, processor, and the bits of a small calculation of this process.

    The calculation tells processors and linear-algebra libraries apart that go by the same name.
    """
    return {**numerics_fingerprint(), "zarr": version("zarr"), "arithmetic": _bits_of_a_calculation()}


def _bits_of_a_calculation() -> str:
    grid = np.linspace(-3.0, 3.0, 64).reshape(8, 8)
    matrix = np.exp(-(grid**2)) @ np.sin(grid).T
    positive = matrix @ matrix.T + 8 * np.eye(8)
    parts = (np.log1p(np.exp(grid)), matrix, np.linalg.cholesky(positive), np.linalg.solve(positive, grid))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Say in what a worker differs from the driver."""
    return [
        f"{name} {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]


def alike(expected: Mapping[str, str] | None, function: Callable[..., T], *args: object) -> T:
    """Call a function if this worker computes as the driver does, or any may; raises `WorkersDiffer`."""
    if expected is not None and computing_fingerprint() != expected:
        raise WorkersDiffer.of(get_worker().address, differences(computing_fingerprint(), expected))
    return function(*args)


def announcing(expected: Mapping[str, str] | None, function: Callable[..., T], *args: object) -> T:
    """Say that a task begins, wait until that is heard, and call as `alike` does."""
    worker = get_worker()
    worker.log_event(BEGUN, str(worker.get_current_task()))
    time.sleep(HEARD)
    return alike(expected, function, *args)


def read_pickled(content: bytes) -> tuple[dict[str, str], str]:
    """Tell this process's fingerprint, and what goes wrong in reading what was pickled; empty if nothing."""
    try:
        loads(content)
    except Exception as error:
        return computing_fingerprint(), repr(error)
    return computing_fingerprint(), ""
