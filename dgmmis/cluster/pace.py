"""How long segments take, and from when on one is late or stuck."""

from __future__ import annotations

from collections import deque

__all__ = ["LATE", "STUCK", "Pace"]

LATE = 30.0
"""[s] No segment is late before."""
STUCK = 90.0
"""[s] No segment is stuck before."""
LATE_FACTOR = 10.0
STUCK_FACTOR = 20.0
LATELY = 1000


class Pace:
    """Durations of finished segments of one kind of work.

    Attributes
    ----------
    slowest : float or None
        [s]; None while none has finished.
    """

    def __init__(self) -> None:
        self._lately: deque[float] = deque(maxlen=LATELY)
        self.slowest: float | None = None

    def add(self, seconds: float) -> None:
        """Note that a segment took so long."""
        self._lately.append(seconds)
        self.slowest = max(seconds, self.slowest or 0.0)

    @property
    def late(self) -> float:
        """Age [s] from which on a segment is given to a second worker as well."""
        if not self._lately:
            return float("inf")
        ordered = sorted(self._lately)
        return max(LATE, LATE_FACTOR * ordered[int(0.95 * (len(ordered) - 1))])

    @property
    def stuck(self) -> float:
        """Age [s] from which on a segment is believed never to end; infinite while none has ended."""
        return float("inf") if self.slowest is None else max(STUCK, STUCK_FACTOR * self.slowest)
