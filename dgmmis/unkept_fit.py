"""A fit that no run folder keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgmmis.chunk import ArrayChunks
from dgmmis.climbing import climbing
from dgmmis.cluster import ClusterPasses
from dgmmis.fit_result import FitResult, Scan
from dgmmis.fitted_model import model_of
from dgmmis.improvement import Search, improve
from dgmmis.iterate import Pass
from dgmmis.local_pass import LocalPasses
from dgmmis.observer import Observer
from dgmmis.population import Population
from dgmmis.preparation import Prepared
from dgmmis.samples import Samples
from dgmmis.starts import PILOT_ROWS, choose_start, objective_on
from dgmmis.store import Catalog
from dgmmis.task import Passes, Seen, Task, information_sample, look, set_up

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Ready", "fit_from", "get_ready", "passes_over"]


@dataclass(frozen=True)
class Ready:
    """What fits of the same rows share, wherever they start.

    Attributes
    ----------
    passes : Passes
    sample : Samples
        A random sample of the rows.
    seen : Seen or None
        What one look at all rows showed, under a selection.
    """

    passes: Passes
    sample: Samples
    seen: Seen | None


def passes_over(
    chunks: ArrayChunks | Catalog, client: Client | None, observer: Observer, task: Task
) -> Passes:
    """Make the passes over all rows: here, or on the workers of a client."""
    if client is None:
        return LocalPasses(chunks, cut=task.cut, negligible=task.pruning, on_segment=observer.on_segment)
    return ClusterPasses(
        chunks, client, on_segment=observer.on_segment, cut=task.cut, negligible=task.pruning
    )


def get_ready(prepared: Prepared, client: Client | None, observer: Observer) -> Ready:
    """Look at all rows before anything is fitted; raises `SelectionError` if the selection cannot be used."""
    task = prepared.task
    passes, sample = (
        passes_over(prepared.chunks, client, observer, task),
        information_sample(prepared.chunks, task),
    )
    return Ready(passes, sample, look(passes, sample, task))


def _comparing(task: Task, ready: Ready) -> Callable[[Population], float]:
    """Make what compares the starts that are carried to all rows."""

    def compare(population: Population) -> float:
        return objective_on(set_up(ready.passes, ready.sample, task, population, ready.seen), population)

    return compare


def fit_from(prepared: Prepared, ready: Ready, observer: Observer) -> FitResult:
    """Fit from where the caller said, or from the best of several starts."""
    chunks, task, initial, start = prepared.chunks, prepared.task, prepared.initial, None
    if initial is None:
        pilot = chunks.read_pilot(PILOT_ROWS)
        whole = len(pilot) == chunks.n_rows
        start = choose_start(
            pilot, task, whole=whole, report=observer.on_start_pass, on_all_rows=_comparing(task, ready)
        )
        initial = start.population
    problem = climbing(set_up(ready.passes, ready.sample, task, initial, ready.seen), task, chunks, initial)
    history: list[Scan] = []
    last: Pass | None = None
    search = Search(ready.passes, chunks.read_pilot, task, observer.on_stage)
    for last in improve(initial, problem, prepared.limits, search):
        if last.number >= len(history):
            history.append(Scan.of(last))
            observer.on_pass(history[-1], last.log_likelihoods, last.statistics.rows)
    assert last is not None
    model = model_of(last.population, task, chunks)
    result = FitResult.of(last, history, model, prepared.limits.tolerance, start, task.constraints.prior)
    return replace(result, skew=ready.passes.skew)
