"""Garbage collection of a root of runs; nothing is removed unless somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dgmmis.errors import DgmmisError
from dgmmis.places import local_path
from dgmmis.runs import RunFolder, open_run, run_paths
from dgmmis.runs.collection import collectable_checkpoints, leftovers, remove_checkpoints
from dgmmis.service.summary import ENDED
from dgmmis.trust import NOBODY

__all__ = ["Collected", "collect_garbage"]


@dataclass(frozen=True)
class Collected:
    """What was removed of a run, or would be.

    Attributes
    ----------
    run : pathlib.Path
    files : tuple of str
        Relative to the run folder.
    nbytes : int
    left : str
        Why the run was left alone; empty if it was not.
    """

    run: Path
    files: tuple[str, ...] = ()
    nbytes: int = 0
    left: str = ""


def collect_garbage(root: str | Path, *, dry_run: bool = False) -> list[Collected]:
    """Remove from the runs of a root what nobody needs.

    Of runs that ended (SUCCEEDED, STOPPED, FAILED, CANCELLED) all checkpoints but the last three, every tenth, and the
    one with the highest objective.  Of all runs that nobody drives, temporary files that deaths left behind, and
    damaged files that were set aside.  A run from which this was taken goes on as before, with the same bits.

    Parameters
    ----------
    root : path
        Of runs; or one run folder.
    dry_run : bool
        Only tell.

    Raises
    ------
    NotARun
        If there is no such folder.
    """
    return [_collect(path, dry_run) for path in run_paths(local_path(root)) if isinstance(path, Path)]


def _collect(path: Path, dry_run: bool) -> Collected:
    try:
        run = open_run(path, trust=NOBODY)
        with run.driven():
            return _collect_from(run, dry_run)
    except (DgmmisError, OSError) as error:
        return Collected(path, left=str(error))


def _collect_from(run: RunFolder, dry_run: bool) -> Collected:
    numbers = collectable_checkpoints(run) if run.resting_state() in ENDED else []
    rest = leftovers(run)
    files = [*(run.checkpoint_path(number) for number in numbers), *rest]
    nbytes = sum(file.stat().st_size for file in files)
    if not dry_run:
        remove_checkpoints(run, numbers)
        for file in rest:
            file.unlink(missing_ok=True)
    return Collected(run.folder, tuple(str(file.relative_to(run.folder)) for file in files), nbytes)
