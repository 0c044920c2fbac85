"""One contender's process: `python measure.py CONTENDER SCENE.npz OUT.npz CORE UPDATES...`.

Pins itself to one core, makes one fit of a single update to warm up (or one of each number of updates, if the
contender compiles each anew), then one fit for each number in UPDATES; writes the CPU seconds of each (all
threads and processes below), their outcomes and the peak resident memory.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import numpy as np
from contenders import CONTENDERS, Fit, load_contender
from processes import cpu_seconds, descendants, peak_mebibytes
from scenes import Scene, load_scene

__all__ = ["main", "measure", "pin_to_core"]


def measure(fit: Fit, scene: Scene, updates: list[int], warm_up: list[int]) -> dict[str, object]:
    """Time `fit` for each number of updates, after fits of `warm_up` updates that are not timed.

    Returns
    -------
    dict
        `updates` and `seconds` (n,), and for each number u of updates the fields of its outcome as `NAME_u`;
        what the contender does not tell is left out.
    """
    for count in warm_up:
        fit(scene, count)
    record: dict[str, object] = {"updates": updates}
    seconds = []
    for count in updates:
        before = cpu_seconds()
        outcome = fit(scene, count)
        seconds.append(cpu_seconds() - before)
        told = {field: value for field, value in vars(outcome).items() if value is not None}
        record |= {f"{field}_{count}": value for field, value in told.items()}
    return record | {"seconds": seconds}


def largest_peak() -> float:
    """Peak resident memory in MiB of the largest of this process, its descendants and its ended children."""
    peaks = [peak_mebibytes(pid) or 0.0 for pid in (os.getpid(), *descendants())]
    return max(*peaks, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


def pin_to_core(core: int) -> None:
    """Run on one core, as if the machine had no other: nobody starts helpers that would only wait."""
    os.sched_setaffinity(0, {core})
    for name in ("cpu_count", "process_cpu_count"):
        setattr(os, name, lambda: 1)


def main(contender: str, scene: str, out: str, core: str, *updates: str) -> None:
    """Measure as the command line says."""
    pin_to_core(int(core))
    counts = [int(count) for count in updates]
    warm_up = counts if CONTENDERS[contender].compiles_per_count else [1]
    record = measure(load_contender(contender), load_scene(Path(scene)), counts, warm_up)
    np.savez(out, peak_mebibytes=largest_peak(), **record)


if __name__ == "__main__":
    main(*sys.argv[1:])
