"""Puts a run into a root, for a server to drive: nothing is computed, and whoever submits may go away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dgmmis.cluster.local import require_sensible
from dgmmis.confinement import confined
from dgmmis.fit_settings import MAX_PASSES, TOLERANCE
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.places import local_path
from dgmmis.preparation import Prepared, prepare_fit
from dgmmis.run_preparation import describe_run, prepare_run
from dgmmis.runs import RunFolder
from dgmmis.runs.naming import run_name
from dgmmis.service.handle import Run
from dgmmis.store import Catalog

__all__ = ["named_place", "submit"]


def submit(
    catalog: Catalog | str | Location,
    *,
    n_components: int,
    runs: str | Path,
    tolerance: float = TOLERANCE,
    max_passes: int = MAX_PASSES,
    workers: int | None = None,
    threads: int | None = None,
    memory_limit: str | int | None = None,
    **settings: Any,
) -> Run:
    """Put a fit of a catalogue into a root of runs and return at once; `serve` drives it.

    The run's name follows from settings, seed and data: submitting the same again, at the same moment or later,
    gives the same run, and asks for nothing more if nothing more is wished.  With a narrower tolerance or more passes
    it goes on.

    Parameters
    ----------
    catalog : Catalog or path
    n_components : int
        K.
    runs : path
        The root; made if it is not there.
    tolerance, max_passes
        As of `fit`.
    workers, threads, memory_limit : optional
        Wished of a server that starts its own workers: processes (0: none), threads of each, and memory of each.
    **settings
        The observation model, as `fit` takes it: selection, background, floor, prior, initial, seed, ...

    Returns
    -------
    Run
        With `state`, `status`, `trace`, `model()`, `wait()` and `cancel()`.

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError
        As of `fit`: what can be refused before anything is computed is refused here.
    """
    chunks, prepared = _prepared(
        catalog, n_components=n_components, limits=Limits(tolerance, max_passes), **settings
    )
    if workers != 0:
        require_sensible(workers, threads or 1, memory_limit or "auto")
    root = local_path(runs)
    root.mkdir(parents=True, exist_ok=True)
    folder = prepare_run(root, chunks, prepared.task, initial=prepared.initial, named=False)
    means = {"workers": workers, "threads": threads, "memory_limit": memory_limit}
    _ask(folder, {"tolerance": float(tolerance), "max_passes": int(max_passes)}, means)
    return Run(folder.folder)


def _prepared(catalog: Catalog | str | Location, **settings: Any) -> tuple[Catalog, Prepared]:
    prepared = prepare_fit(catalog, **settings)
    return prepared.catalog, prepared


def named_place(catalog: Catalog | str | Location, runs: str | Path, **settings: Any) -> Path:
    """Find the folder under a root that a fit with these settings gets, whether it is there or not."""
    chunks, prepared = _prepared(catalog, limits=Limits(TOLERANCE, MAX_PASSES), **settings)
    return confined(local_path(runs), run_name(*describe_run(chunks, prepared.task, prepared.initial)))


def _ask(folder: RunFolder, budget: dict[str, Any], means: dict[str, Any]) -> None:
    """Ask for a run to be driven, unless that was asked for, or was done without being asked."""
    driven = folder.last_budget()
    if not folder.is_waiting() and budget.items() <= driven.items():
        return
    wish = {**budget, **means}
    folder.requests.put(wish, unless=wish if folder.is_waiting() else budget)
