"""Errors of what a fit runs on: disks, object stores, clusters."""

from __future__ import annotations

from collections.abc import Sequence

from dgmmis.errors.base import DgmmisError

__all__ = [
    "ClusterLost",
    "DiskFull",
    "ObjectStoreError",
    "PoisonChunk",
    "StorageFailed",
    "WorkersDiffer",
]


class StorageFailed(DgmmisError):
    """The disk did not take or give a file; what was whole before still is.

    Attributes
    ----------
    path : str
        The file.
    reason : str
        What the operating system said.
    way_out : str
        What to do about it.
    then : str
        How to go on afterwards.
    """

    exit_code = 74

    def __init__(
        self, path: str, reason: str, way_out: str, then: str = "run the same command again"
    ) -> None:
        super().__init__(path, reason, way_out, then)
        self.path, self.reason, self.way_out, self.then = path, reason, way_out, then

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}. What was written before is whole: {self.way_out}, then {self.then}."
        )

    def going_on(self, then: str) -> StorageFailed:
        """Return this error with another way to go on."""
        return type(self)(self.path, self.reason, self.way_out, then)


class DiskFull(StorageFailed):
    """No room for a file.

    Attributes
    ----------
    needed : int
        Bytes that were to be written.
    free : int
        Bytes that were free.
    """

    def __init__(
        self, path: str, reason: str, needed: int, free: int, then: str = "run the same command again"
    ) -> None:
        super().__init__(path, reason, "free some space there", then)
        self.args = (path, reason, needed, free, then)
        self.needed, self.free = needed, free

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}. {self.needed:,} bytes were to be written, {self.free:,} are free. What was "
            f"written before is whole: {self.way_out}, then {self.then}."
        )

    def going_on(self, then: str) -> DiskFull:
        """Return this error with another way to go on."""
        return type(self)(self.path, self.reason, self.needed, self.free, then)


class ObjectStoreError(DgmmisError):
    """An object store does not do what it was asked, and does not say that there is no such object.

    Attributes
    ----------
    verb : str
        What it was asked: read, write, list, ...
    object : str
        Address of the object.
    what : str
        What went wrong.
    """

    exit_code = 12

    def __init__(self, verb: str, object: str, what: str) -> None:
        super().__init__(
            f"cannot {verb} {object}: {what}. Nothing that was stored is lost; see that the store is reachable and "
            "that AWS_ENDPOINT_URL, AWS_REGION and the credentials in the environment are right, and try again: a run "
            "goes on with `dgmmis resume`."
        )
        self.verb, self.object, self.what = verb, object, what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.verb, self.object, self.what)


class ClusterLost(DgmmisError):
    """No progress within the deadline: workers or scheduler are gone.  The run can be resumed."""

    exit_code = 7


class WorkersDiffer(DgmmisError):
    """A worker that does not compute as the driver does.  The run can be resumed on workers that do.

    Attributes
    ----------
    worker : str or None
        Its address.
    differences : tuple of str
        What is what on either side.
    """

    exit_code = 7

    def __init__(self, message: str, worker: str | None = None, differences: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.worker, self.differences = message, worker, differences

    @classmethod
    def of(cls, worker: str, differences: Sequence[str]) -> WorkersDiffer:
        """Make the error of a worker that differs in versions or processor."""
        return cls(
            f"worker {worker} does not compute as this process does: {', '.join(differences)}. Results would not have "
            "the same bits. Install the same versions there; or allow it, for results that agree to rounding, with "
            "DASK_DGMMIS__ALLOW_SKEW=true before the command (in Python: "
            'dask.config.set({"dgmmis.allow-skew": True})).',
            worker,
            tuple(differences),
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.worker, self.differences)


class PoisonChunk(DgmmisError):
    """A chunk that kills every worker it is given to, alone.

    Attributes
    ----------
    chunk : int
        Its number.
    rows : tuple of int or None
        First row and one past the last row of that chunk; None for imputed points.
    workers : int
        How many it killed.
    """

    exit_code = 10

    def __init__(self, chunk: int, rows: tuple[int, int] | None, workers: int, last: tuple[str, ...]) -> None:
        where = (
            f"set {chunk} of the imputed points"
            if rows is None
            else f"chunk {chunk} (rows {rows[0]}..{rows[1] - 1})"
        )
        super().__init__(
            f"{where} killed {workers} workers, the last {len(last)} of them ({', '.join(last)}) with no other task "
            "at hand; no other chunk is to blame. Checkpoints are kept. Most often a worker runs out of memory "
            "there: give workers more (--memory-limit), or ingest with a smaller chunk_rows; else a compiled library "
            "or a function of yours crashes on one of these rows, and the workers' logs say where. Then resume the run."
        )
        self.chunk, self.rows, self.workers, self.last = chunk, rows, workers, last

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.chunk, self.rows, self.workers, self.last)
