"""The segments that a pass still owes: where copies of each were sent, and whose workers died."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distributed import Future

__all__ = ["Bounds", "Copy", "Duties", "Duty"]

Bounds = tuple[int, int]
"""First chunk and one past the last."""

SUSPECTED = 2
"""Deaths of workers that had a segment, before workers are to say when they begin it and only those count."""
IN_COMPANY = 3
"""Deaths of workers before a segment's chunks are run alone."""
ALONE = 3
"""Deaths of workers that had begun a chunk, with nothing else at hand, before it is believed to be the cause."""
EARLY = 2
"""How many more there must be for each worker that died having it, but before beginning."""


@dataclass
class Copy:
    """One task that computes a segment.

    Attributes
    ----------
    future : distributed.Future
    since : float
        When it was sent, or was first seen in a worker's hands.
    worker : str or None
        Which one's.
    tries : int
        How often its finished result was asked for in vain.
    """

    future: Future[Any]
    since: float
    worker: str | None = None
    tries: int = 0

    def see(self, worker: str, moment: float) -> None:
        """Note which worker has it."""
        if worker != self.worker:
            self.worker, self.since = worker, moment


@dataclass
class Duty:
    """A segment that is owed.

    Attributes
    ----------
    bounds : (int, int)
    copies : list of Copy
        Usually one; two if the first is late.
    failures : int
        That were not this package's.
    deaths : list of str
        Workers that died having it.
    before : int
        Workers that its segment was on when they died, before its chunks were run alone.
    avoided : set of str
        Workers that did not hand out a result.
    keys : set of str
        Of all tasks that were ever sent for it.
    begun : bool
        Whether a worker has said that it begins, and has not died since.
    early : int
        Workers that died having it, before they had begun, while it was to be done alone.
    """

    bounds: Bounds
    copies: list[Copy] = field(default_factory=list)
    failures: int = 0
    deaths: list[str] = field(default_factory=list)
    before: int = 0
    avoided: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    begun: bool = False
    early: int = 0

    @property
    def suspected(self) -> bool:
        """Whether only those deaths count that came after a beginning."""
        return len(self.deaths) >= SUSPECTED

    def add(self, copy: Copy) -> None:
        """Note that another task computes it."""
        self.copies.append(copy)
        self.keys.add(str(copy.future.key))

    def drop(self, copy: Copy) -> None:
        """Give one task up."""
        self.copies.remove(copy)
        copy.future.release()

    def withdraw(self) -> None:
        """Give up what is under way: another copy was first, or it is to be done otherwise."""
        for copy in list(self.copies):
            self.drop(copy)


class Duties:
    """All segments of one pass.

    Segments are done together, but for those that were on several dying workers: when no others are left, their
    chunks are done alone, one at a time, so that the one that kills is told from those that were near it.

    Parameters
    ----------
    segments : iterable of (first chunk, one past the last)
    """

    def __init__(self, segments: Iterable[Bounds]) -> None:
        self._together = {bounds: Duty(bounds) for bounds in sorted(segments)}
        self._alone: dict[Bounds, Duty] = {}
        self.total = len(self._together)

    def __len__(self) -> int:
        return len(self._together) + len(self._alone)

    @property
    def done(self) -> int:
        """How many are not owed any more."""
        return self.total - len(self)

    def current(self) -> list[Duty]:
        """List what may be under way now."""
        return list(self._together.values()) or list(self._alone.values())[:1]

    @property
    def alone(self) -> bool:
        """Whether one chunk at a time is done."""
        return not self._together

    def copies(self) -> Iterator[Copy]:
        """All tasks under way."""
        for duty in self.current():
            yield from duty.copies

    def withdraw(self) -> None:
        """Give up all that is under way."""
        for duty in (*self._together.values(), *self._alone.values()):
            duty.withdraw()

    def finish(self, duty: Duty) -> None:
        """Strike off what is done."""
        duty.withdraw()
        self._together.pop(duty.bounds, None)
        self._alone.pop(duty.bounds, None)

    def begin(self, key: str) -> None:
        """Note that a worker says that it begins a task."""
        for duty in self.current():
            duty.begun = duty.begun or key in duty.keys

    def blame(self, worker: str, keys: frozenset[str]) -> Duty | None:
        """Count the death of a worker that had these tasks; return the chunk that is proven to have killed it."""
        if self.alone:
            return next((duty for duty in self.current() if _is_guilty(duty, worker, keys)), None)
        for duty in self.current():
            if not duty.keys & keys:
                continue
            if duty.begun or not duty.suspected:
                duty.deaths.append(worker)
            duty.begun = False
            duty.withdraw()  # to be sent again, to anyone: a task that prefers a dead worker may wait for ever
            if len(duty.deaths) >= IN_COMPANY:
                self._set_apart(duty)
        return None

    def _set_apart(self, duty: Duty) -> None:
        duty.withdraw()
        del self._together[duty.bounds]
        start, stop = duty.bounds
        for chunk in range(start, stop):
            bounds = (chunk, chunk + 1)
            self._alone[bounds] = Duty(bounds, before=len(duty.deaths))
        self.total += stop - start - 1


def _is_guilty(duty: Duty, worker: str, keys: frozenset[str]) -> bool:
    """Count a death while one chunk is done alone: workers may die of other causes, and do so without it too."""
    if not duty.keys & keys:
        return False
    if duty.begun:
        duty.deaths.append(worker)
        duty.begun = False
    else:
        duty.early += 1
    return len(duty.deaths) >= ALONE + EARLY * duty.early
