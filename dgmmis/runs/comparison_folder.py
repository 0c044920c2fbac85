"""A comparison on disk: immutable objects, so that what was computed is never computed again.

settings.json         what shapes every fit: observation model, folds, restarts, data fingerprint, numerics
starts/K8-full.ckpt   where the fits of a model begin
passes/K8-full/all-0/000012.ckpt   one object per pass of each fit to all rows
passes/K8-full/without-3-0c1e.../000004.ckpt   ... and of each fit without a fold, named after its start
scores/0f3a....ckpt   sums of held-out scores of one set of fitted models
lock                  held by whoever drives the comparison

More models may join later, and fits may be given more passes: what a pass is depends on neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.beginnings import Beginning
from dgmmis.errors import AlreadyExists, CorruptCheckpoint, InvalidData, InvalidSetting, RunConflict
from dgmmis.iterate import Pass
from dgmmis.plain_arrays import read_arrays
from dgmmis.plain_files import MOST_JSON, as_json, require_own_folders
from dgmmis.runs.checkpoint import DIGEST_BYTES, decode, digest_of, encode, is_whole
from dgmmis.runs.lock import hold
from dgmmis.runs.objects import make_folders, put_if_absent, read_object
from dgmmis.runs.parameters import arrays_of, npz_of, population_of
from dgmmis.scoring import Scores

__all__ = ["ComparisonFolder", "open_comparison"]

FORMAT = "dgmmis comparison 1"
SETTINGS = "settings.json"
FOLDERS = ("starts", "passes", "scores", "models")
NUMBERS = ("rows", "weight")
ARRAYS = (
    "totals",
    "squares",
    "differences",
    "entropies",
    "class_weights",
    "sampled",
    "sampled_weights",
    "sampled_scores",
)
"""Of `Scores`, as they are stored."""

T = TypeVar("T")


class ComparisonFolder:
    """What a comparison has computed so far.  Use `open_comparison`.

    Every object names the settings it was computed under, and carries its hash: one that is damaged is set aside and
    computed again, one of another comparison is refused.

    Attributes
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path, root: str, backgrounds: Sequence[BackgroundLike]) -> None:
        self.path, self._root, self._backgrounds = path, root, tuple(backgrounds)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one that drives this comparison; raises `RunLocked` if another does, `UnsafeFile` at a link."""
        require_own_folders(self.path, FOLDERS)
        with hold(self.path / "lock"):
            yield

    def find(self, key: str, number: int) -> Pass | None:
        """Return pass `number` of a fit, or None."""
        path = self._pass_path(key, number)

        def read(content: bytes) -> Pass:
            checkpoint = decode(content, str(path), self._backgrounds)
            self._require_root(checkpoint.parent, path)
            return checkpoint.scan

        return _found(path, read)

    def keep(self, key: str, scan: Pass) -> None:
        """Store a pass of a fit."""
        _put(self._pass_path(key, scan.number), encode(scan, self._root))

    def find_beginning(self, name: str) -> Beginning | None:
        """Return where a model's fits begin, or None."""
        path = self.path / "starts" / f"{name}.ckpt"

        def read(content: bytes) -> Beginning:
            stored = read_arrays(_payload(content, path))
            self._require_root(str(stored["parent"]), path)
            populations = tuple(
                population_of(stored, self._backgrounds, f"{i}_") for i in range(int(stored["count"]))
            )
            return Beginning(populations, tuple(stored["scores"].tolist()))

        return _found(path, read)

    def keep_beginning(self, name: str, beginning: Beginning) -> None:
        """Store where a model's fits begin."""
        arrays: dict[str, Any] = {
            "parent": np.array(self._root),
            "count": np.int64(len(beginning.populations)),
            "scores": np.array(beginning.scores),
        }
        for i, population in enumerate(beginning.populations):
            arrays |= arrays_of(population, f"{i}_")
        _put(self.path / "starts" / f"{name}.ckpt", _hashed(arrays))

    def find_scores(self, digest: str) -> Scores | None:
        """Return the scores of the models with this digest, or None."""
        path = self.path / "scores" / f"{digest}.ckpt"

        def read(content: bytes) -> Scores:
            stored = read_arrays(_payload(content, path))
            self._require_root(str(stored["parent"]), path)
            rows, weight = int(stored["rows"]), float(stored["weight"])
            return Scores(rows, weight, *(stored[name] for name in ARRAYS))

        return _found(path, read)

    def keep_scores(self, digest: str, scores: Scores) -> None:
        """Store scores."""
        arrays = {name: getattr(scores, name) for name in (*NUMBERS, *ARRAYS)}
        _put(self.path / "scores" / f"{digest}.ckpt", _hashed({"parent": np.array(self._root), **arrays}))

    def _pass_path(self, key: str, number: int) -> Path:
        return self.path / "passes" / key / f"{number:06d}.ckpt"

    def _require_root(self, parent: str, path: Path) -> None:
        if parent != self._root:
            raise InvalidSetting(
                f"{path} belongs to a comparison of other settings than the {SETTINGS} beside it: files were mixed. "
                "Restore the folder from a copy, or name a new one."
            )


