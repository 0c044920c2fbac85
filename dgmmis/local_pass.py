"""One pass over all chunks in this process, on a few threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from dgmmis.expectation import summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.tree import Tree, sum_leaves

__all__ = ["Chunks", "local_summarize", "processors"]


def processors() -> int:
    """Processors that this process may use: `taskset` and containers may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Chunks(Protocol):
    """Rows in chunks: an array in memory, or a catalogue."""

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""

    def row_range(self, chunk: int) -> tuple[int, int]:
        """Return the first row of a chunk and one past its last."""

    def read_samples(self, chunk: int) -> Samples:
        """One chunk."""


def local_summarize(chunks: Chunks, *, threads: int | None = None) -> Callable[[Mixture], Statistics]:
    """Make the `summarize` of data that this process reads itself.

    The kernels release the GIL, so threads scale; the tree of sums makes their number invisible.

    Parameters
    ----------
    chunks : Chunks
    threads : int, optional
        Default: the processors this process may use.
    """
    threads = max(1, min(threads or processors(), chunks.n_chunks))

    def summarize(mixture: Mixture) -> Statistics:
        def leaf(chunk: int) -> Statistics:
            first_row = chunks.row_range(chunk)[0]
            return summarize_samples(mixture, chunks.read_samples(chunk), first_row=first_row)

        tree: Tree[Statistics] = Tree()
        if threads == 1:
            tree.add(sum_leaves(0, chunks.n_chunks, leaf))
            return tree.total()
        with ThreadPoolExecutor(threads) as pool:
            for nodes in pool.map(lambda chunk: sum_leaves(chunk, chunk + 1, leaf), range(chunks.n_chunks)):
                tree.add(nodes)
        return tree.total()

    return summarize
