"""Passes over a Dask cluster: segments out, subtrees back, the tree finished here."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from distributed import Client, Future

from dgmmis.chunk import ArrayChunks
from dgmmis.cluster.bounded import within
from dgmmis.cluster.placement import Placement, Sender
from dgmmis.cluster.preflight import Preflight
from dgmmis.cluster.segments import segment_bounds
from dgmmis.cluster.supervisor import Supervisor
from dgmmis.cluster.warming import warm_workers
from dgmmis.cluster.worker_scores import (
    examine_scattered,
    examine_segment,
    score_scattered,
    score_segment,
)
from dgmmis.cluster.worker_side import (
    gather_scattered,
    gather_segment,
    impute_points,
    summarize_scattered,
    summarize_segment,
    survey_scattered,
    survey_segment,
)
from dgmmis.expectation import NEGLIGIBLE
from dgmmis.imputation import ClassSums, Imputed, combine, leaves
from dgmmis.many_statistics import ChunkWork, ManyStatistics
from dgmmis.misfit import Examiner, Misfit
from dgmmis.observation import Observation, Reference
from dgmmis.outer_products import OuterProducts, Scorer
from dgmmis.population import Population
from dgmmis.resampling import Resample
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut
from dgmmis.store import Catalog
from dgmmis.survey import Survey, Surveyor
from dgmmis.tree import Addable, Tree
from dgmmis.vitals import Vitals

__all__ = ["ClusterPasses", "cluster_summarize"]

Bounds = tuple[int, int]
Sum = TypeVar("Sum", bound=Addable)

SENDING = 60.0
"""Seconds that the rows of a segment may take to a worker."""


@dataclass(frozen=True)
class Work:
    """A worker's function for segments of a catalogue, and its twin for chunks that were sent."""

    of_catalog: Callable[..., Any]
    of_sent: Callable[..., Any]


SUMMARIZE = Work(summarize_segment, summarize_scattered)
SURVEY = Work(survey_segment, survey_scattered)
SCORE = Work(score_segment, score_scattered)
GATHER = Work(gather_segment, gather_scattered)
EXAMINE = Work(examine_segment, examine_scattered)


