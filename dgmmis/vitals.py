"""How those who make the passes are: the workers, what was sent out again, and the segment that takes longest."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OldestSegment", "Vitals", "WorkerVitals"]


@dataclass(frozen=True)
class WorkerVitals:
    """One worker, as it was last heard of.

    Attributes
    ----------
    name : str
    threads : int
    tasks : int
        That it has in hand.
    memory, memory_limit : int or None
        Bytes; None if unknown, or without a limit.
    heard : bool
        Whether it gave a sign of life lately.
    """

    name: str
    threads: int
    tasks: int = 0
    memory: int | None = None
    memory_limit: int | None = None
    heard: bool = True


@dataclass(frozen=True)
class OldestSegment:
    """The segment under way that has been with a worker for longest.

    Attributes
    ----------
    first, last : int
        Its chunks.
    seconds : float
    worker : str
    """

    first: int
    last: int
    seconds: float
    worker: str


@dataclass(frozen=True)
class Vitals:
    """All of it at one moment.

    Attributes
    ----------
    workers : tuple of WorkerVitals
    resubmitted : int
        Segments that were sent out again so far: late, lost with a worker, or failed.
    deaths : int
        Workers that died so far while they had segments.
    oldest : OldestSegment or None
    """

    workers: tuple[WorkerVitals, ...] = ()
    resubmitted: int = 0
    deaths: int = 0
    oldest: OldestSegment | None = None
