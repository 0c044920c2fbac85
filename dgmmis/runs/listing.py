"""The runs under a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dgmmis.errors import NotARun
from dgmmis.places import local_path
from dgmmis.runs.folder import RunFolder, open_run
from dgmmis.trust import Trust

__all__ = ["list_runs", "run_paths"]


def list_runs(root: str | Path, *, trust: Iterable[str] | Trust = ()) -> list[RunFolder]:
    """All runs in `root` and one level below, by name; `trust` as for `open_run`.

    Raises
    ------
    NotARun
        If `root` is no folder, or a run.json under it cannot be read.
    """
    return [open_run(path, trust=trust) for path in run_paths(root)]


def run_paths(root: str | Path) -> list[Path]:
    """Folders of the runs in `root` and one level below, by name, whether they can be read or not.

    Raises
    ------
    NotARun
        If `root` is no folder.
    """
    root = local_path(root)
    if not root.is_dir():
        raise NotARun(f"{root} is no folder.")
    found = [root] if (root / "run.json").exists() else []
    return found + sorted(path.parent for path in root.glob("*/run.json"))
