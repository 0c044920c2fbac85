"""Errors of fits and runs."""

from __future__ import annotations

from dgmmis.errors.base import DgmmisError

__all__ = [
    "CollapsedComponent",
    "CorruptCheckpoint",
    "ImputationLimit",
    "NotARun",
    "RunCancelled",
    "RunConflict",
    "RunInterrupted",
    "RunLocked",
]


class NotARun(DgmmisError):
    """The folder is no run."""

    exit_code = 3


class CorruptCheckpoint(DgmmisError):
    """A checkpoint's content does not match its own hash, or its chain is broken."""

    exit_code = 5


class RunConflict(DgmmisError):
    """The run folder holds a run of another configuration."""

    exit_code = 6


class RunLocked(DgmmisError):
    """Another process drives this run."""

    exit_code = 75


class RunCancelled(DgmmisError):
    """Somebody cancelled this run; it goes on only if that is asked for by name."""

    exit_code = 11

    def __init__(self, run: str) -> None:
        super().__init__(
            f"{run} was cancelled; its last checkpoint is kept. Go on with: dgmmis resume {run}, or leave it to a "
            f"server of its root: dgmmis resume {run} --queue"
        )
        self.run = run

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.run,)


class RunInterrupted(DgmmisError):
    """The process that drives a run was told to stop, and did at a boundary.  The run can be resumed.

    Attributes
    ----------
    signal : int
        The signal that told it; the exit code is 128 more.
    """

    exit_code = 130

    def __init__(self, signal: int, way_on: str) -> None:
        super().__init__(f"interrupted by signal {signal}; {way_on}")
        self.signal, self.way_on = signal, way_on
        self.exit_code = 128 + signal

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.signal, self.way_on)


class CollapsedComponent(DgmmisError):
    """A component's covariance shrank until it was no covariance any more.

    Attributes
    ----------
    component : int
        Its index.
    rows : float
        The rows it holds.
    features : tuple of int
        Those without spread there, as far as they are known.
    collinear : bool
        Whether only a combination of `features` has no spread, not each of them.
    """

    exit_code = 8

    def __init__(
        self, component: int, rows: float, features: tuple[int, ...] = (), collinear: bool = False
    ) -> None:
        super().__init__(
            f"component {component} has collapsed onto {rows:.3g} rows: its covariance is no longer positive "
            f"definite{_without_spread(features, collinear)}. Use fewer components, state the rows' noise, "
            "set a floor, or freeze its covariance."
        )
        self.component, self.rows, self.features, self.collinear = component, rows, features, collinear

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.component, self.rows, self.features, self.collinear)


def _without_spread(features: tuple[int, ...], collinear: bool) -> str:
    """Say which features have no spread, in parentheses; nothing if none is known."""
    if not features:
        return ""
    *others, last = map(str, features)
    names = f"features {', '.join(others)} and {last} are" if others else f"feature {last} is"
    return f" ({names} {'collinear' if collinear else 'constant'} there)"


class ImputationLimit(DgmmisError):
    """The imputed points that a wanted accuracy needs are more than were allowed."""

    exit_code = 8
