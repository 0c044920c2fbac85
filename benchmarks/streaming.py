"""What reading costs a pass: `python benchmarks/streaming.py` prints figures as JSON.

One thread computes over a catalogue of three features with errors, which it reads from disk in every pass, and
its parts are taken alone: reading and decoding every chunk, and computing over chunks in memory.  `cpu` is the
CPU time of the pass over that of both parts.  `wall` is the time by the clock over the larger part: it needs a
processor to spare for the thread that reads ahead.  `slow_store` is the same with a store that takes as long over each
chunk as the computing does.  `--rows`, `--components` and `--repetitions` change the sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import dgmmis
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.local_pass import LocalPasses
from dgmmis.population import Population
from dgmmis.samples import Samples

__all__ = ["main", "streaming_costs"]


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of the processor."""

    wall: float
    cpu: float


class SlowCatalog:
    """A catalogue whose store answers late, without using the processor."""

    def __init__(self, catalog: dgmmis.Catalog, seconds: float) -> None:
        self._catalog, self.seconds = catalog, seconds
        self.n_chunks, self.row_range = catalog.n_chunks, catalog.row_range

    def read_samples(self, chunk: int) -> Samples:
        """One chunk, later."""
        time.sleep(self.seconds)
        return self._catalog.read_samples(chunk)


def streaming_costs(
    catalog: dgmmis.Catalog, population: Population, repetitions: int
) -> dict[str, list[float] | float]:
    """Compare passes with their parts."""
    chunks = range(catalog.n_chunks)
    held = [catalog.read_samples(chunk) for chunk in chunks]

    def compute() -> None:
        for samples in held:
            summarize_samples(population, samples, negligible=NEGLIGIBLE)

    def read() -> None:
        for chunk in chunks:
            catalog.read_samples(chunk)

    compute()
    slow = SlowCatalog(catalog, _cost(compute).wall / catalog.n_chunks)
    passes, late = LocalPasses(catalog, threads=1), LocalPasses(slow, threads=1)
    rounds = [
        [_cost(read), _cost(compute), _cost(lambda: passes.summarize(population))] for _ in range(repetitions)
    ]
    waits = [
        _cost(lambda: late.summarize(population)).wall
        / max(_cost(compute).wall, slow.seconds * len(chunks) + _cost(read).wall)
        for _ in range(repetitions)
    ]
    return {
        "read": statistics.median(one.cpu for one, _, _ in rounds),
        "compute": statistics.median(one.cpu for _, one, _ in rounds),
        "pass": statistics.median(one.cpu for _, _, one in rounds),
        "cpu": statistics.median(whole.cpu / (one.cpu + two.cpu) for one, two, whole in rounds),
        "wall": statistics.median(whole.wall / max(one.wall, two.wall) for one, two, whole in rounds),
        "slow_store": statistics.median(waits),
    }


def _cost(work: Callable[[], object]) -> Cost:
    began, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - used)


def main() -> None:
    """Make the catalogue and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    rng, k = np.random.default_rng(0), options.components
    means = rng.uniform(-6, 6, (k, 3))
    mixture = dgmmis.Mixture(np.full(k, 1 / k), means, np.tile(np.eye(3), (k, 1, 1)))
    columns = {f"x{j}": column for j, column in enumerate(mixture.draw(options.rows, rng).astype("f4").T)}
    for j in range(3):
        columns[f"x{j}_error"] = rng.uniform(0.2, 1.2, options.rows).astype("f4")
    with tempfile.TemporaryDirectory() as folder:
        features = ["x0", "x1", "x2"]
        catalog = dgmmis.ingest(columns, f"{folder}/rows.zarr", features=features, error=["{}_error"])
        print(json.dumps(streaming_costs(catalog, Population(mixture), options.repetitions)))


if __name__ == "__main__":
    main()
