"""Drives one run: from its folder's last checkpoint to the end, one immutable object per pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dgmmis.chunk import ArrayChunks
from dgmmis.climbing import climbing
from dgmmis.confinement import confined
from dgmmis.convergence import predicted_gain
from dgmmis.errors import (
    ClusterLost,
    CollapsedComponent,
    CorruptCheckpoint,
    DgmmisError,
    ImputationLimit,
    InvalidData,
    PoisonChunk,
    RunCancelled,
    RunInterrupted,
    RunLocked,
    WorkersDiffer,
)
from dgmmis.fit_result import FitResult, Scan
from dgmmis.improvement import Search, improve
from dgmmis.imputed_passes import Completion
from dgmmis.iterate import Limits, Pass, Problem, stopping_reason
from dgmmis.location import Location
from dgmmis.model import Model
from dgmmis.observer import Observer, SilentObserver, watching
from dgmmis.places import local_path
from dgmmis.population import Population
from dgmmis.runs import RunFolder, create_run, numerics_fingerprint
from dgmmis.runs.checkpoint import Checkpoint, digest_of
from dgmmis.runs.naming import run_name
from dgmmis.runs.parameters import arrays_of
from dgmmis.runs.task_record import describe_task, task_arrays
from dgmmis.runs.trace import Trace
from dgmmis.starts import Start, choose_start, objective_on, pilot_rows
from dgmmis.stopping import Heeding, Stop, looking_out
from dgmmis.store import Catalog
from dgmmis.task import Passes, Task, information_sample, look, set_up

__all__ = ["Observer", "SilentObserver", "describe_run", "drive", "history_of", "model_of", "prepare_run"]

FAILURES = (CollapsedComponent, ImputationLimit, InvalidData, PoisonChunk)
"""After which the run's state is FAILED."""
ENDS = {
    RunCancelled: "cancelled",
    RunInterrupted: "interrupted",
    ClusterLost: "cluster lost",
    WorkersDiffer: "cluster of no use",
}
"""What the trace says where an attempt ends and the run can go on."""


@dataclass(frozen=True)
class _Attempt:
    run: RunFolder
    catalog: Catalog
    task: Task
    number: int
    trace: Trace
    observer: Observer


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
        "initial": None if initial is None else _digest(initial),
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


def _digest(population: Population) -> str:
    return digest_of(
        b"".join(np.ascontiguousarray(array).tobytes() for array in arrays_of(population).values())
    )


def model_of(population: Population, task: Task, chunks: Catalog | ArrayChunks) -> Model:
    """Name a fitted population's features; those of projected rows are the mixture's own."""
    projected = chunks.projection is not None
    features, units = ((), ()) if projected else (chunks.features, chunks.units)
    selection = None if task.selecting is None or projected else task.selecting.selection.selection
    return Model(population.mixture, features, units, population.backgrounds, selection)


def drive(
    run: RunFolder,
    catalog: Catalog,
    task: Task,
    passes: Callable[[Observer], Passes],
    limits: Limits,
    *,
    budget: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    lift_cancel: bool = False,
    attempts: int | None = None,
) -> FitResult:
    """Drive a run until it converges or its passes are used up.

    Whatever is there already is kept: the start, and every checkpoint.  At most the pass that was going on
    when an earlier attempt died is made again, with the same bits.

    Parameters
    ----------
    run : RunFolder
    catalog : Catalog
        The one the run was made for.
    task : Task
        The one the run was made for.
    passes : callable
        Makes the passes over the data, watched by the observer that it is given.
    limits : Limits
    budget : dict, optional
        What to record of this attempt's means (workers, memory).
    observer : Observer, optional
    lift_cancel : bool
        Go on with a run that was cancelled.
    attempts : int, optional
        Go on only if there were so many before.

    Raises
    ------
    RunLocked
        If another process drives the run; or did since the caller counted its attempts.
    RunCancelled
        If it is cancelled meanwhile, at the next boundary of a segment or pass; or was before.
    CollapsedComponent, ImputationLimit, InvalidData, PoisonChunk
        If the fit cannot go on; the run's state is FAILED then.
    ClusterLost, WorkersDiffer
        If the cluster died or cannot be used; the run can be resumed.
    """
    with run.driven(), _heeding_cancels(run, watching(observer), lift_cancel) as watcher:
        if attempts not in (None, run.n_attempts()):
            raise RunLocked(f"{run.path} was driven meanwhile; nothing is left to do of what was seen.")
        number = run.begin_attempt(
            {"tolerance": limits.tolerance, "max_passes": limits.max_passes, **(budget or {})}
        )
        attempt = _Attempt(run, catalog, task, number, run.open_trace(number), watcher)
        with _recorded(attempt):
            _log_beginning(attempt)
            _set_aside_damaged(attempt)
            if not _is_over(run, limits):
                run.reopen(number)
            ready, sample = passes(watcher), information_sample(catalog, task)
            seen = look(ready, sample, task)
            start = _start(attempt, lambda some: objective_on(set_up(ready, sample, task, some, seen), some))
            problem = set_up(ready, sample, task, start.population, seen)
            problem = climbing(problem, task, catalog, start.population)
            search = Search(ready, catalog.read_pilot, task, watcher.on_stage)
            result = _drive_passes(attempt, start, problem, limits, search)
            if ready.skew:
                attempt.trace.write("workers differ", workers=list(ready.skew))
            return replace(result, skew=ready.skew)


