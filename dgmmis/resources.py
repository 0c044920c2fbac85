"""What a fit may compute with: processes, threads and memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["CacheRule", "Resources"]

KILLED_AT = 0.95
"""Share of its limit above which Dask's nanny kills a worker."""


@dataclass(frozen=True)
class CacheRule:
    """How much of a memory limit a worker gives to decoded chunks.

    Attributes
    ----------
    share : float
        Of the limit.
    reserved : int
        Bytes taken off that share.
    unlimited : int
        Bytes for a worker without a limit.
    """

    share: float
    reserved: int
    unlimited: int

    def budget(self, limit: int | None) -> int:
        """Bytes for decoded chunks under a memory limit [bytes]."""
        return max(0, int(self.share * limit) - self.reserved) if limit else self.unlimited


@dataclass(frozen=True)
class Resources:
    """What a fit is computed with.

    Attributes
    ----------
    workers : int
        Processes; 0 computes on threads of this one.
    threads : int
        Of each.
    memory_limit : int or None
        Bytes per worker, the least of all; None if there is no limit, or no worker.
    here : int
        Bytes that this process may use: the machine's or the container's.
    parallel : int
        Threads that really run at the same time.
    cache : CacheRule
    compiling : bool
        Workers may have to compile kernels themselves, because this process cannot do it for them.
    """

    workers: int
    threads: int
    memory_limit: int | None
    here: int
    parallel: int
    cache: CacheRule
    compiling: bool = True

    @property
    def usable(self) -> int | None:
        """Bytes that a worker may hold before it is killed; None if there is no limit, or no worker."""
        return int(KILLED_AT * self.memory_limit) if self.workers and self.memory_limit else None

    def limited_to_use(self, nbytes: int) -> Resources:
        """Return these with a limit, in whole MiB, under which a worker may hold `nbytes`."""
        return replace(self, memory_limit=(int(nbytes / KILLED_AT) // 2**20 + 1) * 2**20)
