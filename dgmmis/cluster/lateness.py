"""Which segments should be with another worker as well, and which will never end."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dgmmis.cluster.duties import Copy, Duty
from dgmmis.cluster.pace import Pace
from dgmmis.vitals import OldestSegment

__all__ = ["is_late", "oldest", "without_end"]


def is_late(copy: Copy, pace: Pace, silent: Collection[str], moment: float) -> bool:
    """Tell whether the worker that has it is silent or takes too long; in nobody's hands, it waits for its turn."""
    return copy.worker is not None and (copy.worker in silent or moment - copy.since > pace.late)


def without_end(duty: Duty, pace: Pace, heard: Collection[str], moment: float) -> str:
    """Say what is known of a segment that living workers compute for far too long; empty if there is none."""
    ages = [moment - copy.since for copy in duty.copies if copy.worker in heard]
    if max(ages, default=0.0) <= pace.stuck:
        return ""
    start, stop = duty.bounds
    return (
        f"chunks {start}..{stop - 1} have been computed for {max(ages):.0f} s without an end, on "
        f"{' and '.join(str(copy.worker) for copy in duty.copies)}: others took at most {pace.slowest:.1f} s. If a "
        "function of yours is part of the fit, see whether it ends"
    )


def oldest(duties: Iterable[Duty], moment: float) -> OldestSegment | None:
    """Find the segment that a worker has had for longest; None if no worker has any."""
    held = [(copy.since, duty.bounds, copy.worker) for duty in duties for copy in duty.copies if copy.worker]
    if not held:
        return None
    since, (start, stop), worker = min(held)
    return OldestSegment(start, stop - 1, moment - since, worker)
