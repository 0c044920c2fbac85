"""Errors of what others may have made: addresses, files, functions, clusters."""

from __future__ import annotations

from dgmmis.errors.base import DgmmisError, InvalidSetting

__all__ = ["InsecureCluster", "UnsafeFile", "UnsafePlace", "UntrustedFunction"]


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
