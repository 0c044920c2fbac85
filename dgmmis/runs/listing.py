"""The runs in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dgmmis.errors import NotARun
from dgmmis.location import Location, location_of
from dgmmis.runs.description import FIRST
from dgmmis.runs.folder import RunFolder
from dgmmis.runs.opening import open_run
from dgmmis.runs.place import place_at
from dgmmis.trust import Trust

__all__ = ["list_runs", "run_paths"]


def list_runs(root: str | Location, *, trust: Iterable[str] | Trust = ()) -> list[RunFolder]:
    """All runs in `root` and one level below, by name; `trust` as for `open_run`.

    Raises
    ------
    NotARun
        If `root` is no folder, or a run.json under it cannot be read.
    """
    return [open_run(path, trust=trust) for path in run_paths(root)]


def run_paths(root: str | Location) -> list[Location]:
    """Where the runs in `root` and one level below lie, by name, whether they can be read or not.

    Raises
    ------
    NotARun
        If `root` is no folder.
    """
    place = place_at(location_of(root))
    folders = place.folders()
    if not folders and not place.exists(FIRST) and not _is_folder(place.location):
        raise NotARun(f"{root} is no folder.")
    found = [place] if place.exists(FIRST) else []
    found += [below for name in folders if (below := place_at(place.location / name)).exists(FIRST)]
    return [below.location for below in found]


def _is_folder(location: Location) -> bool:
    return isinstance(location, Path) and location.is_dir()
