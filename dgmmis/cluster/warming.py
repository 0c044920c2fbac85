"""Workers compile, or load, what a pass needs before the first pass, all of them at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace

from distributed import Client, LocalCluster, WorkerPlugin

from dgmmis.chunk import ArrayChunks
from dgmmis.errors import DgmmisError
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.selected_rows import Cut
from dgmmis.store import Catalog

__all__ = ["WarmKernels", "warm_workers"]

FEW_ROWS = 512
"""Enough to meet the patterns of missing features that are not rare."""


class WarmKernels(WorkerPlugin):
    """Runs the expectation of a few rows on every worker, and on those that come later before they get work.

    Parameters
    ----------
    population : Population
    rows : Rows
        Of the kind that the passes will be over.
    cut : Cut, optional
    """

    name = "dgmmis-warm-kernels"

    def __init__(self, population: Population, rows: Rows, cut: Cut | None) -> None:
        self._population, self._rows, self._cut = population, rows, cut

    async def setup(self, worker: object) -> None:
        """Compile in a thread: a worker that is silent for long counts as dead."""
        await asyncio.to_thread(self.run)

    def run(self) -> None:
        """Compute what a pass would; an error about these rows is left to the pass, which knows their place."""
        with suppress(DgmmisError):
            rows = replace(self._rows, values=self._rows.values.copy())  # what arrived cannot be written to
            keep_noise = self._cut.noise_columns if self._cut else ()
            samples = rows.samples(checked=True, keep_noise=keep_noise).bounded()
            summarize_samples(self._population, prepare(self._population, samples, self._cut), cut=self._cut)


def warm_workers(
    client: Client, chunks: Catalog | ArrayChunks, population: Population, cut: Cut | None
) -> None:
    """Have every worker ready for passes over such rows.

    A worker that dies meanwhile, or has no such package, is no matter of this: the pass will deal with it.
    """
    warm = WarmKernels(population, _few(chunks), cut)
    if isinstance(client.cluster, LocalCluster):
        warm.run()  # compiles here, once: workers of this machine find it done, and need not hold a compiler's work
    with suppress(OSError, TimeoutError, KeyError, ImportError, CancelledError):
        client.register_plugin(warm)


def _few(chunks: Catalog | ArrayChunks) -> Rows:
    if isinstance(chunks, ArrayChunks):
        return chunks.rows.take(slice(0, FEW_ROWS))
    return chunks.read_pilot(FEW_ROWS)
