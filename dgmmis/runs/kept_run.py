"""What every part of a run needs to know of it: where it lies, what run.json says, whom it trusts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dgmmis.background import BackgroundLike
from dgmmis.errors import StorageFailed, UnsafePlace
from dgmmis.location import Location
from dgmmis.runs.place import Place
from dgmmis.runs.task_record import stored_backgrounds
from dgmmis.trust import NOBODY, Trust

__all__ = ["FOLDERS", "KeptRun"]

FOLDERS = ("ckpt", "attempts", "log", "requests")


class KeptRun:
    """A run where it is kept.

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
