"""What this process and its descendants use, read from /proc (Linux)."""

from __future__ import annotations

import os
import resource
from pathlib import Path

__all__ = ["cpu_seconds", "descendants", "own_cpu_seconds", "peak_mebibytes"]

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def descendants(ancestor: int | None = None) -> list[int]:
    """List the living processes below `ancestor` (default: this one), itself left out."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: list[int] = []
    waiting = [os.getpid() if ancestor is None else ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def cpu_seconds() -> float:
    """CPU time so far of this process, its ended children, and its living descendants with theirs."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(one.ru_utime + one.ru_stime for one in used)
    ticks = 0
    for pid in descendants():
        ticks += sum(int(field) for field in _stat(PROC / str(pid) / "stat")[11:15])
    return own + ticks / TICKS


def own_cpu_seconds(pid: int) -> float:
    """CPU time so far of a living process without its children, 0 if it is gone."""
    return sum(int(field) for field in _stat(PROC / str(pid) / "stat")[11:13]) / TICKS


def peak_mebibytes(pid: int | None = None) -> float | None:
    """Peak resident memory of a process, None if it is gone.

    `getrusage` would include the parent's, from before the exec.
    """
    try:
        status = (PROC / str(pid or os.getpid()) / "status").read_text()
    except OSError:
        return None
    peaks = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return next((peak / 1024 for peak in peaks), None)


def _stat(path: Path) -> list[str]:
    """Fields of a process from its state on, whatever its name holds; none if it is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
