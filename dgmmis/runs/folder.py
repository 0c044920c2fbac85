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

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from dgmmis.background import BackgroundLike
from dgmmis.disk_faults import naming_faults
from dgmmis.errors import AlreadyExists, CorruptCheckpoint, NotARun, RunConflict, StorageFailed
from dgmmis.iterate import Pass
from dgmmis.model import Model
from dgmmis.npz_file import UNREADABLE, read_npz
from dgmmis.packed import Array
from dgmmis.runs.checkpoint import Checkpoint, decode, digest_of, encode, is_whole
from dgmmis.runs.lock import hold, is_held
from dgmmis.runs.objects import make_folders, put_if_absent
from dgmmis.runs.parameters import npz_of
from dgmmis.runs.sealed import SEAL, seal, unseal
from dgmmis.runs.start_object import decode_start, encode_start, names_root
from dgmmis.runs.task_record import stored_backgrounds, stored_selection
from dgmmis.runs.trace import read_trace
from dgmmis.selection import Selection
from dgmmis.starts import Start

__all__ = ["RunFolder", "create_run", "open_run"]

FORMAT = "dgmmis run 2"
FOLDERS = ("ckpt", "attempts", "log")
UNSEALED = {"format", "config", "data", "numerics"}
"""Keys of a run.json of version 0.1.0, which has no hash of itself."""


