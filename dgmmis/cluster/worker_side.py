"""What runs on a worker: read chunks, keep decoded ones while memory allows, return whole subtrees."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache

from distributed import get_worker

from dgmmis.errors import InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.store import Catalog, open_catalog
from dgmmis.tree import Node, sum_leaves

__all__ = ["SampleCache", "opened_catalog", "sample_cache", "summarize_scattered", "summarize_segment"]

CACHE_SHARE = 0.4
RESERVED = 160 * 2**20
"""Bytes of a worker's limit that Python, the libraries and the chunks in work take."""
UNLIMITED_BUDGET = 2**30


class SampleCache:
    """Decoded chunks, kept until their budget is full.

    Nothing is ever evicted: passes read the chunks in the same order, and dropping the least recently used
    would drop each one just before it is needed again.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._kept: dict[tuple[str, int], Samples] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> Samples | None:
        """Return a kept chunk, or None."""
        return self._kept.get(key)

    def offer(self, key: tuple[str, int], samples: Samples) -> None:
        """Keep a chunk if it fits."""
        with self._lock:
            if key not in self._kept and self.nbytes + samples.nbytes <= self.budget:
                self._kept[key] = samples
                self.nbytes += samples.nbytes


@cache
def sample_cache() -> SampleCache:
    """Return this process's cache, its budget taken from the worker's memory limit."""
    limit = get_worker().memory_manager.memory_limit
    return SampleCache(UNLIMITED_BUDGET if not limit else max(0, int(CACHE_SHARE * limit) - RESERVED))


@cache
def opened_catalog(path: str, fingerprint: str) -> Catalog:
    """Open a catalogue once in this process; raises `InvalidData` if it is another than the driver's."""
    catalog = open_catalog(path)
    if catalog.fingerprint != fingerprint:
        raise InvalidData(
            f"{path} on this worker has fingerprint {catalog.fingerprint[:16]}, the fit began on "
            f"{fingerprint[:16]}: the catalogue was replaced. Start a new run.",
            array=path,
            value=catalog.fingerprint,
        )
    return catalog


def summarize_segment(
    path: str, fingerprint: str, start: int, stop: int, mixture: Mixture
) -> list[Node[Statistics]]:
    """Sum the statistics of chunks `start` to `stop - 1` of a catalogue into whole subtrees."""
    catalog, kept = opened_catalog(path, fingerprint), sample_cache()

    def leaf(chunk: int) -> Statistics:
        samples = kept.get((fingerprint, chunk))
        if samples is None:
            samples = catalog.read_samples(chunk)
            kept.offer((fingerprint, chunk), samples)
        return summarize_samples(mixture, samples, first_row=catalog.row_range(chunk)[0])

    return sum_leaves(start, stop, leaf)


def summarize_scattered(
    samples: Sequence[Samples], start: int, chunk_rows: int, mixture: Mixture
) -> list[Node[Statistics]]:
    """Sum the statistics of chunks that were sent here, the first being chunk `start`."""

    def leaf(chunk: int) -> Statistics:
        return summarize_samples(mixture, samples[chunk - start], first_row=chunk * chunk_rows)

    return sum_leaves(start, start + len(samples), leaf)
