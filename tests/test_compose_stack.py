"""The commands of deploy/docker-compose.yml, as real processes on the loopback address: a stack that fits."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from jupyter_client import BlockingKernelClient, KernelManager

import dgmmis
from browsers import page_at, passes_shown, take_picture
from dask_processes import until
from deployments import LASTING, ROOT, Stack, stack
from notebook_runs import make_this_the_kernel
from simulated import TRUTH, write_catalog

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
SHORT = {"n_components": 3, "initial": TRUTH}
LONG = {"n_components": 3, "initial": VAGUE, "tolerance": 0, "max_passes": 60}


def submit(one: Stack, catalog: Path, *more: str) -> dgmmis.Run:
    """Hand a fit over from a process that ends at once."""
    done = one.once(
        "dgmmis", "submit", str(catalog), "-K", "3", "--runs", "/data/runs", "--initial", "/data/vague.npz",
        "--json", *more,
    )  # fmt: skip
    return dgmmis.Run(json.loads(done.stdout)["run"])


def prepare(one: Stack, *, n_rows: int, chunk_rows: int) -> dgmmis.Catalog:
    data = one.here.folder / "data"
    catalog = write_catalog(data / "stars.zarr", n_rows=n_rows, chunk_rows=chunk_rows)
    dgmmis.Model(VAGUE, features=("a", "b", "c")).save(data / "vague.npz")
    return catalog


def alone(catalog: dgmmis.Catalog, folder: Path, **settings: object) -> str:
    """Digest of the last pass of the same fit in this process."""
    dgmmis.fit(catalog, runs=folder, **settings)
    return dgmmis.list_runs(folder)[0].latest().digest


@pytest.mark.cluster
@pytest.mark.thorough
def test_the_stack_of_the_compose_file_ends_a_submitted_fit_with_the_bits_of_one_process(
    tmp_path: Path,
) -> None:
    """One worker, which is asked for its health as its container would be."""
    with stack(tmp_path) as one:
        catalog = write_catalog(tmp_path / "data" / "stars.zarr", n_rows=600, chunk_rows=200)
        one.start("scheduler")
        one.start("serve")
        _, worker = one.start_worker()
        run = dgmmis.submit(catalog, **SHORT, runs=tmp_path / "data" / "runs")
        until("the end", lambda: run.state not in ("QUEUED", "RUNNING", "INTERRUPTED"))
        assert run.state == "SUCCEEDED", one.log_of("serve")
        assert one.health("scheduler").returncode == 0
        assert one.health("worker", worker).returncode == 0
        assert one.health("serve").returncode == 0
        assert run.folder.latest().digest == alone(catalog, tmp_path / "alone", **SHORT)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_workers_and_server_of_the_stack_are_killed_and_the_fit_ends_with_the_same_bits(
    tmp_path: Path,
) -> None:
    passes = ("--tolerance", "0", "--max-passes", "60")
    with stack(tmp_path) as one:
        catalog = prepare(one, n_rows=60_000, chunk_rows=2_000)
        scheduler = one.start("scheduler")
        one.wait_for("scheduler")
        workers = [one.start_worker() for _ in range(2)]
        for _, here in workers:
            one.wait_for("worker", here)
        server = one.start("serve")
        one.wait_for("serve")
        services = [scheduler, server, *(process for process, _ in workers)]
        run = submit(one, catalog.path, *passes)
        kills = 0
        for victim in ("worker", "serve", "whole worker"):
            before = len(run.folder.checkpoint_numbers())
            until("two more passes", lambda seen=before: len(run.folder.checkpoint_numbers()) >= seen + 2)
            assert run.state == "RUNNING"
            if victim == "worker":  # its nanny starts another
                (process,) = [
                    child
                    for child in psutil.Process(workers[0][0].pid).children(recursive=True)
                    if "spawn_main" in " ".join(child.cmdline())
                ]
                process.kill()
            elif victim == "serve":  # the engine starts it anew
                os.kill(server.pid, signal.SIGKILL)
                server.wait(30)
                assert one.health("serve").returncode in (0, 1)
                one.start("serve")
            else:
                group = [
                    workers[1][0].pid,
                    *(c.pid for c in psutil.Process(workers[1][0].pid).children(recursive=True)),
                ]
                for pid in group:
                    os.kill(pid, signal.SIGKILL)
                one.start_worker()
            kills += 1
        until("the end", lambda: run.state not in ("QUEUED", "RUNNING", "INTERRUPTED"), 600)
        assert run.state == "STOPPED", one.log_of("serve")
        assert run.folder.latest().digest == alone(catalog, tmp_path / "alone", **LONG)
        again = submit(one, catalog.path)
        until("convergence", lambda: again.state not in ("QUEUED", "RUNNING", "INTERRUPTED"), 600)
        assert again.state == "SUCCEEDED"
        assert len(services) == 4
        sys.stdout.write(
            f"\n{kills} kills in a stack of {len(services)} services: the bits of one process; "
            f"{again.status['reason']}\n"
        )


@contextmanager
def kernel() -> Iterator[tuple[BlockingKernelClient, KernelManager]]:
    """A notebook's kernel, without the notebook; killed at the end if it is still there."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(ROOT)})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield client, manager
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_a_fit_submitted_from_a_notebook_whose_kernel_is_killed_is_watched_in_a_browser_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_this_the_kernel(tmp_path, monkeypatch)
    runs = tmp_path / "data" / "runs"
    with stack(tmp_path) as one:
        catalog = prepare(one, n_rows=60_000, chunk_rows=2_000)
        for service in ("scheduler", "serve", "dashboard"):
            one.start(service)
            one.wait_for(service)
        for _ in range(2):
            one.start_worker()
        url = f"http://127.0.0.1:{one.here.ports['8788']}"
        with kernel() as (client, manager):
            cell = (
                "import dgmmis\n"
                f"run = dgmmis.submit({str(catalog.path)!r}, runs={str(runs)!r}, n_components=3, "
                f"initial={str(tmp_path / 'data' / 'vague.npz')!r}, tolerance=0, max_passes=60)\n"
            )
            assert client.execute_interactive(cell, timeout=120)["content"]["status"] == "ok"
            manager.provisioner.process.kill()
        (path,) = (path for path in runs.iterdir() if path.is_dir())
        run = dgmmis.Run(path)
        until("a pass", lambda: run.folder.checkpoint_numbers())
        with page_at(f"{url}/run?name={path.name}") as page:
            seen = passes_shown(page)
            until("more passes on the page", lambda: passes_shown(page) > seen)
            until("the end", lambda: run.state not in ("QUEUED", "RUNNING", "INTERRUPTED"), 600)
            until("the end on the page", lambda: passes_shown(page) == 61)
            take_picture(page, "stack_to_the_end")
        with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
            assert path.name in answer.read().decode()
        assert run.folder.latest().digest == alone(catalog, tmp_path / "alone", **LONG)
        assert set(LASTING) >= {"scheduler", "serve", "dashboard"}
