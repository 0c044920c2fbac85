"""Drives one run: from its folder's last checkpoint to the end, one immutable object per pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dgmmis.attempt import Attempt, log_beginning, log_end, log_pass, recorded
from dgmmis.climbing import climbing
from dgmmis.errors import CorruptCheckpoint, RunCancelled, RunLocked
from dgmmis.fit_result import FitResult, Scan
from dgmmis.fitted_model import model_of
from dgmmis.improvement import Search, improve
from dgmmis.iterate import Limits, Problem, stopping_reason
from dgmmis.observer import Observer, watching
from dgmmis.population import Population
from dgmmis.pulse import pulsing
from dgmmis.run_history import history_of
from dgmmis.run_preparation import population_digest
from dgmmis.runs import RunFolder
from dgmmis.starts import Start, choose_start, objective_on, pilot_rows
from dgmmis.stopping import Heeding, Stop, looking_out
from dgmmis.store import Catalog
from dgmmis.task import Passes, Task, information_sample, look, set_up

__all__ = ["drive"]


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
        with pulsing(run, number, watcher) as pulse:
            attempt = Attempt(run, catalog, task, number, run.open_trace(number), pulse)
            return _drive(attempt, passes, limits)


def _drive(attempt: Attempt, passes: Callable[[Observer], Passes], limits: Limits) -> FitResult:
    run, catalog, task, pulse = attempt.run, attempt.catalog, attempt.task, attempt.observer
    with recorded(attempt):
        log_beginning(attempt)
        _set_aside_damaged(attempt)
        if not _is_over(run, limits):
            run.reopen(attempt.number)
        ready, sample = passes(pulse), information_sample(catalog, task)
        pulse.listen_to(lambda: ready.vitals)
        seen = look(ready, sample, task)
        start = _start(attempt, lambda some: objective_on(set_up(ready, sample, task, some, seen), some))
        problem = set_up(ready, sample, task, start.population, seen)
        problem = climbing(problem, task, catalog, start.population)
        search = Search(ready, catalog.read_pilot, task, pulse.on_stage)
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


def _start(attempt: Attempt, on_all_rows: Callable[[Population], float]) -> Start:
    catalog, config = attempt.catalog, attempt.run.config
    stored = attempt.run.read_start()
    if config["initial"] is not None and (
        stored is None or population_digest(stored.population) != config["initial"]
    ):
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
    attempt: Attempt, start: Start, problem: Problem, limits: Limits, search: Search
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
            log_pass(attempt, last, seconds)
        began = time.perf_counter()
    assert last is not None
    model = model_of(last.population, attempt.task, catalog)
    result = FitResult.of(last, history, model, limits.tolerance, start, attempt.task.constraints.prior)
    log_end(attempt, result, parent)
    return result


def _set_aside_damaged(attempt: Attempt) -> None:
    damaged = attempt.run.set_aside_damaged()
    if damaged:
        attempt.trace.write("damaged checkpoints set aside", numbers=damaged)
        attempt.observer.on_stage(f"checkpoints {damaged} were damaged; their passes are made again")
