"""`dgmmis.resume`: going on with a run from its last checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dgmmis.assessment import RowsOfRun
from dgmmis.cluster.roster import means_of
from dgmmis.driver import drive
from dgmmis.errors import InvalidData
from dgmmis.fit_result import FitResult
from dgmmis.fit_settings import MAX_PASSES, TOLERANCE, check_settings
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.observer import Observer
from dgmmis.planning import require_room
from dgmmis.preparation import Prepared
from dgmmis.runs import RunFolder, open_run
from dgmmis.store import Catalog, open_catalog
from dgmmis.unkept_fit import passes_over

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["go_on", "resume"]


def resume(
    run: str | Location,
    *,
    tolerance: float | None = None,
    max_passes: int | None = None,
    client: Client | None = None,
    catalog: str | Location | None = None,
    observer: Observer | None = None,
    trust: Iterable[str] = (),
) -> FitResult:
    """Go on with a run from its last checkpoint: after any death, or with a larger budget.

    Parameters
    ----------
    run : path
        The run folder.
    tolerance, max_passes : optional
        Budgets of this attempt; by default those last asked for, or of the attempt before.
    client : distributed.Client, optional
    catalog : path, optional
        Where the catalogue lies now, if it was moved; its fingerprint must be the same.
    observer : Observer, optional
    trust : iterable of str, optional
        Functions "module:function" that the run names and that may be imported; those of a run that was begun from
        this account may be anyway.

    Raises
    ------
    UntrustedFunction
        If the run names another function: nothing of it is imported.
    RunCancelled
        If the run is cancelled meanwhile; a cancel from before is lifted.
    NotARun, RunLocked, CorruptCheckpoint
        If the folder is none, is driven by another process, or was damaged.
    InvalidData
        If the catalogue is not the one the run began on, or rows were appended to it since.
    MemoryPlanExceeded
        If it cannot fit into the memory there is; with more, it goes on.
    """
    return go_on(
        run,
        tolerance=tolerance,
        max_passes=max_passes,
        client=client,
        catalog=catalog,
        observer=observer,
        trust=trust,
    )


def go_on(
    run: str | Location,
    *,
    tolerance: float | None = None,
    max_passes: int | None = None,
    client: Client | None = None,
    catalog: str | Location | None = None,
    observer: Observer | None = None,
    trust: Iterable[str] = (),
    attempts: int | None = None,
) -> FitResult:
    """Go on with a run as `resume` does; or, with `attempts`, on behalf of a server that saw so many of them.

    Then nobody asked for this drive by name: a cancel is not lifted (`RunCancelled`), and if somebody drove the run
    since, it is left to him (`RunLocked`).
    """
    folder = open_run(run, trust=trust)
    chunks = open_catalog(catalog or folder.data["path"])
    _require_same_rows(folder, chunks)
    before = _budget_before(folder, tolerance, max_passes)
    limits = Limits(
        before.get("tolerance", TOLERANCE) if tolerance is None else tolerance,
        before.get("max_passes", MAX_PASSES) if max_passes is None else max_passes,
    )
    task = folder.task(chunks.features)
    check_settings(
        task.n_components,
        chunks.n_features,
        initial=None,
        frozen=None,
        method=folder.config["method"],
        limits=limits,
        seed=task.seed,
    )
    require_room(Prepared(chunks, task, None, limits), client, seek_start=folder.read_start() is None)
    return drive(
        folder,
        chunks,
        task,
        lambda heeding: passes_over(chunks, client, heeding, task),
        limits,
        budget={**means_of(client), "requests": before["requests"]},
        observer=observer,
        lift_cancel=attempts is None,
        attempts=attempts,
    ).knowing(RowsOfRun(folder, catalog))


def _budget_before(run: RunFolder, tolerance: float | None, max_passes: int | None) -> dict[str, Any]:
    """Look up the budgets of before unless all are given: then a damaged record of them does not matter."""
    if tolerance is None or max_passes is None:
        return run.next_budget()
    return {"requests": run.requests.count()}


def _require_same_rows(run: RunFolder, catalog: Catalog) -> None:
    """Refuse to go on with a run on other rows than those that it began on."""
    began = run.data["fingerprint"]
    if catalog.fingerprint == began:
        return
    if began in catalog.fingerprints:
        grown = catalog.n_rows - int(run.data["rows"])
        message = (
            f"{catalog.path} grew since the run began: {grown} rows were appended (its fingerprint is "
            f"{catalog.fingerprint[:16]}, was {began[:16]}). A run keeps to its rows. Fit all rows in a new run that "
            f"starts from this one: dgmmis fit {catalog.path} -K {run.config['n_components']} --run NEW --initial "
            f"{run.path}, with the other options of the first fit (in Python: initial={str(run.path)!r}); if this run "
            "has no finished pass yet, without --initial."
        )
    else:
        message = (
            f"{catalog.path} has fingerprint {catalog.fingerprint[:16]}, the run began on {began[:16]}. Name the "
            "original with --catalog, or start a new run."
        )
    raise InvalidData(message, array=str(catalog.path), value=catalog.fingerprint)