class ClusterPasses:
    """Passes over data that the workers of a client read.

    Parameters
    ----------
    chunks : Catalog or ArrayChunks
        A catalogue must lie where every worker can read it; an array's chunks are sent to the workers once.
    client : distributed.Client
    progress_deadline : float, optional
        Seconds without a sign of progress after which the cluster counts as lost; default:
        `dgmmis.progress-deadline` of Dask's configuration.
    on_segment : callable, optional
        Called with (segments done, segments in all) while a pass runs.
    cut : Cut, optional
        The selection that the rows passed.
    negligible : float
        As of `summarize_samples`.
    hash_key : int, optional
        Of the rows' ids, which workers read if folds are to be told.

    Raises
    ------
    DgmmisError
        From every pass: what a worker raised of this package's errors, `ClusterLost` and `PoisonChunk`.
    WorkersDiffer, SelectionError
        If a worker computes otherwise than this process, or cannot read the selection.
    """

    def __init__(
        self,
        chunks: Catalog | ArrayChunks,
        client: Client,
        *,
        progress_deadline: float | None = None,
        on_segment: Callable[[int, int], None] | None = None,
        cut: Cut | None = None,
        negligible: float = NEGLIGIBLE,
        hash_key: int | None = None,
    ) -> None:
        self._chunks = chunks if cut is None else chunks.keeping_noise(cut.noise_columns)
        self._hash_key = hash_key
        self._client, self._cut, self._negligible = client, cut, negligible
        self._resample: Resample | None = None
        self._preflight = Preflight(client, None if cut is None else cut.selection)
        self._supervisor = Supervisor(
            client, progress_deadline, on_segment, rows_of=chunks.row_range, examine=self._preflight.examine
        )
        self._imputing = Supervisor(client, progress_deadline, on_segment, examine=self._preflight.examine)
        self._segments = segment_bounds(chunks.n_chunks, self._supervisor.n_threads())
        self._preflight.examine()
        self._sent: dict[Bounds, Future[Any]] = {}
        self._token = uuid.uuid4().hex
        self._warm = False

    @property
    def skew(self) -> tuple[str, ...]:
        """In what workers differ from this process, if that was allowed."""
        return self._preflight.skew

    @property
    def vitals(self) -> Vitals:
        """How the workers are, whether they go through rows or impute; any thread may ask."""
        rows, points = self._supervisor.vitals, self._imputing.vitals
        now = points if points.oldest is not None and rows.oldest is None else rows
        resubmitted, deaths = rows.resubmitted + points.resubmitted, rows.deaths + points.deaths
        return replace(now, resubmitted=resubmitted, deaths=deaths)

    def summarize(self, population: Population) -> Statistics:
        """Statistics of all rows under a population."""
        self._warm_up(population)
        total: Statistics = self._sum(SUMMARIZE, population, self._cut, self._negligible, self._resample)
        return total

    def survey(self, surveyor: Surveyor) -> Survey:
        """Survey all rows."""
        total: Survey = self._sum(SURVEY, surveyor, self._resample)
        return total

    def score(self, scorer: Scorer) -> OuterProducts:
        """Outer products of the scores of all rows."""
        total: OuterProducts = self._sum(SCORE, scorer, self._resample)
        return total

    def resampled(self, resample: Resample) -> ClusterPasses:
        """Make the same passes over the rows weighed as a replicate of them does."""
        passes = copy(self)
        passes._resample = resample
        return passes

    def gather(self, work: ChunkWork[Sum]) -> Sum:
        """Sum what `work` makes of each chunk, which is loaded once for all of it."""
        if isinstance(work, ManyStatistics):
            self._warm_up(work.jobs[0][0])
        total: Sum = self._sum(GATHER, work, self._hash_key)
        return total

    def _warm_up(self, population: Population) -> None:
        if not self._warm:
            warm_workers(self._client, self._chunks, population, self._cut)
            self._warm = True

    def examine(self, examiner: Examiner) -> Misfit:
        """Examine all rows."""
        total: Misfit = self._sum(EXAMINE, examiner, self._cut, self._resample)
        return total

    def impute(self, observation: Observation) -> Callable[[Population, Reference], Imputed]:
        """Make the `impute` whose points the workers draw; its points are its own, whoever else imputes."""
        token = uuid.uuid4().hex

        def impute(population: Population, reference: Reference) -> Imputed:
            work = leaves(observation, reference)

            send = self._sender()

            def submit(bounds: Bounds, parameters: Any, placement: Placement) -> Future[Any]:
                return send(placement, _numbered, bounds[0], observation, token, work[bounds[0]], *parameters)

            segments = [(i, i + 1) for i in range(len(work))]
            arrived: dict[int, ClassSums] = dict(
                self._imputing.run(segments, submit, (population, reference))
            )
            return combine(population, observation, [arrived[i] for i in range(len(work))])

        return impute

    def _sum(
        self,
        work: Work,
        parameters: Population | Surveyor | Scorer | Examiner | ChunkWork[Any],
        *settings: Cut | float | Resample | None,
    ) -> Any:
        tree: Tree[Any] = Tree()
        send = self._sender()

        def submit(bounds: Bounds, what: Any, placement: Placement) -> Future[Any]:
            if isinstance(self._chunks, ArrayChunks):
                place = (self._send(bounds, placement), self._token, bounds[0], self._chunks.chunk_rows)
                return send(placement, work.of_sent, *place, what, *settings)
            where = (str(self._chunks.path), self._chunks.fingerprint, self._token, *bounds)
            return send(placement, work.of_catalog, *where, what, *settings)

        jobs = len(parameters.jobs) if isinstance(parameters, ManyStatistics) else 1
        for nodes in self._supervisor.run(self._segments, submit, parameters, (work, jobs)):
            tree.add(nodes)
        return tree.total()

    def _sender(self) -> Sender:
        """Make what sends tasks out; workers that came since the last pass are looked at if they may differ."""
        expected = self._preflight.expected
        if expected is None:
            self._preflight.examine(self._supervisor.addresses())
        return Sender(self._client, expected)

    def _send(self, bounds: Bounds, placement: Placement) -> Future[Any]:
        """Chunks of an array, sent to a worker when first needed and again when they were lost with it."""
        assert isinstance(self._chunks, ArrayChunks)
        sent = self._sent.get(bounds)
        if sent is None or sent.status != "finished" or placement.anew:
            samples = self._chunks.samples[bounds[0] : bounds[1]]
            to = list(placement.workers[:1]) or None
            sent = within(SENDING, self._client.scatter, [samples], workers=to, hash=False)[0]
            self._sent[bounds] = sent
        return sent


def cluster_summarize(
    chunks: Catalog | ArrayChunks,
    client: Client,
    *,
    progress_deadline: float | None = None,
    on_segment: Callable[[int, int], None] | None = None,
) -> Callable[[Population], Statistics]:
    """Make the `summarize` of data that the workers of `client` read; parameters as of `ClusterPasses`."""
    return ClusterPasses(chunks, client, progress_deadline=progress_deadline, on_segment=on_segment).summarize


def _numbered(
    number: int, observation: Observation, token: str, leaf: tuple[int, int], *parameters: Any
) -> tuple[int, ClassSums]:
    """Tell which leaf a result belongs to, because results arrive in any order."""
    return number, impute_points(observation, token, leaf, *parameters)
