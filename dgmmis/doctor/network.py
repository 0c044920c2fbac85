"""Whether a cluster of our own starts, talks TLS, and listens to nobody else."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from dgmmis.cluster import local_cluster
from dgmmis.cluster.access import is_loopback
from dgmmis.doctor.finding import Finding
from dgmmis.doctor.listeners import listeners

__all__ = ["examine_cluster", "examine_tls"]


def examine_tls() -> Finding:
    """Look at the TLS of this Python."""
    found = ssl.OPENSSL_VERSION
    if not ssl.HAS_TLSv1_3:
        return Finding(
            "TLS", "wrong", f"{found} without TLS 1.3", "Install a Python with OpenSSL 1.1.1 or newer."
        )
    return Finding("TLS", "good", f"{found}, TLS 1.3")


def examine_cluster() -> Iterator[Finding]:
    """Start a worker as a fit does, have it compute, and look at what listens meanwhile."""
    try:
        with local_cluster(workers=1, memory_limit="512 MiB") as client:
            client.submit(os.getpid).result(timeout=60)
            scheme = str(client.scheduler_info()["address"]).partition(":")[0]
            heard = listeners(os.getpid())
    except Exception as error:  # of many libraries, and to be told
        advice = "Free ports and memory on 127.0.0.1, or compute in one process: --workers 0."
        yield Finding(
            "workers", "wrong", f"a worker did not compute: {type(error).__name__}: {error}", advice
        )
        return
    yield Finding("workers", "good", "a worker process started and computed")
    if scheme == "tls":
        yield Finding("encryption", "good", "driver, scheduler and workers talk TLS")
    else:
        yield Finding(
            "encryption",
            "wrong",
            f"they talk {scheme}",
            "Install dgmmis again: pip install --upgrade dgmmis.",
        )
    abroad = [f"{host}:{port}" for host, port in heard if not is_loopback(host)]
    if abroad:
        advice = (
            "Look for a Dask configuration that binds to other addresses: DASK_*, or files in ~/.config/dask."
        )
        yield Finding("listeners", "wrong", f"{', '.join(abroad)} can be reached from elsewhere", advice)
    else:
        yield Finding("listeners", "good", f"{len(heard)} ports, all on the loopback address")