def open_comparison(
    path: Path,
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    numerics: Mapping[str, str],
    backgrounds: Sequence[BackgroundLike] = (),
) -> ComparisonFolder:
    """Make a folder for a comparison, or open it if it holds one with the same settings and data.

    Raises
    ------
    RunConflict
        If it holds another comparison; what differs is shown.
    AlreadyExists
        If the folder holds something else.
    """
    file = path / SETTINGS
    if not file.exists():
        if path.exists() and not (path.is_dir() and all(_is_ours(entry) for entry in path.iterdir())):
            raise AlreadyExists(f"{path} exists and is no comparison. Name a new folder.")
        make_folders(path)
        content = {"format": FORMAT, "config": dict(config), "data": dict(data), "numerics": dict(numerics)}
        _put(file, json.dumps(content, indent=1, sort_keys=True).encode())
    stored = read_object(file, MOST_JSON)
    _require_same(path, stored, config, data)
    return ComparisonFolder(path, digest_of(stored), backgrounds)


def _is_ours(entry: Path) -> bool:
    """Tell what a death while making the folder leaves behind."""
    return entry.name == "lock" or entry.name.startswith(f".{SETTINGS}.")


def _require_same(path: Path, stored: bytes, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    try:
        there = as_json(stored)
        known = {**there["config"], "data fingerprint": there["data"]["fingerprint"]}
        same_format = there["format"] == FORMAT
    except (KeyError, TypeError, ValueError) as error:
        raise AlreadyExists(f"{path / SETTINGS} is no comparison's: {error!r}. Name a new folder.") from error
    asked = {**json.loads(json.dumps(dict(config))), "data fingerprint": data["fingerprint"]}
    different = sorted(name for name in known.keys() | asked.keys() if known.get(name) != asked.get(name))
    if different or not same_format:
        lines = "; ".join(f"{name}: there {known.get(name)}, asked {asked.get(name)}" for name in different)
        raise RunConflict(
            f"{path} holds a comparison of other settings ({lines or 'of another format'}). Name a new folder with "
            "--output."
        )


def _hashed(arrays: Mapping[str, Any]) -> bytes:
    payload = npz_of(arrays)
    return payload + hashlib.sha256(payload).digest()


def _payload(content: bytes, path: Path) -> bytes:
    if not is_whole(content):
        raise CorruptCheckpoint(f"{path} does not match its own hash: it was cut off or altered.")
    return content[:-DIGEST_BYTES]


def _found(path: Path, read: Callable[[bytes], T]) -> T | None:
    """Read an object if it is there and whole; a damaged one is set aside, so that it is made again."""
    if not path.exists():
        return None
    try:
        return read(read_object(path))
    except (CorruptCheckpoint, KeyError, ValueError, InvalidData) as error:
        if isinstance(error, InvalidSetting):
            raise
        number = len(list(path.parent.glob(f"{path.stem}.damaged-*")))
        path.rename(path.with_suffix(f".damaged-{number}"))
        return None


def _put(path: Path, content: bytes) -> None:
    make_folders(path.parent)
    put_if_absent(path, content)
