"""What is asked of a run: to be driven, with these budgets; or to be cancelled.

requests/0001.json  tolerance, max_passes and means that somebody wished; the last one counts
cancel              somebody wants it to stop

A request is answered by the attempt that names its number, so nothing has to be struck off a list.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dgmmis.errors import InvalidSetting
from dgmmis.location import S3Url
from dgmmis.plain_files import require_own_folders
from dgmmis.runs.description import read_record
from dgmmis.runs.local_place import LocalPlace
from dgmmis.runs.objects import make_folders, put_if_absent

__all__ = ["NoRequests", "Requests"]

FOLDER = "requests"
CANCEL = "cancel"


class Requests:
    """The requests of the run in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def count(self) -> int:
        """How many there are."""
        return len(list((self._path / FOLDER).glob("[0-9][0-9][0-9][0-9].json")))

    def read(self, number: int) -> dict[str, Any]:
        """One of them; counted from 1."""
        return read_record(LocalPlace(self._path), f"{FOLDER}/{number:04d}.json", numbers=("asked",))

    def last(self) -> dict[str, Any]:
        """Read the one that counts; empty if there is none."""
        count = self.count()
        return self.read(count) if count else {}

    def put(self, wish: Mapping[str, Any], *, unless: Mapping[str, Any] | None = None) -> int:
        """Add a request, unless the last one wishes the same already.

        Parameters
        ----------
        wish : dict
        unless : dict, optional
            Add none if the last one has these values; several may ask at the same moment.

        Returns
        -------
        int
            The number of the last request.
        """
        require_own_folders(self._path, (FOLDER,))
        make_folders(self._path / FOLDER)
        content = json.dumps({**wish, "asked": time.time(), "by": _who()}, indent=1).encode()
        while True:
            number = self.count()
            if number and unless is not None and unless.items() <= self.read(number).items():
                return number
            with suppress(FileExistsError):  # somebody else asked at this moment: look at that
                put_if_absent(self._place(number + 1), content)
                return number + 1

    def cancel(self) -> None:
        """Ask whoever drives the run to stop, and nobody else to begin; asking twice is asking once."""
        with suppress(FileExistsError):
            put_if_absent(
                self._path / CANCEL, json.dumps({"asked": time.time(), "by": _who()}, indent=1).encode()
            )

    def is_cancelled(self) -> bool:
        """Whether a cancel is in force."""
        return (self._path / CANCEL).exists()

    def lift_cancel(self, because: str) -> None:
        """Set a cancel aside because somebody asked for the run afterwards; `because` names that record."""
        with suppress(FileNotFoundError):
            (self._path / CANCEL).rename(self._path / f"{because}-lifted-cancel.json")

    def _place(self, number: int) -> Path:
        return self._path / FOLDER / f"{number:04d}.json"


class NoRequests:
    """What is asked of a run in an object store: nothing, as no server looks there; see `Requests`."""

    def __init__(self, url: S3Url) -> None:
        self._url = url

    def count(self) -> int:
        """How many there are."""
        return 0

    def read(self, number: int) -> dict[str, Any]:
        """One of them; counted from 1."""
        raise IndexError(f"{self._url} has no request {number}")

    def last(self) -> dict[str, Any]:
        """Read the one that counts; empty, as there is none."""
        return {}

    def put(self, wish: Mapping[str, Any], *, unless: Mapping[str, Any] | None = None) -> int:
        """Refuse."""
        raise InvalidSetting(
            f"{self._url} lies in an object store, where no server looks: drive it with `dgmmis resume {self._url}`."
        )

    def cancel(self) -> None:
        """Refuse."""
        raise InvalidSetting(
            f"{self._url} lies in an object store, and a cancel is for runs on a disk: stop the process that drives it "
            "(Ctrl-C, or SIGTERM)."
        )

    def is_cancelled(self) -> bool:
        """Whether a cancel is in force."""
        return False

    def lift_cancel(self, because: str) -> None:
        """Do nothing."""


def _who() -> str:
    with suppress(OSError, KeyError):  # a user id without a name
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return f"user {os.getuid()}@{socket.gethostname()}"
