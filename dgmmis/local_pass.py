"""One pass over all chunks in this process, on a few threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Protocol, TypeVar

from dgmmis.background import BackgroundLike
from dgmmis.chunk import ArrayChunks
from dgmmis.component_views import ComponentViews
from dgmmis.density_curvature import HermiteMoments, hermite_moments
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.imputation import Imputed, combine, impute_leaf, leaves
from dgmmis.imputation_points import Points, draw_points
from dgmmis.many_statistics import ChunkWork
from dgmmis.misfit import Examiner, Misfit
from dgmmis.observation import Observation, Reference
from dgmmis.outer_products import OuterProducts, Scorer
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.read_ahead import reading_ahead
from dgmmis.resampling import Resample
from dgmmis.row_hash import Hashes
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut
from dgmmis.survey import Survey, Surveyor
from dgmmis.tilted_background import kept_background_densities
from dgmmis.tree import Addable, Tree, sum_leaves
from dgmmis.vitals import Vitals, WorkerVitals

__all__ = ["Chunks", "LocalPasses", "local_summarize", "processors"]

MOST_KEPT = 2**30
"""Bytes of background densities that are kept between passes."""

Sum = TypeVar("Sum", bound=Addable)
Item = TypeVar("Item")
Result = TypeVar("Result")


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

    def row_hashes(self, chunk: int) -> Hashes:
        """Hashes (n,) of the ids of a chunk's rows."""

    def keeping_noise(self, columns: Sequence[int]) -> Chunks:
        """Return the same chunks, their noise in `columns` kept where rows lack these features."""

    def hashing_ids(self, key: int) -> Chunks:
        """Return the same chunks, read with the hashes of their rows' ids under `key`."""


