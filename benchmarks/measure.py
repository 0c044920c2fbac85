"""One contender's process: `python measure.py CONTENDER SCENE.npz OUT.npz CORE UPDATES...`.

Pins itself to one core, makes one fit of a single update to warm up, then one fit for each number in
UPDATES; writes the CPU seconds of each (all threads and ended child processes), their outcomes and the peak
resident memory.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import numpy as np
from contenders import Fit, load_contender
from scenes import Scene, load_scene

__all__ = ["cpu_seconds", "main", "measure"]


def cpu_seconds() -> float:
    """CPU time of this process and its ended children so far."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(fit: Fit, scene: Scene, updates: list[int]) -> dict[str, object]:
    """Time `fit` for each number of updates.

    Returns
    -------
    dict
        `updates` and `seconds` (n,), and for each number u of updates the fields of its outcome as `NAME_u`.
    """
    fit(scene, 1)
    record: dict[str, object] = {"updates": updates}
    seconds = []
    for count in updates:
        before = cpu_seconds()
        outcome = fit(scene, count)
        seconds.append(cpu_seconds() - before)
        record |= {f"{field}_{count}": value for field, value in vars(outcome).items()}
    return record | {"seconds": seconds}


def peak_mebibytes() -> float:
    """Peak resident memory of this process or of its largest ended child, whichever is larger.

    The kernel's own figure for this process would include the parent's, from before the exec.
    """
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def pin_to_core(core: int) -> None:
    """Run on one core, as if the machine had no other: nobody starts helpers that would only wait."""
    os.sched_setaffinity(0, {core})
    for name in ("cpu_count", "process_cpu_count"):
        setattr(os, name, lambda: 1)


def main(contender: str, scene: str, out: str, core: str, *updates: str) -> None:
    """Measure as the command line says."""
    pin_to_core(int(core))
    record = measure(load_contender(contender), load_scene(Path(scene)), [int(count) for count in updates])
    np.savez(out, peak_mebibytes=peak_mebibytes(), **record)


if __name__ == "__main__":
    main(*sys.argv[1:])
