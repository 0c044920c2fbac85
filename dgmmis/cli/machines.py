"""The cluster that a verb's options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dgmmis.cli.option_groups import MachineOptions, TlsOptions

if TYPE_CHECKING:
    from distributed import Client

    from dgmmis.cluster import Access

__all__ = ["access_of", "using_cluster"]


def access_of(tls: TlsOptions) -> Access:
    """Say how a cluster is reached."""
    from dgmmis.cluster import Access

    return Access(tls.tls_ca, tls.tls_cert, tls.tls_key, tls.insecure_cluster)


@contextmanager
def using_cluster(machines: MachineOptions, tls: TlsOptions) -> Iterator[Client | None]:
    """Connect to the cluster asked for, or start one on this machine, or use none."""
    from dgmmis.cluster import connect, local_cluster

    if machines.cluster is not None:
        with connect(machines.cluster, access=access_of(tls)) as client:
            yield client
    elif machines.workers == 0:
        yield None
    else:
        with local_cluster(machines.workers, machines.threads, machines.memory_limit) as client:
            yield client
