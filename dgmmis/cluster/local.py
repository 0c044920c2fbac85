"""Clusters to run on: our own on this machine, or one that is there already."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.resource_tracker import ensure_running

from dask.utils import parse_bytes
from distributed import Client, LocalCluster

from dgmmis.cluster.configuration import owned_settings
from dgmmis.errors import ClusterLost, InvalidSetting
from dgmmis.local_pass import processors

__all__ = ["connect", "local_cluster", "require_sensible"]


@contextmanager
def local_cluster(
    workers: int | None = None, threads: int = 1, memory_limit: str | int = "auto"
) -> Iterator[Client]:
    """Start worker processes on this machine, bound to 127.0.0.1, and stop them afterwards.

    Parameters
    ----------
    workers : int, optional
        Processes; default: the processors this process may use, over `threads`.
    threads : int
        Per worker.
    memory_limit : str or int
        Per worker, as Dask reads it ("1 GiB", "auto").

    Yields
    ------
    distributed.Client
    """
    require_sensible(workers, threads, memory_limit)
    workers = workers or max(1, processors() // threads)
    with owned_settings():
        with _deaf_to_interrupts():
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=threads,
                processes=True,
                memory_limit=memory_limit,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs="ERROR",
            )
        with local as cluster, Client(cluster) as client:
            yield client


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Block SIGINT in all threads and processes that are begun meanwhile, and those that they begin.

    Ctrl-C reaches every process of a terminal, but it is the driver's to stop at a boundary, and then to stop its
    workers.  One that comes meanwhile is heard afterwards.
    """
    ensure_running()  # else the first thread to begin a process begins this too, and unblocks SIGINT afterwards
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def require_sensible(workers: int | None, threads: int, memory_limit: str | int) -> None:
    """Raise `InvalidSetting` for arguments of `local_cluster` that cannot be meant."""
    if threads < 1 or (workers is not None and workers < 1):
        raise InvalidSetting(
            f"{workers} workers of {threads} threads were asked for; at least 1 of each is needed."
        )
    if memory_limit == "auto":
        return
    try:
        parse_bytes(memory_limit)
    except ValueError as error:
        raise InvalidSetting(
            f"memory limit {memory_limit!r} is no size: {error}. Write it like '2 GiB'."
        ) from error


@contextmanager
def connect(address: str, *, timeout: float = 30.0) -> Iterator[Client]:
    """Connect to a running scheduler; for `tls://` the certificates come from Dask's configuration.

    Raises
    ------
    InvalidSetting
        If the address or the certificates are of no use.
    ClusterLost
        If nobody answers there.
    """
    with owned_settings():
        try:
            client = Client(address, timeout=timeout)
        except (TypeError, ValueError) as error:
            raise InvalidSetting(
                f"cannot connect to {address}: {error}. For tls:// name the certificates in Dask's configuration "
                "(distributed.comm.tls)."
            ) from error
        except (OSError, TimeoutError) as error:
            raise ClusterLost(
                f"no scheduler answers at {address}: {error}. Start one with 'dask scheduler' and workers with "
                "'dask worker', or leave --cluster out to use this machine."
            ) from error
        with client:
            yield client
