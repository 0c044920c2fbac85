"""What a fit may compute with: workers, threads, and the memory each of them may use."""

from __future__ import annotations

import logging

from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT
from distributed.worker_memory import parse_memory_limit

from dgmmis.cluster.local import require_sensible
from dgmmis.cluster.roster import known_workers
from dgmmis.cluster.worker_side import CACHE_SHARE, RESERVED, UNLIMITED_BUDGET
from dgmmis.local_pass import processors
from dgmmis.resources import CacheRule, Resources

__all__ = ["resources_of", "resources_on_this_machine"]

CACHE = CacheRule(CACHE_SHARE, RESERVED, UNLIMITED_BUDGET)
LOG = logging.getLogger(__name__)


def resources_of(client: Client | None) -> Resources:
    """Ask a cluster for its workers and their limits; without one, a fit runs on threads of this process."""
    if client is None:
        return Resources(0, processors(), None, MEMORY_LIMIT, processors(), CACHE)
    workers = known_workers(client).values()
    limits = [int(worker["memory_limit"]) for worker in workers if worker["memory_limit"]]
    threads = [int(worker["nthreads"]) for worker in workers]
    return Resources(
        max(1, len(threads)),
        max(threads, default=1),
        min(limits, default=None),
        MEMORY_LIMIT,
        max(1, sum(threads)),
        CACHE,
        compiling=not isinstance(client.cluster, LocalCluster),
    )


def resources_on_this_machine(workers: int | None, threads: int, memory_limit: str | int) -> Resources:
    """Say what `local_cluster` of the same arguments would start; 0 workers are threads of this process."""
    if isinstance(workers, int) and workers == 0:
        return resources_of(None)
    require_sensible(workers, threads, memory_limit)
    workers = workers or max(1, processors() // threads)
    limit = parse_memory_limit(memory_limit, threads, logger=LOG)
    parallel = min(workers * threads, processors())
    return Resources(workers, threads, limit, MEMORY_LIMIT, parallel, CACHE, compiling=False)