@contextmanager
def _heeding_cancels(run: RunFolder, observer: Observer, lift: bool) -> Iterator[Observer]:
    """Give an observer that ends the drive once the run is cancelled; a cancel from before is refused or lifted.

    A cancel that came when the run had ended already was too late, and says nothing of another drive.
    """
    if run.requests.is_cancelled():
        if not lift and not run.end():
            raise RunCancelled(str(run.path))
        run.requests.lift_cancel(f"attempts/{run.n_attempts() + 1:04d}")
    heeding = observer if isinstance(observer, Heeding) else Heeding(observer, Stop())
    cancelled = RunCancelled(str(run.path))
    with looking_out(lambda: cancelled if run.requests.is_cancelled() else None, heeding.stop):
        yield heeding


@contextmanager
def _recorded(attempt: _Attempt) -> Iterator[None]:
    """Write down how an attempt ended that ended early."""
    try:
        yield
    except FAILURES as error:
        attempt.run.write_final({"state": "FAILED", "reason": f"{type(error).__name__}: {error}"})
        raise
    except DgmmisError as error:
        if type(error) in ENDS:
            attempt.trace.write(ENDS[type(error)], reason=str(error))
        raise


def _is_over(run: RunFolder, limits: Limits) -> bool:
    """Tell whether the run's recorded end is the end under these limits too."""
    latest, final = run.latest(), run.final()
    return (
        final is not None
        and final["state"] == "SUCCEEDED"
        and latest is not None
        and run.reaches_its_end(latest)
        and stopping_reason(latest.scan, limits) != ""
    )


def _log_beginning(attempt: _Attempt) -> None:
    attempt.trace.write("began", numerics=numerics_fingerprint())
    differing = {
        name: (there, here)
        for name, here in numerics_fingerprint().items()
        if (there := attempt.run.description["numerics"].get(name)) != here
    }
    if differing:
        attempt.trace.write("numerics differ", differing=differing)
        attempt.observer.on_stage(
            "this machine computes with other versions than the run began with "
            f"({', '.join(differing)}): results agree to rounding, not to the last bit"
        )


def _start(attempt: _Attempt, on_all_rows: Callable[[Population], float]) -> Start:
    catalog, config = attempt.catalog, attempt.run.config
    stored = attempt.run.read_start()
    if config["initial"] is not None and (stored is None or _digest(stored.population) != config["initial"]):
        raise CorruptCheckpoint(
            f"{attempt.run.path} began from a mixture that was given, and its start.ckpt does not hold it any more. "
            "Give the same initial mixture again: fit(..., initial=..., run=...)."
        )
    if stored is not None:
        return stored
    pilot = catalog.read_pilot()
    wanted = pilot_rows(attempt.task.n_components, catalog.n_features)
    attempt.observer.on_stage(f"finding a start on a random sample of {len(pilot):,} rows")
    began = time.perf_counter()
    start = choose_start(
        pilot,
        attempt.task,
        whole=len(pilot) == catalog.n_rows,
        report=attempt.observer.on_start_pass,
        on_all_rows=on_all_rows,
    )
    attempt.run.write_start(start)
    attempt.trace.write(
        "start",
        seconds=time.perf_counter() - began,
        pilot_rows=start.pilot_rows,
        pilot_rows_wanted=wanted,
        pilot_passes=start.pilot_passes,
        chosen=start.chosen,
        mean_log_likelihoods=start.mean_log_likelihoods,
        carried=start.carried,
    )
    return start


