"""Processors, memory, and the limits that somebody set."""

from __future__ import annotations

import os
import resource

from distributed.system import MEMORY_LIMIT

from dgmmis.doctor.finding import Finding
from dgmmis.local_pass import processors

__all__ = ["examine_files", "examine_memory", "examine_processors"]

LEAST_MEMORY = 1 << 30
"""Bytes with which one worker and the driver find room."""
LEAST_FILES = 1024


def examine_processors() -> Finding:
    """Count the processors that this process may use."""
    usable, there = processors(), os.cpu_count() or 1
    if usable < there:
        return Finding(
            "processors", "note", f"{usable} of {there}", "Workers use these; a limit or affinity is set."
        )
    return Finding("processors", "good", f"{usable}: as many workers by default")


def examine_memory() -> Finding:
    """Tell how much memory there is, by the machine and by the limits of this process and its group."""
    found = f"{MEMORY_LIMIT / 2**30:.1f} GiB"
    if MEMORY_LIMIT < LEAST_MEMORY:
        return Finding(
            "memory", "wrong", found, f"Raise the limit to {LEAST_MEMORY >> 30} GiB, or use --workers 0."
        )
    return Finding("memory", "good", f"{found}, shared by the workers unless --memory-limit says otherwise")


def examine_files() -> Finding:
    """Tell how many files a process may open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < LEAST_FILES:
        return Finding("open files", "note", str(limit), f"Many workers need more: ulimit -n {LEAST_FILES}.")
    return Finding("open files", "good", str(limit))
