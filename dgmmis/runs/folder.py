"""The run folder.

run.json          what shapes the trajectory: configuration, data fingerprint, seed, numerics
arrays.npz        large arrays of the configuration (maps of a selection), if it has any
start.ckpt        the mixture the fit starts from, and how it was found
ckpt/000012.ckpt  one object per pass, each naming the digest of the one before
attempts/0001.json  cluster, tolerance, max_passes: budgets belong to an attempt
log/0001.jsonl    one line per event of that attempt
final.json        how the run ended
lock              held by whoever drives the run
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.errors import AlreadyExists, CorruptCheckpoint, NotARun, RunConflict
from dgmmis.iterate import Pass
from dgmmis.location import Location, location_of
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.runs.checkpoint import Checkpoint, decode, digest_of, encode, is_whole
from dgmmis.runs.parameters import npz_of
from dgmmis.runs.place import Place, place_at
from dgmmis.runs.start_object import decode_start, encode_start
from dgmmis.runs.task_record import stored_backgrounds, stored_selection
from dgmmis.runs.trace import Trace
from dgmmis.selection import Selection
from dgmmis.starts import Start

__all__ = ["RunFolder", "create_run", "open_run"]

FORMAT = "dgmmis run 2"
FOLDERS = ("ckpt", "attempts", "log")
FIRST = "run.json"
START = "start.ckpt"
ARRAYS = "arrays.npz"
FINAL = "final.json"
ATTEMPT = re.compile(r"[0-9]{4}\.json")


class RunFolder:
    """One run where it is kept.  Use `create_run` or `open_run`.

    Attributes
    ----------
    place : Place
        What reads and writes there.
    description : dict
        The content of run.json: `config`, `data`, `numerics`.
    """

    def __init__(self, place: Place, description: dict[str, Any], root: str) -> None:
        self.place, self.description, self._root = place, description, root

    @property
    def path(self) -> Location:
        """Where the run lies: a path, or an address in an object store."""
        return self.place.location

    @property
    def config(self) -> dict[str, Any]:
        """The settings that shape the trajectory."""
        return dict(self.description["config"])

    @property
    def data(self) -> dict[str, Any]:
        """The catalogue: path, fingerprint, rows, features, units."""
        return dict(self.description["data"])

    @cached_property
    def backgrounds(self) -> tuple[BackgroundLike, ...]:
        """The backgrounds that the run began with."""
        return stored_backgrounds(self.config)

    @cached_property
    def selection(self) -> Selection | None:
        """The selection of the run's rows; raises `SelectionError` if a function cannot be imported here."""
        return stored_selection(self.config, self.arrays())

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Store the arrays that the configuration names by their hashes."""
        if arrays:
            with suppress(FileExistsError):  # the same content: its hashes are in run.json
                self.place.put_if_absent(ARRAYS, npz_of(arrays))

    def arrays(self) -> dict[str, Array]:
        """Return what `write_arrays` stored."""
        if not self.place.exists(ARRAYS):
            return {}
        with np.load(io.BytesIO(self.place.read(ARRAYS)), allow_pickle=False) as stored:
            return dict(stored)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one that drives this run; raises `RunLocked` if another is."""
        with self.place.hold():
            yield

    def state(self) -> str:
        """Compute the state: RUNNING, SUCCEEDED, FAILED, STOPPED, INTERRUPTED or QUEUED.

        STOPPED ran out of its passes and can be resumed with more; INTERRUPTED died; nothing can stay
        RUNNING after its driver's death, because the lock dies with it.
        """
        if self.place.is_held():
            return "RUNNING"
        final = self.final()
        if final is not None:
            return str(final["state"])
        attempts = self.n_attempts()
        if attempts == 0:
            return "QUEUED"
        trace = self.open_trace(attempts).read()
        return "STOPPED" if trace and trace[-1]["event"] == "stopped" else "INTERRUPTED"

    # --- the chain of checkpoints

    def read_start(self) -> Start | None:
        """Return where the fit starts, or None before that is known."""
        if not self.place.exists(START):
            return None
        return decode_start(self.place.read(START), f"{self.path}/{START}", self._root, self.backgrounds)

    def write_start(self, start: Start) -> None:
        """Store where the fit starts."""
        self.place.put_if_absent(START, encode_start(start, self._root))

    def checkpoint_numbers(self) -> list[int]:
        """Numbers of the stored passes, ascending."""
        names = self.place.names("ckpt")
        return sorted(int(name.removesuffix(".ckpt")) for name in names if name.endswith(".ckpt"))

    def latest(self, at_most: int | None = None) -> Checkpoint | None:
        """Return the last whole checkpoint that belongs to this chain; one that fails its hash is passed over.

        Parameters
        ----------
        at_most : int, optional
            Look no further than this pass.

        Raises
        ------
        CorruptCheckpoint
            If a whole checkpoint does not follow from the one before it.
        """
        for number in reversed(self.checkpoint_numbers()):
            if at_most is not None and number > at_most:
                continue
            try:
                checkpoint = self.read_checkpoint(number)
            except CorruptCheckpoint:
                continue
            self._require_parent(checkpoint, number)
            return checkpoint
        return None

    def set_aside_damaged(self) -> list[int]:
        """Rename checkpoints that fail their own hash, so that their passes can be made again.

        Returns
        -------
        list of int
            Their numbers.
        """
        damaged = []
        for number in self.checkpoint_numbers():
            try:
                self.read_checkpoint(number)
            except CorruptCheckpoint:
                name = _checkpoint(number)
                self.place.set_aside(name, f"{name.removesuffix('.ckpt')}.damaged-{self.n_attempts()}")
                damaged.append(number)
        return damaged

    def model(self) -> Model:
        """Return the model that stands after the last pass; raises `NotARun` before the first one is done."""
        latest = self.latest()
        if latest is None:
            raise NotARun(f"{self.path} has no finished pass yet: drive it with `dgmmis resume {self.path}`.")
        standing = latest.scan.standing
        return Model(
            standing.mixture,
            tuple(self.data["features"]),
            tuple(self.data["units"]),
            standing.population.backgrounds,
            self.selection,
        )

    def write_model(self, model: Model) -> str:
        """Write a model beside the run, as `model.npz`, over an earlier one; tell where."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.npz"
            model.save(path)
            self.place.replace(path.name, path.read_bytes())
            return str(self.path / path.name)

    def read_checkpoint(self, number: int) -> Checkpoint:
        """Read one checkpoint; raises `CorruptCheckpoint` if it is not what was written."""
        name = _checkpoint(number)
        return decode(self.place.read(name), f"{self.path}/{name}", self.backgrounds)

    def write_checkpoint(self, scan: Pass, parent: str) -> str:
        """Store a pass and return its digest."""
        content = encode(scan, parent)
        self.place.put_if_absent(_checkpoint(scan.number), content)
        return digest_of(content)

    def digest_of_start(self) -> str:
        """Digest of the start: the parent of checkpoint 0."""
        return digest_of(self.place.read(START))

    def _require_parent(self, checkpoint: Checkpoint, number: int) -> None:
        try:
            before = self.place.read(START if number == 0 else _checkpoint(number - 1))
        except (FileNotFoundError, CorruptCheckpoint):
            return  # this one is whole; what came before cannot say otherwise
        if not is_whole(before):
            return
        expected = digest_of(before)
        if checkpoint.parent != expected:
            raise CorruptCheckpoint(
                f"checkpoint {number} of {self.path} follows {checkpoint.parent[:12]}, but the one before it is "
                f"{expected[:12]}: files of another run were mixed in. Restore the folder from a copy."
            )

    # --- attempts, their traces, the end

    def n_attempts(self) -> int:
        """How often this run was driven."""
        return sum(ATTEMPT.fullmatch(name) is not None for name in self.place.names("attempts"))

    def begin_attempt(self, budget: Mapping[str, Any]) -> int:
        """Record a new attempt with its budget and return its number."""
        number = self.n_attempts() + 1
        content = json.dumps({**budget, "began": time.time()}, indent=1).encode()
        self.place.put_if_absent(f"attempts/{number:04d}.json", content)
        return number

    def budget(self, attempt: int) -> dict[str, Any]:
        """Tolerance, passes, means and beginning of an attempt."""
        return dict(json.loads(self.place.read(f"attempts/{attempt:04d}.json")))

    def last_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means of the last attempt; empty before the first."""
        number = self.n_attempts()
        return self.budget(number) if number else {}

    def open_trace(self, attempt: int) -> Trace:
        """Where that attempt logs."""
        return Trace(self.place, f"log/{attempt:04d}.jsonl")

    def trace(self) -> list[dict[str, Any]]:
        """All events of all attempts, in order."""
        return [
            {**event, "attempt": attempt}
            for attempt in range(1, self.n_attempts() + 1)
            for event in self.open_trace(attempt).read()
        ]

    def final(self) -> dict[str, Any] | None:
        """How the run ended, or None."""
        return dict(json.loads(self.place.read(FINAL))) if self.place.exists(FINAL) else None

    def write_final(self, outcome: Mapping[str, Any]) -> None:
        """Record the end."""
        self.place.put_if_absent(FINAL, json.dumps(outcome, indent=1).encode())

    def reopen(self, attempt: int) -> None:
        """Set an earlier end aside because an attempt with a larger budget goes on from it."""
        if self.place.exists(FINAL):
            self.place.set_aside(FINAL, f"attempts/{attempt:04d}-superseded-final.json")