def _drive_passes(
    attempt: _Attempt, start: Start, problem: Problem, limits: Limits, search: Search
) -> FitResult:
    run, catalog = attempt.run, attempt.catalog
    latest = run.latest(at_most=limits.max_passes)
    parent = latest.digest if latest else run.digest_of_start()
    after = latest.scan if latest else None
    history = history_of(run, latest)
    attempt.observer.on_stage(f"fitting {catalog.n_rows:,} rows")
    last, began = after, time.perf_counter()
    for last in improve(start.population, problem, limits, search, after=after):
        seconds = time.perf_counter() - began
        if last.number >= len(history):
            parent = run.write_checkpoint(last, parent)
            history.append(Scan.of(last))
            _log_pass(attempt, last, seconds)
        began = time.perf_counter()
    assert last is not None
    model = model_of(last.population, attempt.task, catalog)
    result = FitResult.of(last, history, model, limits.tolerance, start, attempt.task.constraints.prior)
    _end(attempt, result, parent)
    return result


def _set_aside_damaged(attempt: _Attempt) -> None:
    damaged = attempt.run.set_aside_damaged()
    if damaged:
        attempt.trace.write("damaged checkpoints set aside", numbers=damaged)
        attempt.observer.on_stage(f"checkpoints {damaged} were damaged; their passes are made again")


def history_of(run: RunFolder, latest: Checkpoint | None) -> list[Scan]:
    """Read the history of all passes up to a checkpoint, which tells itself of those that were lost."""
    if latest is None:
        return []
    return [_stored_scan(run, latest.scan, number) for number in range(latest.scan.number + 1)]


def _stored_scan(run: RunFolder, last: Pass, number: int) -> Scan:
    try:
        scan = run.read_checkpoint(number).scan
        if scan.log_likelihoods != last.log_likelihoods[: number + 1]:
            raise CorruptCheckpoint(f"checkpoint {number} of {run.path} is of another run.")
        return Scan.of(scan)
    except (FileNotFoundError, CorruptCheckpoint):
        value = last.log_likelihoods[number]
        return Scan(
            number,
            value,
            value / last.statistics.weight,
            value - last.log_likelihoods[number - 1] if number else float("inf"),
            predicted_gain(last.objectives[: number + 1], last.statistics.scale),
            (),
        )


def _log_pass(attempt: _Attempt, last: Pass, seconds: float) -> None:
    scan, rows = Scan.of(last), last.statistics.rows
    attempt.trace.write(
        "pass",
        number=scan.number,
        log_likelihood=scan.log_likelihood,
        mean_log_likelihood=scan.mean_log_likelihood,
        gain=scan.gain,
        predicted_gain=scan.predicted_gain,
        seconds=seconds,
        rows_per_second=rows / seconds,
        pairs=last.statistics.pairs,
        left_out=last.statistics.left_out,
        amplitudes=last.mixture.amplitudes.tolist(),
        background=last.population.background_amplitudes.tolist(),
        **_of_completion(last.completion),
        events=scan.events,
    )
    attempt.observer.on_pass(scan, last.log_likelihoods, rows)


def _of_completion(completion: Completion | None) -> dict[str, Any]:
    """Write what the trace says of the unobserved rows."""
    if completion is None:
        return {}
    return {
        "completeness": completion.completeness,
        "completeness_error": completion.completeness_error,
        "log_likelihood_error": completion.log_likelihood_error,
        "imputed_points": completion.n_points,
        "refresh": completion.reference.refresh,
        "score_error": completion.score_error,
        "binning_error": completion.binning_error,
    }


def _end(attempt: _Attempt, result: FitResult, digest: str) -> None:
    outcome = {
        "state": "SUCCEEDED",
        "reason": result.reason,
        "checkpoint": digest,
        "updates": result.n_passes - 1,
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
    }
    if not result.converged:
        attempt.trace.write("stopped", reason=result.reason)
        return
    if attempt.run.final() is None:
        attempt.run.write_final(outcome)
    attempt.trace.write("converged", reason=result.reason)
