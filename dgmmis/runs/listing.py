"""The runs under a folder."""

from __future__ import annotations

from pathlib import Path

from dgmmis.runs.folder import RunFolder, open_run

__all__ = ["list_runs"]


def list_runs(root: str | Path) -> list[RunFolder]:
    """All runs in `root` and one level below, by name."""
    root = Path(root)
    found = [root] if (root / "run.json").exists() else []
    found += sorted(path.parent for path in root.glob("*/run.json"))
    return [open_run(path) for path in found]
