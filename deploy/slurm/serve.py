"""Serve a root of runs from a Slurm job, with workers that are Slurm jobs themselves: see deploy/README.md.

The scheduler lives in this process.  When it ends, its workers' jobs are cancelled; the runs go on at the next start.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import yaml
from dask_jobqueue import SLURMCluster
from distributed import Security

from dgmmis.cluster import Access
from dgmmis.errors import DgmmisError
from dgmmis.service import Means, serve

HERE = Path(__file__).resolve().parent
SETTINGS = HERE.parent / "dask.yaml"
LOOK_SECONDS = 20.0
"""Between two looks whether a job is missing."""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="root of runs, on a shared file system")
    parser.add_argument("--jobs", type=int, default=4, help="Slurm jobs with workers")
    parser.add_argument("--certificates", type=Path, required=True, help="folder made by certificates.sh")
    return parser.parse_args()


def settle() -> None:
    """Put our settings in force, below what the user's own configuration says."""
    for path in (SETTINGS, HERE / "jobqueue.yaml"):
        dask.config.update_defaults(yaml.safe_load(path.read_text()))


def cluster(folder: Path) -> SLURMCluster:
    """Start a scheduler here whose workers find the same certificates in the shared folder."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    security = Security(
        require_encryption=True,
        tls_ca_file=str(folder / "ca.pem"),
        **{f"tls_{role}_cert": cert for role in ("scheduler", "worker", "client")},
        **{f"tls_{role}_key": key for role in ("scheduler", "worker", "client")},
    )
    prologue = dask.config.get("jobqueue.slurm.job-script-prologue")
    return SLURMCluster(
        security=security,
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        job_script_prologue=[*prologue, f"export DASK_CONFIG={shlex.quote(str(SETTINGS))}"],
    )


@contextmanager
def so_many_jobs(jobs: SLURMCluster, count: int) -> Iterator[None]:
    """Keep so many jobs queued or running: one that ended is forgotten after `lost-worker-timeout`, and asked for anew.

    `adapt` with as many at least as at most would not: it counts those that it asked for, not those that are left.
    """
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            jobs.scale(jobs=count)
            over.wait(LOOK_SECONDS)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def tell(event: str, fields: dict[str, Any]) -> None:
    """Log an event as a line of JSON."""
    sys.stderr.write(json.dumps({"event": event, **fields}, default=str) + "\n")


def main() -> int:
    """Serve until no run waits or the job is asked to stop; returns the exit code."""
    stated = options()
    folder = stated.certificates.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settle()
    with cluster(folder) as jobs, so_many_jobs(jobs, stated.jobs):
        tell("waiting for the first worker", {"scheduler": jobs.scheduler_address, "jobs": stated.jobs})
        jobs.wait_for_workers(1)  # however long the queue is
        access = Access(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        try:
            serve(stated.runs, means=Means(jobs.scheduler_address, access=access), drain=True, tell=tell)
        except DgmmisError as error:
            tell(type(error).__name__, {"message": str(error)})
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