class RunFolder:
    """One run on disk.  Use `create_run` or `open_run`.

    Attributes
    ----------
    path : pathlib.Path
    description : dict
        The content of run.json: `config`, `data`, `numerics`.
    """

    def __init__(self, path: Path, description: dict[str, Any], root: str) -> None:
        self.path, self.description, self._root = path, description, root

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
                put_if_absent(self.path / "arrays.npz", npz_of(arrays))

    def arrays(self) -> dict[str, Array]:
        """Return what `write_arrays` stored."""
        path = self.path / "arrays.npz"
        if not path.exists():
            return {}
        try:
            with naming_faults(path):
                return read_npz(path.read_bytes())
        except UNREADABLE as error:
            raise CorruptCheckpoint(
                f"{path} was cut off or altered: {error}. Restore it from a copy, or start a new run."
            ) from error

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one that drives this run; raises `RunLocked` if another is, `StorageFailed` if the disk fails."""
        try:
            with hold(self.path / "lock"):
                yield
        except StorageFailed as error:
            raise error.going_on(f"go on with `dgmmis resume {self.path}`") from error

    def state(self) -> str:
        """Compute the state: RUNNING, SUCCEEDED, FAILED, STOPPED, INTERRUPTED or QUEUED.

        STOPPED ran out of its passes and can be resumed with more; INTERRUPTED died; nothing can stay
        RUNNING after its driver's death, because the lock dies with it.
        """
        if is_held(self.path / "lock"):
            return "RUNNING"
        final = self.final()
        if final is not None:
            return str(final["state"])
        attempts = self.n_attempts()
        if attempts == 0:
            return "QUEUED"
        trace = read_trace(self.trace_path(attempts))
        return "STOPPED" if trace and trace[-1]["event"] == "stopped" else "INTERRUPTED"

    # --- the chain of checkpoints

    def read_start(self) -> Start | None:
        """Return where the fit starts, or None before that is known."""
        path = self.path / "start.ckpt"
        return (
            decode_start(path.read_bytes(), str(path), self._root, self.backgrounds)
            if path.exists()
            else None
        )

    def write_start(self, start: Start) -> None:
        """Store where the fit starts."""
        put_if_absent(self.path / "start.ckpt", encode_start(start, self._root))

    def checkpoint_numbers(self) -> list[int]:
        """Numbers of the stored passes, ascending."""
        return sorted(int(path.stem) for path in (self.path / "ckpt").glob("*.ckpt"))

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
                _set_aside(self._checkpoint_path(number), self.n_attempts())
                damaged.append(number)
        try:
            self.final()
        except CorruptCheckpoint:
            _set_aside(self.path / "final.json", self.n_attempts())
        return damaged

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

    def read_checkpoint(self, number: int) -> Checkpoint:
        """Read one checkpoint; raises `CorruptCheckpoint` if it is not what was written."""
        path = self._checkpoint_path(number)
        with naming_faults(path):
            checkpoint = decode(path.read_bytes(), str(path), self.backgrounds)
        if checkpoint.scan.number != number:
            raise CorruptCheckpoint(f"{path} holds pass {checkpoint.scan.number}: files were mixed up.")
        return checkpoint

    def write_checkpoint(self, scan: Pass, parent: str) -> str:
        """Store a pass and return its digest."""
        content = encode(scan, parent)
        put_if_absent(self._checkpoint_path(scan.number), content)
        return digest_of(content)

    def digest_of_start(self) -> str:
        """Digest of the start: the parent of checkpoint 0."""
        return digest_of((self.path / "start.ckpt").read_bytes())

    def _require_parent(self, checkpoint: Checkpoint, number: int) -> None:
        before = self.path / "start.ckpt" if number == 0 else self._checkpoint_path(number - 1)
        if not before.exists() or not is_whole(before.read_bytes()):
            return  # this one is whole; what came before cannot say otherwise
        expected = digest_of(before.read_bytes())
        if checkpoint.parent != expected:
            raise CorruptCheckpoint(
                f"checkpoint {number} of {self.path} follows {checkpoint.parent[:12]}, but the one before it is "
                f"{expected[:12]}: files of another run were mixed in. Restore the folder from a copy."
            )

    def reaches_its_end(self, latest: Checkpoint | None) -> bool:
        """Tell whether the checkpoint that the run ended on, if it has, is still there."""
        updates = (self.final() or {}).get("updates", -1)
        return (-1 if latest is None else latest.scan.number) >= int(updates)

    def _checkpoint_path(self, number: int) -> Path:
        return self.path / "ckpt" / f"{number:06d}.ckpt"

    # --- attempts, their traces, the end

    def n_attempts(self) -> int:
        """How often this run was driven."""
        records = (self.path / "attempts").glob("[0-9][0-9][0-9][0-9].json")
        return max((int(path.stem) for path in records), default=0)

    def begin_attempt(self, budget: Mapping[str, Any]) -> int:
        """Record a new attempt with its budget and return its number."""
        number = self.n_attempts() + 1
        content = seal({**budget, "began": time.time(), "run": self._root})
        put_if_absent(self.path / "attempts" / f"{number:04d}.json", content)
        return number

    def last_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means of the last attempt; empty before the first."""
        number = self.n_attempts()
        return self.budget(number) if number else {}

    def budget(self, attempt: int) -> dict[str, Any]:
        """Tolerance, passes and means of an attempt."""
        way_out = f"Name its budgets: dgmmis resume {self.path} --tolerance T --max-passes N"
        return self._record(self.path / "attempts" / f"{attempt:04d}.json", way_out)

    def trace_path(self, attempt: int) -> Path:
        """Where that attempt logs."""
        return self.path / "log" / f"{attempt:04d}.jsonl"

    def trace(self) -> list[dict[str, Any]]:
        """All events of all attempts, in order."""
        return [
            {**event, "attempt": attempt}
            for attempt in range(1, self.n_attempts() + 1)
            for event in read_trace(self.trace_path(attempt))
        ]

    def final(self) -> dict[str, Any] | None:
        """How the run ended, or None."""
        path = self.path / "final.json"
        way_out = f"Have it written again: dgmmis resume {self.path}"
        return self._record(path, way_out) if path.exists() else None

    def _record(self, path: Path, way_out: str) -> dict[str, Any]:
        try:
            with naming_faults(path):
                content = path.read_bytes()
        except FileNotFoundError as error:
            raise CorruptCheckpoint(f"{path} is missing. {way_out}") from error
        record = unseal(content, path, required=SEAL in self.description, way_out=way_out)
        if record.pop("run", self._root) != self._root:
            raise CorruptCheckpoint(f"{path} belongs to another run than the run.json beside it. {way_out}")
        return record

    def write_final(self, outcome: Mapping[str, Any]) -> None:
        """Record the end."""
        put_if_absent(self.path / "final.json", seal({**outcome, "run": self._root}))

    def reopen(self, attempt: int) -> None:
        """Set an earlier end aside because an attempt with a larger budget goes on from it."""
        path = self.path / "final.json"
        if path.exists():
            with naming_faults(path):
                path.rename(self.path / "attempts" / f"{attempt:04d}-superseded-final.json")


