"""Every error a caller may want to catch.

Each one names the thing, shows the value and offers the way out.  Errors about data carry where the
datum lies as attributes, so that a program can act on what a person reads.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AlreadyExists",
    "CatalogLocked",
    "ClusterLost",
    "CollapsedComponent",
    "CorruptCatalog",
    "CorruptCheckpoint",
    "DgmmisError",
    "DiskFull",
    "EmptySource",
    "FeatureMismatch",
    "ImputationLimit",
    "InsecureCluster",
    "InvalidData",
    "InvalidSetting",
    "MemoryPlanExceeded",
    "MissingLibrary",
    "NotACatalog",
    "NotARun",
    "ObjectStoreError",
    "PoisonChunk",
    "RunCancelled",
    "RunConflict",
    "RunInterrupted",
    "RunLocked",
    "SelectionError",
    "StorageFailed",
    "TooManyQuarantined",
    "UnitMismatch",
    "UnknownColumn",
    "UnsafeFile",
    "UnsafePlace",
    "UntrustedFunction",
    "WorkersDiffer",
]


class DgmmisError(Exception):
    """Base of all errors of this package.

    Attributes
    ----------
    exit_code : int
        What the command line returns for it.
    """

    exit_code = 1


class InvalidSetting(DgmmisError, ValueError):
    """A setting that no data could make valid."""

    exit_code = 2


class MemoryPlanExceeded(InvalidSetting):
    """A fit that needs more memory than there is, found out before it began.

    Attributes
    ----------
    planned : int
        Bytes that the fit would need.
    limit : int
        Bytes that it may use.
    knob : str
        The setting to turn.
    value : int
        To which value.
    """

    exit_code = 9

    def __init__(self, message: str, *, planned: int, limit: int, knob: str, value: int) -> None:
        super().__init__(message)
        self.planned, self.limit, self.knob, self.value = planned, limit, knob, value


class InvalidData(DgmmisError, ValueError):
    """Input that cannot be used, and where it lies.

    Parameters
    ----------
    message : str
        What is wrong, the value, and the way out.
    array : str, optional
        Name of the array or file.
    row : int, optional
        Row in that array, counted from 0.
    column : str or int, optional
        Feature or column.
    value : object, optional
        The offending value.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        array: str | None = None,
        row: int | None = None,
        column: str | int | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.array, self.row, self.column, self.value = array, row, column, value

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_invalid, (type(self), self.message, dict(self.__dict__))


def _rebuild_invalid(kind: type[InvalidData], message: str, state: dict[str, object]) -> InvalidData:
    """Rebuild an error that travelled from a worker."""
    error = kind(message)
    error.__dict__.update(state)
    return error


class UnknownColumn(InvalidData):
    """A column that the source does not have."""


class FeatureMismatch(InvalidData):
    """Data whose features are not the model's."""


class UnitMismatch(InvalidData):
    """A unit that cannot be converted to the one it must have."""


class EmptySource(InvalidData):
    """A source without a single usable row."""


class TooManyQuarantined(InvalidData):
    """More unusable rows than the caller allowed."""


class MissingLibrary(DgmmisError, ImportError):
    """An optional library that this job needs is not installed."""

    exit_code = 2


class AlreadyExists(DgmmisError, FileExistsError):
    """The destination exists and was not to be overwritten."""

    exit_code = 4


class NotACatalog(DgmmisError):
    """The folder is no catalogue, or one of a format this version cannot read."""

    exit_code = 3


class CatalogLocked(DgmmisError):
    """Another process appends to this catalogue."""

    exit_code = 75


class NotARun(DgmmisError):
    """The folder is no run."""

    exit_code = 3


class CorruptCatalog(DgmmisError):
    """A stored chunk is not what was written.

    Attributes
    ----------
    array : str
        Name of the stored array.
    chunk : int
        Chunk along the rows.
    rows : tuple of int
        First row and one past the last row of that chunk.
    """

    exit_code = 5

    def __init__(self, array: str, chunk: int, rows: tuple[int, int], what: str) -> None:
        super().__init__(
            f"array '{array}', chunk {chunk} (rows {rows[0]}..{rows[1] - 1}): {what}. The catalogue was "
            "altered after it was written: restore that file from a copy or ingest the source again."
        )
        self.array, self.chunk, self.rows, self.what = array, chunk, rows, what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.array, self.chunk, self.rows, self.what)


class CorruptCheckpoint(DgmmisError):
    """A checkpoint's content does not match its own hash, or its chain is broken."""

    exit_code = 5


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


class SelectionError(InvalidData):
    """A selection function that cannot be used: what it was asked, what it answered, and what to do."""


class ImputationLimit(DgmmisError):
    """The imputed points that a wanted accuracy needs are more than were allowed."""

    exit_code = 8


class InsecureCluster(InvalidSetting):
    """A cluster that would be talked to in the clear, or with keys that others can read."""


class UnsafePlace(InvalidSetting):
    """A name or address that leads, or could lead, out of where it may."""


class UnsafeFile(DgmmisError, OSError):
    """A file that is not read or written, for what it is: no regular file, a symbolic link, or too large.

    Attributes
    ----------
    path : str
        The file.
    """

    exit_code = 3

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} {what}")
        self.path, self.what = path, what
        self.strerror = what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.what)


class UntrustedFunction(DgmmisError):
    """A function that a stored file names, and that nobody here has named: it is not imported.

    Attributes
    ----------
    name : str
        "module:function".
    """

    exit_code = 2

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"{what} is the function {name!r}, which only a stored file names. A function is code, and code of a file "
            f"is run only if you wrote that file from this account or name the function yourself: --trust {name}, in "
            f"Python trust=[{name!r}]. Look at its source first."
        )
        self.name, self.what = name, what

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.what)
