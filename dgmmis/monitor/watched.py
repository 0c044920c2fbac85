"""The runs that a server shows: each is read once for all who look, and in threads, so that no page waits."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from urllib.parse import quote

from dgmmis.errors import DgmmisError, NotARun
from dgmmis.location import Location, location_of
from dgmmis.monitor.pilot_sample import PilotSample, read_pilot_sample
from dgmmis.monitor.reading import RunWatch
from dgmmis.monitor.record import RunRecord
from dgmmis.runs import is_run, open_run, run_paths
from dgmmis.trust import NOBODY

__all__ = ["Watched", "WatchedRoot"]

FRESH, FRESH_RESTING = 0.9, 4.0
"""Seconds for which a record serves: of a run that is driven, and of one that is not."""


class Watched:
    """One run, for any number of pages.

    Parameters
    ----------
    path : path, or address in an object store
    """

    def __init__(self, path: str | Location) -> None:
        self._watch, self._lock = RunWatch(path), threading.Lock()
        self._record: RunRecord | None = None
        self._read = -FRESH_RESTING
        self._sample: PilotSample | None = None

    def record(self) -> RunRecord:
        """Give what is known now, or was known a moment ago."""
        with self._lock:
            resting = self._record is not None and not self._record.is_driven
            if self._record is None or time.monotonic() - self._read > (FRESH_RESTING if resting else FRESH):
                self._record, self._read = self._watch.look(), time.monotonic()
            return self._record

    def sample(self) -> PilotSample:
        """Give the random sample of its rows, read once; tried again at the next call if it could not be read."""
        record = self.record()
        with self._lock:
            if self._sample is None or self._sample.problem:
                fingerprint = str(open_run(self._watch.path, trust=NOBODY).data["fingerprint"])
                self._sample = read_pilot_sample(record, fingerprint)
            return self._sample


class WatchedRoot:
    """A root of runs, or one run.

    Parameters
    ----------
    path : path, or address in an object store

    Raises
    ------
    NotARun
        If it is neither a folder with runs nor a run.
    """

    def __init__(self, path: str | Location) -> None:
        self.path = location_of(path)
        self.is_one_run = is_run(self.path)
        self._lock = threading.Lock()
        self._known: dict[str, Watched] = {}
        self.names()

    def names(self) -> list[str]:
        """List the runs by name; symbolic links are left out, as they lead elsewhere.

        Raises
        ------
        NotARun
            If the folder is gone.
        """
        if self.is_one_run:
            return [self.path.name]
        return [found.name for found in run_paths(self.path) if not _is_link(found)]

    def named(self, name: str) -> Watched:
        """Give the run of that name in this root, and of no other place.

        Raises
        ------
        NotARun
            If there is none.
        """
        if name not in self.names():
            raise NotARun(f"{self.path} has no run of that name.")
        with self._lock:
            if name not in self._known:
                self._known[name] = Watched(self.path if self.is_one_run else self.path / name)
            return self._known[name]

    def records(self) -> list[RunRecord]:
        """Say what is known of all runs."""
        found = []
        for name in self.names():
            try:
                found.append(self.named(name).record())
            except DgmmisError:  # removed since it was listed
                continue
        return found


def _is_link(location: Location) -> bool:
    return isinstance(location, Path) and location.is_symlink()


def address_of(name: str) -> str:
    """Address of the page of a run, from the page of its root."""
    return f"run?name={quote(name, safe='')}"
