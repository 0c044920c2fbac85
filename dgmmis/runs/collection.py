"""What a run folder can do without: it is named, and, if so asked, removed."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from dgmmis.errors import CorruptCheckpoint
from dgmmis.runs.description import read_record
from dgmmis.runs.folder import RunFolder
from dgmmis.runs.objects import make_folders, put_if_absent

__all__ = [
    "collectable_checkpoints",
    "collected_checkpoints",
    "collections",
    "leftovers",
    "remove_checkpoints",
]

KEPT_LAST, KEPT_EVERY = 3, 10
SAFE_AGE = 3600.0
"""Seconds after which a temporary file outside of a driver's reach counts as left behind."""
FOLDER = "collected"
RECORD = re.compile(r"[0-9]{4}\.json")
DRIVERS_OWN = ("ckpt", "attempts")
"""Folders that only a driver writes into."""


def collectable_checkpoints(run: RunFolder) -> list[int]:
    """Numbers of checkpoints that neither going on nor the result needs.

    What stays: the last three, every tenth, and the one with the highest objective.
    """
    latest = run.latest()
    if latest is None:
        return []
    numbers = [number for number in run.checkpoint_numbers() if number <= latest.scan.number]
    objectives = latest.scan.objectives
    best = max(numbers, key=lambda number: objectives[number])
    kept = {*numbers[-KEPT_LAST:], best}
    return [number for number in numbers if number % KEPT_EVERY and number not in kept]


def remove_checkpoints(run: RunFolder, numbers: list[int]) -> None:
    """Remove checkpoints, after their digests were written down: the chain can be followed across the gaps."""
    if not numbers:
        return
    folder = run.folder / FOLDER
    make_folders(folder)
    digests = {f"{number}": run.stored_digest(number) for number in numbers}
    record = {"removed": digests, "time": time.time()}
    count = len(collections(run))
    put_if_absent(folder / f"{count + 1:04d}.json", json.dumps(record, indent=1).encode())
    for number in numbers:
        run.checkpoint_path(number).unlink()


def collections(run: RunFolder) -> list[str]:
    """Name the records of what was removed."""
    return [f"{FOLDER}/{name}" for name in run.place.names(FOLDER) if RECORD.fullmatch(name)]


def collected_checkpoints(run: RunFolder, record: str) -> dict[int, str]:
    """Numbers and digests of the checkpoints that a record names; raises `CorruptCheckpoint` if it is none."""
    removed = read_record(run.place, record, numbers=("time",)).get("removed")
    if not isinstance(removed, dict) or not all(
        number.isdecimal() and isinstance(digest, str) for number, digest in removed.items()
    ):
        raise CorruptCheckpoint(
            f"{run.path}/{record} does not tell which checkpoints were removed. Restore it from a copy."
        )
    return {int(number): digest for number, digest in removed.items()}


def leftovers(run: RunFolder) -> list[Path]:
    """Files that deaths and damages left behind; to be asked by whoever holds the run's lock."""
    temporary = [path for path in run.folder.rglob(".*.tmp") if _is_left_behind(path)]
    return sorted([*temporary, *run.folder.rglob("*.damaged-*")])


def _is_left_behind(path: Path) -> bool:
    if path.parent.name in DRIVERS_OWN:
        return True
    try:
        return time.time() - path.stat().st_mtime > SAFE_AGE
    except FileNotFoundError:
        return False