class LocalPasses:
    """Passes over data that this process reads itself.

    The kernels release the GIL, so threads scale; the tree of sums makes their number invisible.

    Parameters
    ----------
    chunks : Chunks
    threads : int, optional
        Default: the processors this process may use.
    cut : Cut, optional
        The selection that the rows passed.
    negligible : float
        As of `summarize_samples`.
    hash_key : int, optional
        Of the rows' ids, which are read if folds are to be told.
    on_segment : callable, optional
        Called with (chunks done, chunks in all) while a pass runs, and alike while points are imputed.  If it raises,
        the pass ends there.
    """

    def __init__(
        self,
        chunks: Chunks,
        *,
        threads: int | None = None,
        cut: Cut | None = None,
        negligible: float = NEGLIGIBLE,
        hash_key: int | None = None,
        on_segment: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        self._on_segment = on_segment
        chunks = chunks if cut is None else chunks.keeping_noise(cut.noise_columns)
        self._chunks = chunks if hash_key is None else chunks.hashing_ids(hash_key)
        self._threads, self._cut, self._negligible = threads or processors(), cut, negligible
        self._resample: Resample | None = None
        self._densities: dict[int, Array] = {}  # of the backgrounds, by chunk
        self._kept_bytes = 0
        self._lock = threading.Lock()

    @property
    def skew(self) -> tuple[str, ...]:
        """Nothing: they are made by this process."""
        return ()

    @property
    def vitals(self) -> Vitals:
        """Name this process and its threads."""
        return Vitals((WorkerVitals("this process", self._threads, tasks=self._threads),))

    def summarize(self, population: Population) -> Statistics:
        """Statistics of all rows under a population."""
        views = ComponentViews(population)

        def summarize(chunk: int, samples: Samples) -> Statistics:
            samples = self._with_densities(population.backgrounds, chunk, samples)
            first_row = self._chunks.row_range(chunk)[0]
            return summarize_samples(
                population,
                samples,
                first_row=first_row,
                cut=self._cut,
                negligible=self._negligible,
                views=views,
            )

        return self._sum(summarize)

    def survey(self, surveyor: Surveyor) -> Survey:
        """Survey all rows."""

        def survey(chunk: int, samples: Samples) -> Survey:
            return surveyor.survey(samples, first_row=self._chunks.row_range(chunk)[0])

        return self._sum(survey)

    def score(self, scorer: Scorer) -> OuterProducts:
        """Outer products of the scores of all rows."""

        def score(chunk: int, samples: Samples) -> OuterProducts:
            return scorer.score(self._with_densities(scorer.chart.origin.backgrounds, chunk, samples))

        return self._sum(score)

    def curve(self, population: Population) -> HermiteMoments:
        """How the densities of all rows curve under a population."""

        def curve(chunk: int, samples: Samples) -> HermiteMoments:
            return hermite_moments(population, self._with_densities(population.backgrounds, chunk, samples))

        return self._sum(curve)

    def resampled(self, resample: Resample) -> LocalPasses:
        """Make the same passes over the rows weighed as a replicate of them does."""
        passes = copy(self)
        passes._resample = resample
        return passes

    def gather(self, work: ChunkWork[Sum]) -> Sum:
        """Sum what `work` makes of each chunk, which is loaded once for all of it."""
        of_chunk = work.begin()

        def leaf(chunk: int, samples: Samples) -> Sum:
            samples = self._with_densities(work.backgrounds, chunk, samples)
            return of_chunk(samples, self._chunks.row_range(chunk)[0])

        return self._sum(leaf)

    def examine(self, examiner: Examiner) -> Misfit:
        """Examine all rows."""

        def examine(chunk: int, samples: Samples) -> Misfit:
            samples = self._with_densities(examiner.population.backgrounds, chunk, samples)
            return examiner.examine(samples, cut=self._cut, first_row=self._chunks.row_range(chunk)[0])

        return self._sum(examine)

    def impute(self, observation: Observation) -> Callable[[Population, Reference], Imputed]:
        """Make the `impute` that draws its points here, once per reference."""
        kept: dict[int, list[Points]] = {}

        def impute(population: Population, reference: Reference) -> Imputed:
            if reference.refresh not in kept:
                while len(kept) > 1:  # a step that is not made returns to the points before
                    kept.pop(next(iter(kept)))
                kept[reference.refresh] = self._map(
                    lambda leaf: draw_points(observation, reference, *leaf), leaves(observation, reference)
                )
            points = kept[reference.refresh]
            sums = self._map(lambda some: impute_leaf(population, observation, some), points)
            return combine(population, observation, sums)

        return impute

    def _sum(self, summarize: Callable[[int, Samples], Sum]) -> Sum:
        """Sum over all chunks, each thread having one more read while it computes."""
        chunks, n_chunks = self._chunks, self._chunks.n_chunks
        at_hand = {"at_hand": chunks.read_samples} if isinstance(chunks, ArrayChunks) else {}
        with reading_ahead(chunks.read_samples, n_chunks, depth=self._threads, **at_hand) as read:

            def leaf(chunk: int) -> Sum:
                return summarize(chunk, self._weighed(chunk, read(chunk)))

            tree: Tree[Sum] = Tree()
            for nodes in self._each(lambda chunk: sum_leaves(chunk, chunk + 1, leaf), range(n_chunks)):
                tree.add(nodes)
            return tree.total()

    def _weighed(self, chunk: int, samples: Samples) -> Samples:
        if self._resample is None:
            return samples
        return self._resample.of(samples, self._chunks.row_hashes(chunk))

    def _with_densities(
        self, backgrounds: tuple[BackgroundLike, ...], chunk: int, samples: Samples
    ) -> Samples:
        """One chunk with its background densities, which are kept while there is room."""
        if not backgrounds:
            return samples
        densities = self._densities.get(chunk)
        if densities is None:
            densities = kept_background_densities(backgrounds, samples, self._cut)
            with self._lock:
                if self._kept_bytes < MOST_KEPT and chunk not in self._densities:
                    self._densities[chunk] = densities
                    self._kept_bytes += densities.nbytes
        return samples.with_densities(densities)

    def _map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        return list(self._each(function, items))

    def _each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield what a function makes of each item, in order; whoever stops taking leaves no work behind."""
        if self._threads == 1 or len(items) <= 1:
            for done, item in enumerate(items, 1):
                yield function(item)
                self._on_segment(done, len(items))
            return
        with ThreadPoolExecutor(min(self._threads, len(items))) as pool:
            try:
                for done, result in enumerate(pool.map(function, items), 1):
                    yield result
                    self._on_segment(done, len(items))
            finally:
                pool.shutdown(cancel_futures=True)


def local_summarize(chunks: Chunks, *, threads: int | None = None) -> Callable[[Population], Statistics]:
    """Make the `summarize` of data that this process reads itself; parameters as of `LocalPasses`."""
    return LocalPasses(chunks, threads=threads).summarize
