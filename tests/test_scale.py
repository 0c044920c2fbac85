"""Memory does not grow with the number of rows, also when the rows are more than the workers may hold."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

import dgmmis
from dgmmis.cluster import local_cluster
from dgmmis.workload import LOADED

pytestmark = [pytest.mark.scale, pytest.mark.timeout(3000)]

WORKER_LIMIT = 500 * 2**20
FULL_ROWS = 3_000_000
"""Rows at which workers have no more room to keep chunks decoded: with fewer, peaks tell how many are kept."""
SIMULATE = Path(__file__).parents[1] / "examples" / "simulate.py"


@contextmanager
def peaks() -> Iterator[dict[int, int]]:
    """Largest resident memory [bytes] of this process and of each below it, seen ten times a second."""
    seen: dict[int, int] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            me = psutil.Process()
            for process in [me, *me.children(recursive=True)]:
                try:
                    seen[process.pid] = max(seen.get(process.pid, 0), process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue  # it ended between the listing and the look

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def ingest_in_its_own_process(folder: Path, n_rows: int) -> tuple[dgmmis.Catalog, int]:
    """Simulate and ingest; returns the catalogue and the peak memory of the ingest."""
    subprocess.run([sys.executable, SIMULATE, folder / "stars.parquet", "--rows", str(n_rows)], check=True)
    command = [sys.executable, "-m", "dgmmis", "ingest", folder / "stars.parquet", folder / "stars.zarr"]
    options = ["--features", "parallax,pmra,pmdec", "--error", "{}_error", "--corr", "{}_{}_corr"]
    with peaks() as seen, subprocess.Popen([*command, *options, "--id", "source_id"]) as process:
        assert process.wait() == 0
    return dgmmis.open_catalog(folder / "stars.zarr"), seen[process.pid]


def fit_peak(catalog: dgmmis.Catalog) -> tuple[int, float, dgmmis.FitResult]:
    """Largest memory of a worker, seconds per pass, and the result of a few passes."""
    initial = dgmmis.Model.load(catalog.path.parent / "truth.npz").mixture
    with local_cluster(workers=2, threads=1, memory_limit=WORKER_LIMIT) as client:
        pids = {worker.pid for worker in client.cluster.workers.values()}
        began = time.monotonic()
        with peaks() as seen:
            result = dgmmis.fit(
                catalog, n_components=8, initial=initial, tolerance=0, max_passes=5, client=client
            )
        seconds = (time.monotonic() - began) / result.n_passes
        assert {worker.pid for worker in client.cluster.workers.values()} == pids, "a worker was restarted"
    return max(seen[pid] for pid in pids), seconds, result


def test_ten_million_rows_fit_in_workers_that_could_not_hold_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = []
    peak = {}
    for n_rows in (FULL_ROWS, 10_000_000):
        folder = tmp_path / str(n_rows)
        folder.mkdir()
        catalog, ingest_peak = ingest_in_its_own_process(folder, n_rows)
        held = (
            n_rows * (3 + 6 + 2) * 8
        )  # values, packed noise, weights and positions, as the kernels read them
        peak[n_rows], seconds, result = fit_peak(catalog)
        report.append(
            f"{n_rows:,} rows ({held / 2**20:.0f} MiB in memory): ingest peak {ingest_peak / 2**20:.0f} MiB, worker "
            f"peak {peak[n_rows] / 2**20:.0f} MiB of {WORKER_LIMIT / 2**20:.0f}, {seconds:.2f} s per pass"
        )
        assert np.isfinite(result.log_likelihood)
        planned = dgmmis.plan(
            catalog, n_components=8, workers=2, memory_limit=WORKER_LIMIT, initial=result.mixture
        )
        report.append(
            f"planned: worker {planned.worker_peak / 2**20:.0f} MiB, {planned.pass_seconds:.2f} s per pass"
        )
        assert peak[n_rows] <= planned.worker_peak <= 1.6 * peak[n_rows]
        assert ingest_peak < 2**30
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(report) + "\n")
    assert held > WORKER_LIMIT
    assert peak[10_000_000] < WORKER_LIMIT
    assert peak[10_000_000] < 1.1 * peak[FULL_ROWS]


PASSES, WARM = 200, 50
STEADY_ROWS, STEADY_LIMIT = 6_000_000, 350 * 2**20
ROW = (3 + 3 + 2) * 8
"""Bytes of a row as the kernels read it: values, variances, weight and position."""
STEADY = Path(__file__).with_name("steady_fit.py")


def test_two_hundred_passes_over_more_than_ten_times_what_a_worker_may_hold_of_rows_take_no_more_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a worker may hold of rows is its planned peak without what any worker holds before the first row."""
    catalog, run = tmp_path / "stars.zarr", tmp_path / "run"
    subprocess.run([sys.executable, STEADY, "make", catalog, str(STEADY_ROWS)], check=True)
    command = [sys.executable, STEADY, "fit", catalog, run, str(PASSES), str(STEADY_LIMIT)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    held = said["planned"]["worker"] - LOADED
    lines = [
        f"{PASSES} passes, {STEADY_ROWS * ROW / held:.0f} times the {held / 2**20:.0f} MiB for rows in a worker"
    ]
    slopes = {}
    for name, seen in said["after_pass"].items():
        slopes[name] = np.polyfit(np.arange(WARM, PASSES), np.array(seen[WARM:]) / 2**20, 1)[0]
        planned = said["planned"]["driver" if name == "driver" else "worker"]
        lines.append(
            f"{name}: peak {said['peak'][name] / 2**20:.0f} MiB, planned {planned / 2**20:.0f}, "
            f"{slopes[name]:+.3f} MiB per pass over the last {PASSES - WARM}"
        )
        assert said["peak"][name] <= planned
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert said["survived"]
    assert said["passes"] == PASSES
    assert 10 * held < STEADY_ROWS * ROW > STEADY_LIMIT
    assert max(slopes.values()) <= 0.1