def _checkpoint(number: int) -> str:
    return f"ckpt/{number:06d}.ckpt"


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
        run = _opened(place)
        _require_same(run, config, data)
        return run
    if not place.is_blank(FIRST, FOLDERS):
        raise AlreadyExists(f"{path} exists and is no run. Name a new folder.")
    place.make(FOLDERS)
    content = {"format": FORMAT, "config": dict(config), "data": dict(data), "numerics": dict(numerics)}
    try:
        place.put_if_absent(FIRST, json.dumps(content, indent=1, sort_keys=True).encode())
    except FileExistsError:  # another process made it at the same moment
        _require_same(_opened(place), config, data)
    return _opened(place)


def open_run(path: str | Location) -> RunFolder:
    """Open a run folder.

    Parameters
    ----------
    path : path, or address in an object store
        A folder, or "s3://BUCKET/PREFIX".

    Raises
    ------
    NotARun
        If it is none, or of a format this version does not read.
    """
    return _opened(place_at(location_of(path)))


def _opened(place: Place) -> RunFolder:
    path = place.location
    try:
        content = place.read(FIRST)
        description = json.loads(content)
    except FileNotFoundError as error:
        raise NotARun(f"{path} is no run: it has no run.json. `dgmmis fit --run DIR` makes one.") from error
    except (OSError, ValueError) as error:
        raise NotARun(f"{path}/run.json cannot be read: {error}.") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise NotARun(f"{path}/run.json is not of format {FORMAT!r}.")
    return RunFolder(place, description, digest_of(content))


def _require_same(run: RunFolder, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    stored, asked = run.config, json.loads(json.dumps(dict(config)))
    stored["data fingerprint"], asked["data fingerprint"] = run.data["fingerprint"], data["fingerprint"]
    different = sorted(key for key in stored.keys() | asked.keys() if stored.get(key) != asked.get(key))
    if different:
        lines = "; ".join(f"{key}: there {stored.get(key)}, asked {asked.get(key)}" for key in different)
        raise RunConflict(
            f"{run.path} holds a run of another configuration ({lines}). Name a new folder with --run."
        )
