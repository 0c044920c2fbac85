"""The run folder.

run.json          what shapes the trajectory: configuration, data fingerprint, seed, numerics
arrays.npz        large arrays of the configuration (maps of a selection), if it has any
start.ckpt        the mixture the fit starts from, and how it was found
ckpt/000012.ckpt  one object per pass, each naming the digest of the one before
requests/0001.json  what somebody who left wishes a server to drive it with
attempts/0001.json  cluster, tolerance, max_passes: budgets belong to an attempt
log/0001.jsonl    one line per event of that attempt
pulse.json        what its driver is doing at this moment, written over every few seconds
cancel            somebody wants it to stop
final.json        how the run ended
collected/0001.json  which checkpoints were collected as garbage, and their digests
lock              held by whoever drives the run
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dgmmis.background import BackgroundLike
from dgmmis.errors import AlreadyExists, CorruptCheckpoint, NotARun, StorageFailed, UnsafePlace
from dgmmis.iterate import Pass
from dgmmis.location import Location, location_of
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plain_arrays import read_arrays
from dgmmis.runs.checkpoint import Checkpoint, decode, digest_of, encode, is_whole
from dgmmis.runs.description import FIRST, FORMAT, START, read_description, read_record, require_same
from dgmmis.runs.parameters import npz_of
from dgmmis.runs.place import Place, place_at
from dgmmis.runs.requests import NoRequests, Requests
from dgmmis.runs.sealed import SEAL, seal
from dgmmis.runs.start_object import decode_start, encode_start
from dgmmis.runs.task_record import names_functions, stored_backgrounds, stored_selection, stored_task
from dgmmis.runs.trace import Trace
from dgmmis.selection import Selection
from dgmmis.starts import Start
from dgmmis.task import Task
from dgmmis.trust import NOBODY, Trust, remember

__all__ = ["RunFolder", "create_run", "open_run"]

BUDGET = ("tolerance", "max_passes", "requests")
FOLDERS = ("ckpt", "attempts", "log", "requests")
ARRAYS = "arrays.npz"
FINAL = "final.json"
MODEL = "model.npz"
ATTEMPT = re.compile(r"[0-9]{4}\.json")


class RunFolder:
    """One run where it is kept.  Use `create_run` or `open_run`.

    Attributes
    ----------
    place : Place
        What reads and writes there.
    description : dict
        The content of run.json: `config`, `data`, `numerics`.
    trust : Trust
        Which functions that run.json names may be imported.
    """

    def __init__(self, place: Place, description: dict[str, Any], root: str, trust: Trust = NOBODY) -> None:
        self.place, self.description, self._root, self.trust = place, description, root, trust

    @property
    def path(self) -> Location:
        """Where the run lies: a path, or an address in an object store."""
        return self.place.location

    @property
    def folder(self) -> Path:
        """Its folder; raises `UnsafePlace` if it lies in an object store."""
        if isinstance(self.path, Path):
            return self.path
        raise UnsafePlace(f"{self.path} lies in an object store; this is done to runs on a disk only.")

    @property
    def root(self) -> str:
        """Digest of run.json: what the start names as its parent."""
        return self._root

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
        """The backgrounds that the run began with; one whose function is not trusted cannot be asked."""
        return stored_backgrounds(self.config, self.trust)

    @cached_property
    def selection(self) -> Selection | None:
        """The selection of the run's rows.

        Raises
        ------
        SelectionError, UntrustedFunction
            If it has a function that cannot be imported here, or is not to be.
        """
        return stored_selection(self.config, self.arrays(), self.trust)

    def task(self, features: tuple[str, ...]) -> Task:
        """Return what is fitted; raises as `selection`."""
        return stored_task(self.config, self.arrays(), features, self.trust)

    @property
    def names_functions(self) -> bool:
        """Whether run.json names functions of users."""
        return names_functions(self.config)

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Store the arrays that the configuration names by their hashes."""
        if arrays:
            with suppress(FileExistsError):  # the same content: its hashes are in run.json
                self.place.put_if_absent(ARRAYS, npz_of(arrays))

    def arrays(self) -> dict[str, Array]:
        """Return what `write_arrays` stored."""
        if not self.place.exists(ARRAYS):
            return {}
        try:
            return read_arrays(self.place.read(ARRAYS))
        except ValueError as error:
            raise CorruptCheckpoint(
                f"{self.path}/{ARRAYS} was cut off or altered: {error}. Restore it from a copy, or start a new run."
            ) from error

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one that drives this run.

        Raises
        ------
        RunLocked
            If another is.
        UnsafeFile
            If what is written would lie elsewhere, by a symbolic link.
        DiskFull, StorageFailed
            If the disk fails.
        """
        try:
            with self.place.hold((*FOLDERS, "collected")):
                yield
        except StorageFailed as error:
            raise error.going_on(f"go on with `dgmmis resume {self.path}`") from error

    @property
    def requests(self) -> Requests | NoRequests:
        """What is asked of this run."""
        return Requests(self.path) if isinstance(self.path, Path) else NoRequests(self.path)

    def is_waiting(self) -> bool:
        """Tell whether a request is not answered yet: no attempt began since it was put."""
        count = self.requests.count()
        answered = self.last_budget().get("requests", 0) if count else 0
        return count > (answered if isinstance(answered, int) else 0)

    def is_held(self) -> bool:
        """Tell whether a living process drives this run."""
        return self.place.is_held()

    def holder(self) -> str:
        """Who drives this run, or did last; empty if nobody did."""
        return self.place.holder()

    def state(self) -> str:
        """Compute the state from what lies there and from the lock.

        QUEUED waits to be driven; RUNNING is driven; CANCELLING is driven, and its driver is about to stop; CANCELLED
        was stopped by a cancel; SUCCEEDED converged; STOPPED ran out of its passes; FAILED cannot go on as it is;
        INTERRUPTED died.  Nothing can stay RUNNING after its driver's death, because the lock dies with it.
        """
        if self.is_held():
            cancelling = self.requests.is_cancelled() and self.final() is None
            return "CANCELLING" if cancelling else "RUNNING"
        return self.resting_state()

    def resting_state(self) -> str:
        """Compute the state as if nobody drove the run."""
        end, cancelled, waiting = self.end(), self.requests.is_cancelled(), self.is_waiting()
        if end and (cancelled or not waiting):
            return end
        if cancelled:
            return "CANCELLED"
        return "QUEUED" if waiting or self.n_attempts() == 0 else "INTERRUPTED"

    def end(self) -> str:
        """Name the end that the last attempt came to by itself: SUCCEEDED, FAILED or STOPPED; empty without one.

        A cancel that came after it was too late.
        """
        final, attempts = self.final(), self.n_attempts()
        if final is not None or attempts == 0:
            return "" if final is None else str(final["state"])
        trace = self.open_trace(attempts).read()
        return "STOPPED" if trace and trace[-1]["event"] == "stopped" else ""

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
        names = (name.removesuffix(".ckpt") for name in self.place.names("ckpt") if name.endswith(".ckpt"))
        return sorted(int(name) for name in names if name.isdecimal())

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
        """Rename checkpoints, and an end, that fail their own hash, so that they can be made again.

        Returns
        -------
        list of int
            The checkpoints' numbers.
        """
        damaged = []
        for number in self.checkpoint_numbers():
            try:
                self.read_checkpoint(number)
            except CorruptCheckpoint:
                self._set_aside(_checkpoint(number))
                damaged.append(number)
        try:
            self.final()
        except CorruptCheckpoint:
            self._set_aside(FINAL)
        return damaged

    def _set_aside(self, name: str) -> None:
        self.place.set_aside(name, f"{name.rpartition('.')[0]}.damaged-{self.n_attempts()}")

    def model(self) -> Model:
        """Return the model that stands after the last pass.

        Raises
        ------
        NotARun
            Before the first one is done.
        CorruptCheckpoint
            If the run has ended, and the checkpoint it ended on is damaged or lost.
        """
        latest = self.latest()
        if not self.reaches_its_end(latest):
            raise CorruptCheckpoint(
                f"the last checkpoint of {self.path} is damaged or lost. Make it again: dgmmis resume {self.path}"
            )
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
            path = Path(folder) / MODEL
            model.save(path)
            self.place.replace(path.name, path.read_bytes())
            return str(self.path / path.name)

    def read_checkpoint(self, number: int) -> Checkpoint:
        """Read one checkpoint; raises `CorruptCheckpoint` if it is not what was written."""
        name = _checkpoint(number)
        checkpoint = decode(self.place.read(name), f"{self.path}/{name}", self.backgrounds)
        if checkpoint.scan.number != number:
            raise CorruptCheckpoint(
                f"{self.path}/{name} holds pass {checkpoint.scan.number}: files were mixed up."
            )
        return checkpoint

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

    def reaches_its_end(self, latest: Checkpoint | None) -> bool:
        """Tell whether the checkpoint that the run ended on, if it has, is still there."""
        updates = (self.final() or {}).get("updates", -1)
        return (-1 if latest is None else latest.scan.number) >= int(updates)

    def stored_digest(self, number: int) -> str:
        """Digest of a stored checkpoint, whatever it holds."""
        return digest_of(self.place.read(_checkpoint(number)))

    def checkpoint_path(self, number: int) -> Path:
        """Where a checkpoint lies on a disk."""
        return self.folder / _checkpoint(number)

    # --- attempts, their traces, the end

    def n_attempts(self) -> int:
        """How often this run was driven."""
        records = filter(ATTEMPT.fullmatch, self.place.names("attempts"))
        return max((int(name.removesuffix(".json")) for name in records), default=0)

    def begin_attempt(self, budget: Mapping[str, Any]) -> int:
        """Record a new attempt with its budget and return its number; it answers all requests, unless it says less."""
        number = self.n_attempts() + 1
        answered = {"requests": self.requests.count()}
        content = seal({**answered, **budget, "began": time.time(), "run": self._root})
        self.place.put_if_absent(f"attempts/{number:04d}.json", content)
        return number

    def budget(self, attempt: int) -> dict[str, Any]:
        """Tolerance, passes and means of an attempt, and when it began."""
        name = f"attempts/{attempt:04d}.json"
        way_out = f"Name its budgets: dgmmis resume {self.path} --tolerance T --max-passes N"
        return self._record(name, way_out, numbers=("tolerance", "max_passes", "began"))

    def last_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means of the last attempt; empty before the first."""
        number = self.n_attempts()
        return self.budget(number) if number else {}

    def next_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means for the next attempt, and how many `requests` it answers.

        Those of the last request if it waits, else of the last attempt; empty if there is neither.
        """
        count = self.requests.count()
        budget = self.requests.read(count) if self.is_waiting() else self.last_budget()
        return {**budget, "requests": count}

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
        if not self.place.exists(FINAL):
            return None
        way_out = f"Have it written again: dgmmis resume {self.path}"
        record = self._record(FINAL, way_out, texts=("state", "reason"))
        if not isinstance(record.get("updates", -1), int):
            raise CorruptCheckpoint(
                f"{self.path}/{FINAL} does not tell after how many updates it ended. {way_out}"
            )
        return record

    def _record(
        self, name: str, way_out: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Read a record of this run: sealed, unless the run is of version 0.1.0."""
        sealed = SEAL in self.description
        record = read_record(self.place, name, numbers=numbers, texts=texts, sealed=sealed, way_out=way_out)
        if record.pop("run", self._root) != self._root:
            raise CorruptCheckpoint(
                f"{self.path}/{name} belongs to another run than the {FIRST} beside it. {way_out}"
            )
        return record

    def write_final(self, outcome: Mapping[str, Any]) -> None:
        """Record the end."""
        self.place.put_if_absent(FINAL, seal({**outcome, "run": self._root}))

    def reopen(self, attempt: int) -> None:
        """Set an earlier end aside because an attempt with a larger budget goes on from it."""
        if self.place.exists(FINAL):
            self.place.set_aside(FINAL, f"attempts/{attempt:04d}-superseded-final.json")

    def give_up(self, reason: str) -> None:
        """Record, in an attempt of its own, that the run cannot be driven as it is, and why.

        Raises
        ------
        RunLocked
            If somebody drives it.
        """
        with self.driven():
            budget = {key: value for key, value in self.next_budget().items() if key in BUDGET}
            number = self.begin_attempt(budget)
            self.open_trace(number).write("refused", reason=reason)
            self.reopen(number)
            self.write_final({"state": "FAILED", "reason": reason})


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
