"""The runs under a root, those that cannot be read set apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgmmis.confinement import confined
from dgmmis.errors import DgmmisError
from dgmmis.location import Location
from dgmmis.runs import RunFolder, open_run, run_paths
from dgmmis.service.summary import run_summary
from dgmmis.trust import NOBODY

__all__ = ["Root", "Waiting", "summaries"]


@dataclass(frozen=True, order=True)
class Waiting:
    """A run that waits for a driver.

    Attributes
    ----------
    since : float
        Seconds since 1970.
    path : pathlib.Path
    attempts : int
        That had been made when it was seen waiting: whoever drives it now may tell whether somebody did meanwhile.
    """

    since: float
    path: Path
    attempts: int


class Root:
    """A root as a server looks at it, again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Path, RunFolder] = {}
        self._told: set[Path] = set()

    def waiting(self, tell: Callable[[str, dict[str, Any]], None]) -> list[Waiting]:
        """List the runs that wait for a driver, the longest first; one that cannot be read is told of, once."""
        found = []
        for file in self._path.glob("*/run.json"):
            path = file.parent
            try:
                run = self._known.get(path) or open_run(confined(self._path, path.name), trust=NOBODY)
                self._known[path] = run
                attempts, since = run.n_attempts(), _waiting_since(run)
            except (DgmmisError, OSError, ValueError, KeyError) as error:
                if path not in self._told:
                    tell("unreadable", {"run": str(path), "reason": str(error)})
                self._told.add(path)
                continue
            if since is not None:
                found.append(Waiting(since, path, attempts))
        return sorted(found)


def _waiting_since(run: RunFolder) -> float | None:
    """Say since when a run waits to be driven by a server; None if it does not.

    One that was prepared and never asked for is somebody's who is about to drive it.
    """
    state = run.state()
    if state == "QUEUED" and run.is_waiting():
        return float(run.requests.last()["asked"])
    return float(run.last_budget()["began"]) if state == "INTERRUPTED" else None


def summaries(root: str | Location) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Sum up all runs under a root, by name; and those that cannot be read, each with its reason.

    Raises
    ------
    NotARun
        If there is no such folder.
    """
    found, unreadable = [], []
    for path in run_paths(root):
        try:
            found.append(run_summary(open_run(path, trust=NOBODY)))
        except (DgmmisError, OSError) as error:
            unreadable.append({"run": str(path), "reason": str(error)})
    return found, unreadable
