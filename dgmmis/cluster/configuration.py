"""The Dask settings this package owns, and why."""

from __future__ import annotations

from contextlib import AbstractContextManager

import dask
from dask.utils import parse_timedelta

from dgmmis.errors import InvalidSetting

__all__ = ["allows_skew", "owned_settings", "progress_deadline"]

PROGRESS_DEADLINE = "90 s"

SETTINGS = {
    # A worker that does not answer for this long is dropped and its tasks go elsewhere (default: 5 min).
    "distributed.scheduler.worker-ttl": "30 s",
    # A task is blamed for the death of its workers only after many: with workers killed at random,
    # innocent tasks are always nearby (default: 3).
    "distributed.scheduler.allowed-failures": 1000,
    # The scheduler fails tasks that no worker can take, instead of keeping them for ever.
    "distributed.scheduler.no-workers-timeout": "120 s",
    # A local cluster gives up a worker that did not come back.  On a busy machine it starts for longer than the
    # default of 15 s, counted from any earlier death of the same name, and would be killed and started without end.
    "distributed.deploy.lost-worker-timeout": "60 s",
    # Below 11 s distributed refuses to connect; its default is 30 s.
    "distributed.comm.timeouts.tcp": "15 s",
    "distributed.comm.timeouts.connect": "15 s",
    "distributed.comm.retry.count": 3,
    # A worker above the default of 80 % of its limit is sent no more tasks.  It holds what it planned, has nothing
    # to give back, and would be idle for ever.
    "distributed.worker.memory.pause": False,
    # Looking at every thread's stack 100 times, and at the event loop 50 times, a second takes 4 % of a
    # processor beside a pass, and nobody looks at the answers.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500 ms",
    # Arrays of a chunk must be reused from the heap: the nanny's default trim threshold has every block
    # given back and page-faulted in again on each read, which halves the reading speed.
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
        "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
        # A segment's reading thread may come to another heap than the one before it, and each heap keeps a
        # chunk's worth of memory: with as many heaps as the default allows, workers grow by leaps.
        "MALLOC_ARENA_MAX": "2",
        # The cluster is the parallelism.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    },
}

PRELOAD, QUIET = "distributed.worker.preload", "dgmmis.cluster.quiet"
"""A worker that is ended while its heartbeat is under way would log a traceback of it."""
ROUTES = "distributed.scheduler.http.routes"
PROXY = "distributed.http.proxy"
"""Passes requests on to other ports; nobody here needs it, and it has been a way in."""


def owned_settings() -> AbstractContextManager[object]:
    """Put these settings in force for as long as the context lasts."""
    offered = dask.config.get(ROUTES, None)
    ours = {} if offered is None else {ROUTES: [route for route in offered if route != PROXY]}
    preloaded = [name for name in dask.config.get(PRELOAD, None) or () if name != QUIET]
    context: AbstractContextManager[object] = dask.config.set(
        {**SETTINGS, **ours, PRELOAD: [*preloaded, QUIET]}
    )
    return context


def progress_deadline() -> float:
    """Seconds without a sign of progress after which a cluster counts as lost: `dgmmis.progress-deadline`.

    Raises
    ------
    InvalidSetting
    """
    stated = dask.config.get("dgmmis.progress-deadline", PROGRESS_DEADLINE)
    try:
        seconds = float(parse_timedelta(stated))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidSetting(
            f"dgmmis.progress-deadline is {stated!r}; expected a time like '90 s'."
        ) from error
    if not seconds > 0:
        raise InvalidSetting(f"dgmmis.progress-deadline is {stated!r}; expected a time above 0.")
    return seconds


def allows_skew() -> bool:
    """Whether workers may have other versions or processors than the driver: `dgmmis.allow-skew`."""
    return bool(dask.config.get("dgmmis.allow-skew", False))