def _set_aside(path: Path, attempt: int) -> None:
    with naming_faults(path):
        path.rename(path.with_suffix(f".damaged-{attempt}"))


def create_run(
    path: Path, config: Mapping[str, Any], data: Mapping[str, Any], numerics: Mapping[str, str]
) -> RunFolder:
    """Make a run folder, or open it if it holds a run of the same configuration and data.

    Raises
    ------
    RunConflict
        If it holds another run; both are shown.
    AlreadyExists
        If the folder holds something else.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        _require_same(run, config, data)
        return run
    if path.exists() and not (path.is_dir() and all(_is_ours(entry) for entry in path.iterdir())):
        raise AlreadyExists(f"{path} exists and is no run. Name a new folder.")
    for folder in FOLDERS:
        make_folders(path / folder)
    content = {"format": FORMAT, "config": dict(config), "data": dict(data), "numerics": dict(numerics)}
    in_order = json.loads(json.dumps(content, sort_keys=True))
    try:
        put_if_absent(path / "run.json", seal(in_order))
    except FileExistsError:  # another process made it at the same moment
        _require_same(open_run(path), config, data)
    return open_run(path)


def _is_ours(entry: Path) -> bool:
    """Tell what a death while making a run leaves behind: folders of ours, still empty, or an unfinished run.json."""
    if entry.is_dir():
        return entry.name in FOLDERS and not any(entry.iterdir())
    return entry.name in ("run.json", "lock") or entry.name.startswith(".run.json.")


def open_run(path: str | Path) -> RunFolder:
    """Open a run folder.

    Raises
    ------
    NotARun
        If it is none, or of a format this version does not read.
    CorruptCheckpoint
        If its run.json was altered.
    """
    path = Path(path)
    try:
        content = (path / "run.json").read_bytes()
        description = json.loads(content)
    except FileNotFoundError as error:
        raise NotARun(f"{path} is no run: it has no run.json. `dgmmis fit --run DIR` makes one.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise NotARun(
            f"{path}/run.json cannot be read: {error}. Restore it from a copy, or start a new run."
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise NotARun(_of_other_format(path, description))
    run = RunFolder(path, description, digest_of(content))
    _require_unaltered(run, content)
    return run


def _of_other_format(path: Path, description: object) -> str:
    said = description.get("format") if isinstance(description, dict) else None
    return (
        f"{path}/run.json is not of format {FORMAT!r} but {said!r}. Use the version of dgmmis that wrote it, or start "
        f"a new run from its model: dgmmis fit ... --run NEW --initial {path}/model.npz"
    )


def _require_unaltered(run: RunFolder, content: bytes) -> None:
    """Compare run.json with its own hash, which version 0.1.0 did not write, and with the start that names it."""
    path, way_out = run.path / "run.json", "Restore it from a copy, or start a new run."
    unseal(content, path, required=set(run.description) != UNSEALED, way_out=way_out)
    start = run.path / "start.ckpt"
    if start.exists() and not names_root(start.read_bytes(), run.root):
        raise CorruptCheckpoint(
            f"{path} and the start.ckpt beside it do not belong together: one was altered, or is of another run. "
            f"{way_out}"
        )


def _require_same(run: RunFolder, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    stored, asked = run.config, json.loads(json.dumps(dict(config)))
    stored["data fingerprint"], asked["data fingerprint"] = run.data["fingerprint"], data["fingerprint"]
    different = sorted(key for key in stored.keys() | asked.keys() if stored.get(key) != asked.get(key))
    if different:
        lines = "; ".join(f"{key}: there {stored.get(key)}, asked {asked.get(key)}" for key in different)
        raise RunConflict(
            f"{run.path} holds a run of another configuration ({lines}). Name a new folder with --run."
        )
