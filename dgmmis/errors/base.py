"""What all errors share, and those of settings and of the machine's software."""

from __future__ import annotations

__all__ = [
    "AlreadyExists",
    "DgmmisError",
    "InvalidSetting",
    "MemoryPlanExceeded",
    "MissingLibrary",
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


class MissingLibrary(DgmmisError, ImportError):
    """An optional library that this job needs is not installed."""

    exit_code = 2


class AlreadyExists(DgmmisError, FileExistsError):
    """The destination exists and was not to be overwritten."""

    exit_code = 4
