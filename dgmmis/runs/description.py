"""What the small JSON objects of a run tell, read so that a stranger's files are refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dgmmis.errors import CorruptCheckpoint, NotARun, RunConflict
from dgmmis.location import Location
from dgmmis.plain_files import MOST_JSON, as_json
from dgmmis.runs.checkpoint import digest_of
from dgmmis.runs.place import Place
from dgmmis.runs.sealed import unseal
from dgmmis.runs.start_object import names_root

__all__ = ["FIRST", "FORMAT", "START", "read_description", "read_record", "require_same"]

FORMAT = "dgmmis run 2"
FIRST, START = "run.json", "start.ckpt"
UNSEALED = {"format", "config", "data", "numerics"}
"""Keys of a run.json of version 0.1.0, which has no hash of itself."""
RESTORE = "Restore it from a copy, or start a new run."


def read_description(place: Place) -> tuple[bytes, dict[str, Any]]:
    """Read the run.json of a run: its bytes and what they say.

    Raises
    ------
    NotARun
        If there is none, or one of a format that this version does not read.
    CorruptCheckpoint
        If it was altered.
    """
    path = place.location
    try:
        content = place.read(FIRST, MOST_JSON)
        description = as_json(content)
    except FileNotFoundError as error:
        raise NotARun(
            f"{path} is no run: it has no run.json. `dgmmis fit --run DIR` makes one, and `dgmmis ls` lists those "
            "below a folder."
        ) from error
    except (OSError, ValueError) as error:
        raise NotARun(f"{path}/run.json cannot be read: {error}. {RESTORE}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise NotARun(_of_other_format(path, description))
    _require_unaltered(place, content, description)
    if not _makes_sense(description):
        raise NotARun(f"{path}/run.json does not tell what is fitted to which rows. Restore it from a copy.")
    return content, description


def _of_other_format(path: Location, description: object) -> str:
    said = description.get("format") if isinstance(description, dict) else None
    return (
        f"{path}/run.json is not of format {FORMAT!r} but {said!r}. Use the version of dgmmis that wrote it, or start "
        f"a new run from its model: dgmmis fit ... --run NEW --initial {path}/model.npz"
    )


def _require_unaltered(place: Place, content: bytes, description: Mapping[str, Any]) -> None:
    """Compare run.json with its own hash, which version 0.1.0 did not write, and with the start that names it."""
    path = place.location
    unseal(content, f"{path}/{FIRST}", required=set(description) != UNSEALED, way_out=RESTORE)
    try:
        start = place.read(START)
    except (FileNotFoundError, CorruptCheckpoint):
        return  # a start that is not there, or damaged, cannot say otherwise
    if not names_root(start, digest_of(content)):
        raise CorruptCheckpoint(
            f"{path}/{FIRST} and the {START} beside it do not belong together: one was altered, or is of another run. "
            f"{RESTORE}"
        )


def _makes_sense(description: Mapping[str, Any]) -> bool:
    """Tell whether a description has what readers of a run count on."""
    config, data, numerics = (description.get(name) for name in ("config", "data", "numerics"))
    if not (isinstance(config, dict) and isinstance(data, dict) and isinstance(numerics, dict)):
        return False
    backgrounds, selecting = config.get("backgrounds", []), config.get("selection")
    texts = [data.get("path"), data.get("fingerprint"), *numerics.values()]
    lists = [data.get("features"), data.get("units")]
    return (
        isinstance(config.get("n_components"), int)
        and isinstance(data.get("rows"), int)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
        and isinstance(backgrounds, list)
        and all(isinstance(one, dict) for one in backgrounds)
        and (selecting is None or _tells_of_selection(selecting))
    )


def _tells_of_selection(said: object) -> bool:
    return (
        isinstance(said, dict)
        and {"noise_model", "before_noise", "oversampling"} <= said.keys()
        and isinstance(said.get("what"), dict)
        and isinstance(said.get("digest"), str)
    )


def read_record(
    place: Place,
    name: str,
    *,
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
    sealed: bool = False,
    way_out: str = "Restore it from a copy.",
) -> dict[str, Any]:
    """Read a small object of a run that has these numbers and texts; if it carries a hash, compare it.

    Parameters
    ----------
    place : Place
        Where the run lies.
    name : str
    numbers, texts : sequence of str
    sealed : bool
        Whether one without a hash is refused.
    way_out : str
        What to do if it was altered.

    Raises
    ------
    CorruptCheckpoint
        If it is none, or was altered or lost.
    """
    path = f"{place.location}/{name}"
    try:
        content = place.read(name, MOST_JSON)
    except FileNotFoundError as error:
        raise CorruptCheckpoint(f"{path} is missing. {way_out}") from error
    record = unseal(content, path, required=sealed, way_out=way_out)
    lacking = [key for key in numbers if not isinstance(record.get(key), int | float)]
    lacking += [key for key in texts if not isinstance(record.get(key), str)]
    if lacking:
        raise CorruptCheckpoint(f"{path} does not tell {', '.join(lacking)}. {way_out}")
    return record


def require_same(
    path: Location,
    description: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    way_out: Callable[[], str],
) -> None:
    """Raise `RunConflict` if a run is not one of this configuration and these data; both are shown, and a way out."""
    stored, asked = dict(description["config"]), json.loads(json.dumps(dict(config)))
    stored["data fingerprint"], asked["data fingerprint"] = (
        description["data"]["fingerprint"],
        data["fingerprint"],
    )
    different = sorted(key for key in stored.keys() | asked.keys() if stored.get(key) != asked.get(key))
    if different:
        lines = "; ".join(f"{key}: there {stored.get(key)}, asked {asked.get(key)}" for key in different)
        raise RunConflict(f"{path} holds a run of another configuration ({lines}). {way_out()}")
