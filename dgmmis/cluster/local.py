"""Clusters to run on: our own on this machine, or one that is there already."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.resource_tracker import ensure_running
from numbers import Integral

from dask.utils import parse_bytes
from distributed import Client, LocalCluster

from dgmmis.cluster.access import Access, temporary_security
from dgmmis.cluster.closing import closed_in_time
from dgmmis.cluster.configuration import owned_settings
from dgmmis.cluster.quiet import quietly
from dgmmis.errors import ClusterLost, InvalidSetting
from dgmmis.local_pass import processors

__all__ = ["connect", "local_cluster", "require_sensible"]

MOST_WORKERS = 10_000
MOST_BYTES = 1 << 60


@contextmanager
def local_cluster(
    workers: int | None = None,
    threads: int = 1,
    memory_limit: str | int = "auto",
    *,
    encrypted: bool = True,
) -> Iterator[Client]:
    """Start worker processes on this machine, bound to 127.0.0.1, and stop them afterwards.

    Only who has the key of this one cluster can talk to it: it lies in the memory of its processes alone.

    Parameters
    ----------
    workers : int, optional
        Processes; default: the processors this process may use, over `threads`.
    threads : int
        Per worker.
    memory_limit : str or int
        Per worker, as Dask reads it ("1 GiB", "auto").
    encrypted : bool
        Whether its processes talk TLS.  Without it, any account of this machine can run programs under this one.

    Yields
    ------
    distributed.Client
    """
    require_sensible(workers, threads, memory_limit)
    workers = workers or max(1, processors() // threads)
    with owned_settings(), quietly(), ExitStack() as stack:
        with _deaf_to_interrupts():
            cluster = stack.enter_context(
                closed_in_time(
                    LocalCluster(
                        n_workers=workers,
                        threads_per_worker=threads,
                        processes=True,
                        memory_limit=memory_limit,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        protocol="tls://" if encrypted else "tcp://",
                        security=temporary_security() if encrypted else None,
                        silence_logs="CRITICAL",
                    )
                )
            )
        yield stack.enter_context(closed_in_time(Client(cluster)))


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
    for name, number in (("workers", workers), ("threads", threads)):
        if not (number is None and name == "workers") and not _is_count(number):
            raise InvalidSetting(
                f"{workers!r} workers of {threads!r} threads were asked for; at least 1 of each is needed, and at most "
                f"{MOST_WORKERS}."
            )
    if isinstance(memory_limit, str) and memory_limit == "auto":
        return
    try:
        size = parse_bytes(memory_limit) if isinstance(memory_limit, str | int | float) else 0
    except (ValueError, OverflowError) as error:
        raise InvalidSetting(
            f"memory limit {memory_limit!r} is no size: {error}. Write it like '2 GiB'."
        ) from error
    if not 0 < size < MOST_BYTES:
        raise InvalidSetting(f"memory limit {memory_limit!r} is no size. Write it like '2 GiB'.")


def _is_count(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and 1 <= int(number) <= MOST_WORKERS


@contextmanager
def connect(address: str, *, timeout: float = 30.0, access: Access | None = None) -> Iterator[Client]:
    """Connect to a running scheduler.

    Parameters
    ----------
    address : str
        `tls://HOST:PORT`, or `tcp://HOST:PORT` on this machine.
    timeout : float
        [s]
    access : Access, optional
        Certificates for `tls://`, by default those of Dask's configuration; or leave for `tcp://` beyond this machine.

    Raises
    ------
    InvalidSetting
        If the address or the certificates are of no use.
    InsecureCluster
        If it is `tcp://` on another machine, or a key that everybody can read.
    ClusterLost
        If nobody answers there, or does not accept our certificate, or we not theirs.
    """
    security = (access or Access()).security(address)
    with owned_settings(), quietly():
        try:
            client = Client(address, timeout=timeout, security=security)
        except (OSError, TimeoutError) as error:
            raise ClusterLost(
                f"no scheduler answers at {address}: {error}. Start one with 'dask scheduler' and workers with "
                "'dask worker', or leave --cluster out to use this machine. Over tls:// both sides must have "
                "certificates of the same authority that have not expired."
            ) from error
        with closed_in_time(client):
            yield client
