"""What is written of an attempt at a run: that it began, each of its passes, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dgmmis.errors import (
    ClusterLost,
    CollapsedComponent,
    DgmmisError,
    ImputationLimit,
    InvalidData,
    PoisonChunk,
    RunCancelled,
    RunInterrupted,
    WorkersDiffer,
)
from dgmmis.fit_result import FitResult, Scan
from dgmmis.imputed_passes import Completion
from dgmmis.iterate import Pass
from dgmmis.pulse import Pulse
from dgmmis.runs import RunFolder, numerics_fingerprint
from dgmmis.runs.trace import Trace
from dgmmis.store import Catalog
from dgmmis.task import Task

__all__ = ["Attempt", "log_beginning", "log_end", "log_pass", "recorded"]

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
class Attempt:
    """One attempt at a run: what drives it, and who is told.

    Attributes
    ----------
    run : RunFolder
    catalog : Catalog
    task : Task
    number : int
    trace : Trace
    observer : Pulse
    """

    run: RunFolder
    catalog: Catalog
    task: Task
    number: int
    trace: Trace
    observer: Pulse


@contextmanager
def recorded(attempt: Attempt) -> Iterator[None]:
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


def log_beginning(attempt: Attempt) -> None:
    """Write that it began, and say if this machine computes otherwise than the run began."""
    catalog = attempt.catalog
    attempt.trace.write(
        "began",
        numerics=numerics_fingerprint(),
        rows=catalog.n_rows,
        quarantined=catalog.n_quarantined,
        chunks=catalog.n_chunks,
        pass_bytes=catalog.pass_nbytes,
    )
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


def log_pass(attempt: Attempt, last: Pass, seconds: float) -> None:
    """Write of a finished pass, and tell the observer."""
    scan, rows, vitals = Scan.of(last), last.statistics.rows, attempt.observer.vitals
    attempt.trace.write(
        "pass",
        number=scan.number,
        log_likelihood=scan.log_likelihood,
        mean_log_likelihood=scan.mean_log_likelihood,
        gain=scan.gain,
        predicted_gain=scan.predicted_gain,
        seconds=seconds,
        rows_per_second=rows / seconds,
        bytes_per_second=attempt.catalog.pass_nbytes / seconds,
        workers=len(vitals.workers),
        resubmitted=vitals.resubmitted,
        deaths=vitals.deaths,
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


def log_end(attempt: Attempt, result: FitResult, digest: str) -> None:
    """Write how it ended; `digest` is that of the last checkpoint."""
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
