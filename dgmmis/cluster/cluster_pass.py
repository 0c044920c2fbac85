"""One pass over a Dask cluster: segments out, subtrees back, the tree finished here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from distributed import Client, Future

from dgmmis.chunk import ArrayChunks
from dgmmis.cluster.segments import segment_bounds
from dgmmis.cluster.supervisor import PROGRESS_DEADLINE, Supervisor
from dgmmis.cluster.worker_side import summarize_scattered, summarize_segment
from dgmmis.mixture import Mixture
from dgmmis.score_statistics import Statistics
from dgmmis.store import Catalog
from dgmmis.tree import Tree

__all__ = ["cluster_summarize"]

Bounds = tuple[int, int]


class Submitter(Protocol):
    """Sends the work of one segment out."""

    def __call__(self, bounds: Bounds, mixture: Mixture, worker: str | None) -> Future[Any]:
        """Submit chunks `bounds` under `mixture`, preferably to `worker`."""


def cluster_summarize(
    chunks: Catalog | ArrayChunks,
    client: Client,
    *,
    progress_deadline: float = PROGRESS_DEADLINE,
    on_segment: Callable[[int, int], None] | None = None,
) -> Callable[[Mixture], Statistics]:
    """Make the `summarize` of data that the workers of `client` read.

    Parameters
    ----------
    chunks : Catalog or ArrayChunks
        A catalogue must lie where every worker can read it; an array's chunks are sent to the workers once.
    client : distributed.Client
    progress_deadline : float
        Seconds without a finished segment after which the cluster counts as lost.
    on_segment : callable, optional
        Called with (segments done, segments in all) while a pass runs.

    Returns
    -------
    callable
        Raises what a worker raised of this package's errors, and `ClusterLost`.
    """
    supervisor = Supervisor(client, progress_deadline, on_segment)
    submit: Submitter
    if isinstance(chunks, ArrayChunks):
        submit = _ScatteredChunks(client, chunks)
    else:
        submit = partial(_submit_catalog_segment, client, str(chunks.path), chunks.fingerprint)
    segments = segment_bounds(chunks.n_chunks, supervisor.n_threads())

    def summarize(mixture: Mixture) -> Statistics:
        tree: Tree[Statistics] = Tree()
        for nodes in supervisor.run(segments, submit, mixture):
            tree.add(nodes)
        return tree.total()

    return summarize


def _submit_catalog_segment(
    client: Client, path: str, fingerprint: str, bounds: Bounds, mixture: Mixture, worker: str | None
) -> Future[Any]:
    return client.submit(
        summarize_segment, path, fingerprint, *bounds, mixture, pure=False, **_preferring(worker)
    )


class _ScatteredChunks:
    """Segments of an array, sent to a worker when first needed and again when they were lost with it."""

    def __init__(self, client: Client, chunks: ArrayChunks) -> None:
        self._client, self._chunks = client, chunks
        self._sent: dict[Bounds, Future[Any]] = {}

    def __call__(self, bounds: Bounds, mixture: Mixture, worker: str | None) -> Future[Any]:
        sent = self._sent.get(bounds)
        if sent is None or sent.status != "finished":
            samples = self._chunks.samples[bounds[0] : bounds[1]]
            sent = self._sent[bounds] = self._client.scatter([samples], hash=False)[0]
        return self._client.submit(
            summarize_scattered,
            sent,
            bounds[0],
            self._chunks.chunk_rows,
            mixture,
            pure=False,
            **_preferring(worker),
        )


def _preferring(worker: str | None) -> dict[str, object]:
    """Where a segment's chunks may still be decoded.  Never a demand: a pinned task hangs if its worker dies."""
    return {"workers": [worker], "allow_other_workers": True} if worker else {}
