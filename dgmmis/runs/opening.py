"""Making a run folder, and opening one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from dgmmis.errors import AlreadyExists
from dgmmis.location import Location, location_of
from dgmmis.runs.checkpoint import digest_of
from dgmmis.runs.description import FIRST, FORMAT, read_description, require_same
from dgmmis.runs.folder import RunFolder
from dgmmis.runs.kept_run import FOLDERS
from dgmmis.runs.place import Place, place_at
from dgmmis.runs.sealed import seal
from dgmmis.trust import Trust, remember

__all__ = ["create_run", "open_run"]


def create_run(
    path: str | Location, config: Mapping[str, Any], data: Mapping[str, Any], numerics: Mapping[str, str]
) -> RunFolder:
    """Make a run folder, or open it if it holds a run of the same configuration and data.

    Raises
    ------
    RunConflict
        If it holds another run; both are shown.
    AlreadyExists
        If the folder holds something else.
    """
    place = place_at(location_of(path))
    if place.exists(FIRST):
        return _same_run(place, config, data)
    if not place.is_blank(FIRST, FOLDERS) and not place.exists(FIRST):  # others may make it at this moment
        raise AlreadyExists(f"{path} exists and is no run. Name a new folder.")
    place.make(FOLDERS)
    content = {"format": FORMAT, "config": dict(config), "data": dict(data), "numerics": dict(numerics)}
    in_order = json.loads(json.dumps(content, sort_keys=True))
    with suppress(FileExistsError):  # another process made it just now: the same one, or refused below
        place.put_if_absent(FIRST, seal(in_order))
    return _same_run(place, config, data)


def _same_run(place: Place, config: Mapping[str, Any], data: Mapping[str, Any]) -> RunFolder:
    """Open a run whose configuration the caller gave, who has thereby named all functions in it."""
    content, description = read_description(place)
    run = RunFolder(place, description, digest_of(content), Trust.in_file(content))
    require_same(place.location, description, config, data, way_out=lambda: _other_place(run))
    if run.names_functions:
        remember(content)
        run.trust = Trust(everything=True)
    return run


def open_run(path: str | Location, *, trust: Iterable[str] | Trust = ()) -> RunFolder:
    """Open a run folder.  Nothing that it names is imported before it is needed.

    Parameters
    ----------
    path : path, or address in an object store
        A folder, or "s3://BUCKET/PREFIX".
    trust : iterable of str
        Functions "module:function" that may be imported because the run names them.  Those of a run that was begun
        from this account may be anyway.

    Raises
    ------
    NotARun
        If it is none, or of a format this version does not read.
    CorruptCheckpoint
        If its run.json was altered.
    """
    place = place_at(location_of(path))
    content, description = read_description(place)
    trusted = trust if isinstance(trust, Trust) else Trust.in_file(content, trust)
    return RunFolder(place, description, digest_of(content), trusted)


def _other_place(run: RunFolder) -> str:
    """Say how a fit of other settings finds a place."""
    state = run.state()
    failed = (
        f"It has {state}: remove it (rm -r {run.path}) if it is of no use, or name"
        if state == "FAILED"
        else "Name"
    )
    return f"{failed} a new folder with --run, or let the settings name one under a root: --runs ROOT."
