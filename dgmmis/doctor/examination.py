"""All there is to look at, in the order in which one would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dgmmis.doctor.finding import Finding
from dgmmis.doctor.machine import examine_files, examine_memory, examine_processors
from dgmmis.doctor.network import examine_cluster, examine_tls
from dgmmis.doctor.run_root import examine_root
from dgmmis.doctor.software import examine_extras, examine_libraries, examine_numerics, examine_python

__all__ = ["examine_machine"]


def examine_machine(root: str | Path = ".") -> Iterator[Finding]:
    """Look at Python, libraries, processors, memory, network, and a folder for runs.

    A worker is started and stopped again, which takes some seconds; files that are written to `root` are removed.

    Parameters
    ----------
    root : path
        Where runs are to lie.

    Yields
    ------
    Finding
        As each is made.
    """
    yield examine_python()
    yield examine_libraries()
    yield from examine_extras()
    yield examine_numerics()
    yield examine_processors()
    yield examine_memory()
    yield examine_files()
    yield from examine_root(Path(root))
    yield examine_tls()
    yield from examine_cluster()
