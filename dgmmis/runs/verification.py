"""Every object of a run hashed again, and its place in the chain compared: what `dgmmis verify RUN` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dgmmis.errors import CorruptCheckpoint, DgmmisError
from dgmmis.location import Location, location_of
from dgmmis.model_file import read_model
from dgmmis.runs.attempt_records import FINAL
from dgmmis.runs.checkpoint import digest_of, is_whole, place_of
from dgmmis.runs.collection import collected_checkpoints, collections
from dgmmis.runs.description import FIRST, START
from dgmmis.runs.folder import ARRAYS, MODEL, RunFolder
from dgmmis.runs.opening import open_run
from dgmmis.runs.place import place_at
from dgmmis.runs.start_object import names_root
from dgmmis.selection.description import array_key

__all__ = ["ObjectCheck", "is_run", "verify_run"]


@dataclass(frozen=True)
class ObjectCheck:
    """What is known of one object of a run.

    Attributes
    ----------
    name : str
        Its name in the run.
    fault : str
        What is wrong with it; empty if it is what was written.
    """

    name: str
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is what was written."""
        return not self.fault


def is_run(path: str | Location) -> bool:
    """Tell whether a run lies there, whole or not."""
    return place_at(location_of(path)).exists(FIRST)


def verify_run(path: str | Location, progress: Callable[[int, int], None] | None = None) -> list[ObjectCheck]:
    """Hash every object of a run again: run.json, arrays, start, checkpoints and their chain, attempts, end, model.

    Logs and the lock carry no hash, and shape no result.  Nothing that the run names is imported.

    Parameters
    ----------
    path : path, or address in an object store
        The run.
    progress : callable, optional
        Called with (objects done, objects in all).

    Returns
    -------
    list of ObjectCheck
        One for each object, also for those that are missing.

    Raises
    ------
    NotARun
        If there is no run.json.
    """
    if not is_run(path):
        open_run(path)
    checks = [_checked(FIRST, lambda: open_run(path))]
    if not checks[0].passed:
        return [*checks, ObjectCheck("all other objects", "cannot be judged without run.json")]
    steps = list(_Chain(open_run(path)).steps())
    for done, (name, look) in enumerate(steps, start=1):
        checks.append(_checked(name, look))
        if progress is not None:
            progress(done, len(steps))
    return checks


Look = Callable[[], object]


def _checked(name: str, look: Look) -> ObjectCheck:
    try:
        look()
    except FileNotFoundError:
        return ObjectCheck(name, "is missing")
    except DgmmisError as error:
        return ObjectCheck(name, str(error))
    return ObjectCheck(name)


class _Chain:
    """The objects of a run, each looked at after the one that it names."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._digests: dict[int, str] = {}
        """Of the checkpoints that are whole, or were removed, by number; of the start at -1."""

    def steps(self) -> Iterator[tuple[str, Look]]:
        """Give each object's name and how to look at it."""
        run = self._run
        if _arrays_named(run.config):
            yield ARRAYS, self._look_at_arrays
        numbers = run.checkpoint_numbers()
        if numbers or run.place.exists(START):
            yield START, self._look_at_start
        yield from self._checkpoints(numbers)
        for attempt in range(1, run.n_attempts() + 1):
            yield f"attempts/{attempt:04d}.json", partial(run.budget, attempt)
        if run.place.exists(FINAL):
            yield FINAL, self._look_at_end
        if run.place.exists(MODEL):
            yield MODEL, self._look_at_model

    def _checkpoints(self, numbers: list[int]) -> Iterator[tuple[str, Look]]:
        for record in collections(self._run):
            yield record, partial(self._look_at_collection, record)
        removed = self._removed() - set(numbers)
        for number in range(max(*numbers, self._last_by_the_end(), -1) + 1):
            if number not in removed:
                yield f"ckpt/{number:06d}.ckpt", partial(self._look_at_checkpoint, number)

    def _last_by_the_end(self) -> int:
        """Tell the number of the checkpoint that the run ended on; -1 if it has not, or does not say."""
        try:
            return int((self._run.final() or {}).get("updates", -1))
        except DgmmisError:
            return -1

    def _removed(self) -> set[int]:
        """Tell which checkpoints were removed by somebody who wrote that down."""
        found: set[int] = set()
        for record in collections(self._run):
            with suppress(DgmmisError):  # a damaged record is a failure of its own
                found |= collected_checkpoints(self._run, record).keys()
        return found

    def _look_at_collection(self, record: str) -> None:
        self._digests |= collected_checkpoints(self._run, record)

    def _look_at_arrays(self) -> None:
        arrays = self._run.arrays()
        bad = [
            key
            for key in _arrays_named(self._run.config)
            if key not in arrays or array_key(arrays[key]) != key
        ]
        if bad:
            raise CorruptCheckpoint(
                f"{len(bad)} arrays are not those that run.json names, the first {min(bad)[:12]}"
            )

    def _look_at_start(self) -> None:
        content = self._run.place.read(START)
        if not is_whole(content):
            raise CorruptCheckpoint("does not match its own hash: it was cut off or altered")
        if not names_root(content, self._run.root):
            raise CorruptCheckpoint("belongs to another run than the run.json beside it")
        self._digests[-1] = digest_of(content)

    def _look_at_checkpoint(self, number: int) -> None:
        name = f"ckpt/{number:06d}.ckpt"
        content = self._run.place.read(name)
        found, parent = place_of(content, "it")
        if found != number:
            raise CorruptCheckpoint(f"holds pass {found}: files were mixed up")
        self._digests[number] = digest_of(content)
        before = self._digests.get(number - 1, parent)
        if parent != before:
            raise CorruptCheckpoint(
                f"follows {parent[:12]}, but the one before it is {before[:12]}: files of another run were mixed in"
            )

    def _look_at_end(self) -> None:
        final = self._run.final() or {}
        if "checkpoint" not in final:
            return
        updates, digest = final.get("updates", -1), str(final["checkpoint"])
        there = self._digests.get(updates, "none")
        if there != digest:
            raise CorruptCheckpoint(
                f"ends on checkpoint {updates} with digest {digest[:12]}, there is {there[:12]}"
            )

    def _look_at_model(self) -> None:
        if isinstance(self._run.path, Path):
            read_model(self._run.path / MODEL)
            return
        with TemporaryDirectory() as folder:
            copy = Path(folder) / MODEL
            copy.write_bytes(self._run.place.read(MODEL))
            read_model(copy)


def _arrays_named(said: Any) -> set[str]:
    """Hashes of the arrays that a configuration names without their numbers."""
    if isinstance(said, list):
        return set().union(*map(_arrays_named, said))
    if not isinstance(said, Mapping):
        return set()
    if "shape" in said and "sha256" in said:
        return set() if "values" in said else {str(said["sha256"])}
    return set().union(*map(_arrays_named, said.values()))
