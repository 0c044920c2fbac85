"""Makes a catalogue (`make PATH ROWS`), or fits it and tells its memory pass by pass (`fit PATH RUN PASSES LIMIT`)."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import psutil

import dgmmis
from dgmmis.cluster import local_cluster
from dgmmis.observer import SilentObserver

CENTERS = np.array([[0.0, 0.0, 0.0], [5.0, 1.0, -2.0]])
WORKERS = 2


def make(path: Path, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_rows, 3), dtype=np.float32)
    values += CENTERS.astype(np.float32)[rng.integers(2, size=n_rows)]
    variances = rng.random((n_rows, 3), dtype=np.float32) / 4
    dgmmis.ingest(values, path, features=("a", "b", "c"), noise=variances, chunk_rows=50_000)


class Watch(SilentObserver):
    """Notes the memory of this process and of each worker after every pass, and the largest ever."""

    def __init__(self, workers: list[int]) -> None:
        self.processes = {"driver": psutil.Process()}
        self.processes |= {f"worker {i}": psutil.Process(pid) for i, pid in enumerate(workers)}
        self.after_pass: dict[str, list[int]] = {name: [] for name in self.processes}
        self.peak = dict.fromkeys(self.processes, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            for name, process in self.processes.items():
                self.peak[name] = max(self.peak[name], process.memory_info().rss)

    def on_pass(self, *_: object) -> None:
        for name, process in self.processes.items():
            self.after_pass[name].append(process.memory_info().rss)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def fit(path: Path, run: Path, n_passes: int, limit: int) -> dict[str, object]:
    initial = dgmmis.Mixture(np.full(2, 0.5), CENTERS + 0.5, np.tile(2 * np.eye(3), (2, 1, 1)))
    settings = {"n_components": 2, "initial": initial, "method": "em"}
    plan = dgmmis.plan(path, workers=WORKERS, memory_limit=limit, **settings)
    with local_cluster(workers=WORKERS, threads=1, memory_limit=limit) as client:
        pids = [worker.pid for worker in client.cluster.workers.values()]
        watch = Watch(pids)
        try:
            result = dgmmis.fit(
                path, run=run, tolerance=0, max_passes=n_passes - 1, client=client, observer=watch, **settings
            )
        finally:
            watch.stop()
        survived = sorted(worker.pid for worker in client.cluster.workers.values()) == sorted(pids)
    return {
        "after_pass": watch.after_pass,
        "peak": watch.peak,
        "planned": {"worker": plan.worker_peak, "driver": plan.peak_here},
        "survived": survived,
        "passes": result.n_passes,
    }


if __name__ == "__main__":
    job, path, *rest = sys.argv[1:]
    if job == "make":
        make(Path(path), int(rest[0]))
    else:
        said = fit(Path(path), Path(rest[0]), int(rest[1]), int(rest[2]))
        sys.stdout.write(json.dumps(said) + "\n")
