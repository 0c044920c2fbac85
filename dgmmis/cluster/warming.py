"""Workers compile, or load, what a pass needs before the first pass, all of them at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from distributed import Client, LocalCluster

from dgmmis.chunk import ArrayChunks
from dgmmis.cluster.preflight import ask_workers
from dgmmis.errors import DgmmisError, WorkersDiffer
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.selected_rows import Cut
from dgmmis.store import Catalog

__all__ = ["warm", "warm_workers"]

FEW_ROWS = 512
"""Enough to meet the patterns of missing features that are not rare."""
UNREADABLE = (ImportError, AttributeError)
"""What unpickling raises where a function's module is missing or another."""


def warm(population: Population, rows: Rows, cut: Cut | None) -> None:
    """Compute what a pass would; an error about these rows is left to the pass, which knows their place."""
    with suppress(DgmmisError):
        rows = replace(rows, values=rows.values.copy())  # what arrived cannot be written to
        keep_noise = cut.noise_columns if cut else ()
        samples = rows.samples(checked=True, keep_noise=keep_noise).bounded()
        summarize_samples(population, prepare(population, samples, cut), cut=cut)


def warm_workers(
    client: Client, chunks: Catalog | ArrayChunks, population: Population, cut: Cut | None
) -> None:
    """Have every worker ready for passes over such rows; those that come later compile in their first segment.

    A worker that dies or hangs meanwhile is no matter of this: the pass will deal with it.

    Raises
    ------
    WorkersDiffer
        If a worker cannot read what it was sent: a background's function that cannot be imported there.
    """
    rows = _few(chunks)
    if isinstance(client.cluster, LocalCluster):
        warm(population, rows, cut)  # compiles once: workers of this machine find it done
    for worker, answer in sorted(ask_workers(client, warm, population, rows, cut).items()):
        if isinstance(answer, UNREADABLE):
            raise WorkersDiffer(
                f"worker {worker} cannot read what the fit needs: {answer!r}. Install the module of your function "
                "on every worker.",
                worker,
            )


def _few(chunks: Catalog | ArrayChunks) -> Rows:
    if isinstance(chunks, ArrayChunks):
        return chunks.rows.take(slice(0, FEW_ROWS))
    return chunks.read_pilot(FEW_ROWS)
