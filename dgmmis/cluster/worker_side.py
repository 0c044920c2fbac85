"""What runs on a worker: read chunks, keep decoded ones while memory allows, return whole subtrees."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Generic, TypeVar

import numpy as np
from distributed import get_worker

from dgmmis.background import BackgroundLike
from dgmmis.chunk import with_hashes
from dgmmis.component_views import ComponentViews
from dgmmis.errors import InvalidData
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.imputation import ClassSums, Leaf, impute_leaf
from dgmmis.imputation_points import Points, draw_points
from dgmmis.many_statistics import ChunkWork
from dgmmis.observation import Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.read_ahead import reading_ahead
from dgmmis.resampling import Resample
from dgmmis.row_hash import hash_integers
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut
from dgmmis.store import Catalog, open_catalog
from dgmmis.survey import Survey, Surveyor
from dgmmis.tilted_background import kept_background_densities
from dgmmis.tree import Addable, Node, sum_leaves

__all__ = [
    "SampleCache",
    "gather_scattered",
    "gather_segment",
    "impute_points",
    "opened_catalog",
    "sample_cache",
    "sum_chunks",
    "summarize_scattered",
    "summarize_segment",
    "survey_scattered",
    "survey_segment",
    "weighed",
    "weighed_sent",
    "with_densities",
]

T = TypeVar("T")
Sum = TypeVar("Sum", bound=Addable)
Key = tuple[str, tuple[int, ...], int | None, int]
"""Fingerprint of a catalogue, columns whose noise is kept, key of the hashes of ids, and chunk."""

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
        self._kept: dict[Key, Samples] = {}
        self._lock = threading.Lock()

    def get(self, key: Key) -> Samples | None:
        """Return a kept chunk, or None."""
        return self._kept.get(key)

    def offer(self, key: Key, samples: Samples) -> None:
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
    """Open a catalogue once in this process, as it was for the driver: rows that were appended since do not count.

    Raises
    ------
    InvalidData
        If it is another than the driver's.
    """
    catalog = open_catalog(path)
    if fingerprint not in catalog.fingerprints:
        raise InvalidData(
            f"{path} on this worker has fingerprint {catalog.fingerprint[:16]}, the fit began on "
            f"{fingerprint[:16]}: the catalogue was replaced. Start a new run.",
            array=path,
            value=catalog.fingerprint,
        )
    return catalog.as_of(fingerprint)


def sum_chunks(
    catalog: Catalog, start: int, stop: int, leaf: Callable[[int, Samples], Sum]
) -> list[Node[Sum]]:
    """Sum over chunks `start` to `stop - 1`, from memory if they are there, else one being read ahead."""
    kept, key = sample_cache(), (catalog.fingerprint, catalog.kept_noise, catalog.hash_key)

    def find(chunk: int) -> Samples | None:
        return kept.get((*key, chunk))

    def read(chunk: int) -> Samples:
        samples = catalog.read_samples(chunk)
        kept.offer((*key, chunk), samples)
        return samples

    with reading_ahead(read, stop, at_hand=find) as take:
        return sum_leaves(start, stop, lambda chunk: leaf(chunk, take(chunk)))


class LatestOnly(Generic[T]):
    """Things made for one purpose, forgotten when another purpose comes."""

    def __init__(self) -> None:
        self._purpose: object = None
        self._kept: dict[object, T] = {}
        self._lock = threading.Lock()

    def get(self, purpose: object, key: object, make: Callable[[], T]) -> T:
        """Return what is kept under `key`, or make it."""
        with self._lock:
            if purpose != self._purpose:
                self._purpose, self._kept = purpose, {}
            found = self._kept.get(key)
        if found is not None:
            return found
        made = make()
        with self._lock:
            if purpose == self._purpose:
                self._kept[key] = made
        return made


DENSITIES: LatestOnly[Array] = LatestOnly()
POINTS: LatestOnly[Points] = LatestOnly()


def with_densities(
    backgrounds: tuple[BackgroundLike, ...], samples: Samples, token: str, chunk: int, cut: Cut | None
) -> Samples:
    """Rows with their background densities, computed once per fit."""
    if not backgrounds:
        return samples
    densities = DENSITIES.get(token, chunk, lambda: kept_background_densities(backgrounds, samples, cut))
    return samples.with_densities(densities)


def summarize_segment(
    path: str,
    fingerprint: str,
    token: str,
    start: int,
    stop: int,
    population: Population,
    cut: Cut | None = None,
    negligible: float = NEGLIGIBLE,
    resample: Resample | None = None,
) -> list[Node[Statistics]]:
    """Sum the statistics of chunks `start` to `stop - 1` of a catalogue into whole subtrees."""
    views = ComponentViews(population)
    catalog = opened_catalog(path, fingerprint).keeping_noise(cut.noise_columns if cut else ())

    def leaf(chunk: int, samples: Samples) -> Statistics:
        samples = with_densities(population.backgrounds, samples, token, chunk, cut)
        samples = weighed(catalog, chunk, samples, resample)
        first_row = catalog.row_range(chunk)[0]
        return summarize_samples(
            population, samples, first_row=first_row, cut=cut, negligible=negligible, views=views
        )

    return sum_chunks(catalog, start, stop, leaf)


def summarize_scattered(
    samples: Sequence[Samples],
    token: str,
    start: int,
    chunk_rows: int,
    population: Population,
    cut: Cut | None = None,
    negligible: float = NEGLIGIBLE,
    resample: Resample | None = None,
) -> list[Node[Statistics]]:
    """Sum the statistics of chunks that were sent here, the first being chunk `start`."""
    views = ComponentViews(population)

    def leaf(chunk: int) -> Statistics:
        rows = with_densities(population.backgrounds, samples[chunk - start], token, chunk, cut)
        rows = weighed_sent(chunk * chunk_rows, rows, resample)
        return summarize_samples(
            population, rows, first_row=chunk * chunk_rows, cut=cut, negligible=negligible, views=views
        )

    return sum_leaves(start, start + len(samples), leaf)


def weighed(catalog: Catalog, chunk: int, samples: Samples, resample: Resample | None) -> Samples:
    """Weigh a chunk of a catalogue as a replicate does."""
    return samples if resample is None else resample.of(samples, catalog.row_hashes(chunk))


def weighed_sent(first_row: int, samples: Samples, resample: Resample | None) -> Samples:
    """Weigh rows of an array, from `first_row` on, as a replicate does."""
    if resample is None:
        return samples
    return resample.of(samples, hash_integers(np.arange(first_row, first_row + samples.n_rows)))


def survey_segment(
    path: str,
    fingerprint: str,
    token: str,
    start: int,
    stop: int,
    surveyor: Surveyor,
    resample: Resample | None = None,
) -> list[Node[Survey]]:
    """Survey chunks `start` to `stop - 1` of a catalogue."""
    catalog = opened_catalog(path, fingerprint).keeping_noise(surveyor.cut.noise_columns)

    def leaf(chunk: int, samples: Samples) -> Survey:
        samples = weighed(catalog, chunk, samples, resample)
        return surveyor.survey(samples, first_row=catalog.row_range(chunk)[0])

    return sum_chunks(catalog, start, stop, leaf)


def survey_scattered(
    samples: Sequence[Samples],
    token: str,
    start: int,
    chunk_rows: int,
    surveyor: Surveyor,
    resample: Resample | None = None,
) -> list[Node[Survey]]:
    """Survey chunks that were sent here."""

    def leaf(chunk: int) -> Survey:
        rows = weighed_sent(chunk * chunk_rows, samples[chunk - start], resample)
        return surveyor.survey(rows, first_row=chunk * chunk_rows)

    return sum_leaves(start, start + len(samples), leaf)


def gather_segment(
    path: str,
    fingerprint: str,
    token: str,
    start: int,
    stop: int,
    work: ChunkWork[Sum],
    hash_key: int | None = None,
) -> list[Node[Sum]]:
    """Sum what `work` makes of chunks `start` to `stop - 1` of a catalogue, each loaded once for all of it."""
    of_chunk, columns = work.begin(), work.cut.noise_columns if work.cut else ()
    catalog = opened_catalog(path, fingerprint).keeping_noise(columns)
    catalog = catalog if hash_key is None else catalog.hashing_ids(hash_key)

    def leaf(chunk: int, samples: Samples) -> Sum:
        samples = with_densities(work.backgrounds, samples, token, chunk, work.cut)
        return of_chunk(samples, catalog.row_range(chunk)[0])

    return sum_chunks(catalog, start, stop, leaf)


def gather_scattered(
    samples: Sequence[Samples],
    token: str,
    start: int,
    chunk_rows: int,
    work: ChunkWork[Sum],
    hash_key: int | None = None,
) -> list[Node[Sum]]:
    """Sum what `work` makes of chunks that were sent here."""
    of_chunk = work.begin()

    def leaf(chunk: int) -> Sum:
        rows = with_hashes(samples[chunk - start], chunk * chunk_rows, hash_key)
        return of_chunk(with_densities(work.backgrounds, rows, token, chunk, work.cut), chunk * chunk_rows)

    return sum_leaves(start, start + len(samples), leaf)


def impute_points(
    observation: Observation, token: str, leaf: Leaf, population: Population, reference: Reference
) -> ClassSums:
    """Sum the statistics of one leaf's points, which are drawn once per reference."""
    points = POINTS.get((token, reference.refresh), leaf, lambda: draw_points(observation, reference, *leaf))
    return impute_leaf(population, observation, points)
