"""The run folder of a task on a catalogue: what shapes the run, and where it is kept."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from dgmmis.confinement import confined
from dgmmis.location import Location
from dgmmis.places import local_path
from dgmmis.population import Population
from dgmmis.runs import RunFolder, create_run, numerics_fingerprint
from dgmmis.runs.checkpoint import digest_of
from dgmmis.runs.naming import run_name
from dgmmis.runs.parameters import arrays_of
from dgmmis.runs.task_record import describe_task, task_arrays
from dgmmis.starts import Start
from dgmmis.store import Catalog
from dgmmis.task import Task

__all__ = ["describe_run", "population_digest", "prepare_run"]


def describe_run(
    catalog: Catalog, task: Task, initial: Population | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Say what shapes the run of a task on a catalogue, and which catalogue that is.

    Raises
    ------
    SelectionError, InvalidSetting
        If the task holds a function that another process could not import.
    """
    config = {
        **describe_task(task),
        "initial": None if initial is None else population_digest(initial),
    }
    data = {
        "path": str(catalog.path.resolve()),
        "fingerprint": catalog.fingerprint,
        "rows": catalog.n_rows,
        "features": list(catalog.features),
        "units": list(catalog.units),
    }
    return config, data


def prepare_run(
    path: Location, catalog: Catalog, task: Task, *, initial: Population | None, named: bool = True
) -> RunFolder:
    """Create or open the run folder for this task on this catalogue; any number of processes may do so at once.

    Parameters
    ----------
    path : Path or S3Url
        The run folder; or, if not `named`, the root under which what shapes the run names its folder.
    catalog : Catalog
    task : Task
    initial : Population or None
    named : bool

    Raises
    ------
    RunConflict, AlreadyExists
        If the folder holds something else.
    SelectionError, InvalidSetting
        As of `describe_run`.
    """
    config, data = describe_run(catalog, task, initial)
    place = path if named else confined(local_path(str(path)), run_name(config, data))
    run = create_run(place, config, data, numerics_fingerprint())
    run.write_arrays(task_arrays(task))
    if initial is not None and run.read_start() is None:
        with suppress(FileExistsError):  # another process stored the same
            run.write_start(Start(initial, 0, (), 0, 0))
    return run


def population_digest(population: Population) -> str:
    """Digest of a population's parameters, by which a run knows the one it was given."""
    return digest_of(
        b"".join(np.ascontiguousarray(array).tobytes() for array in arrays_of(population).values())
    )
