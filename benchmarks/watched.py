"""A command run in a process of its own while its memory and CPU time are watched (Linux)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import descendants, own_cpu_seconds, peak_mebibytes

__all__ = ["Watched", "run_watched"]

INTERVAL = 0.25
"""Seconds between looks: CPU time spent after the last look at a process is lost."""


@dataclass(frozen=True)
class Watched:
    """What a command used.

    Attributes
    ----------
    seconds, cpu_seconds : float
    peaks : list of (str, float)
        Each process's part and its peak resident memory in MiB, the largest first.
    output : str
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    peaks: list[tuple[str, float]]
    output: str


def run_watched(command: Sequence[str], log: Path) -> Watched:
    """Run a command, its output going to `log`.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    parts: dict[int, str] = {}
    peaks: dict[int, float] = {}
    cpu: dict[int, float] = {}
    began = time.monotonic()
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        parts[process.pid] = "main process"
        while process.poll() is None:
            for pid in (process.pid, *descendants(process.pid)):
                peak = peak_mebibytes(pid)
                if peak is None:
                    continue
                parts.setdefault(pid, _part(pid))
                peaks[pid] = peak
                cpu[pid] = own_cpu_seconds(pid)
            time.sleep(INTERVAL)
    output = log.read_text()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    listed = sorted(((parts[pid], peak) for pid, peak in peaks.items()), key=lambda item: -item[1])
    return Watched(time.monotonic() - began, sum(cpu.values()), listed, output)


def _part(pid: int) -> str:
    """Tell a worker from a process that only tracks resources."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "child"
    return "resource tracker" if b"resource_tracker" in command else "child"
