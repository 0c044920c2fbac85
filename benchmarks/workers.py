"""How much faster two workers are than one: `python benchmarks/workers.py` prints figures as JSON.

The same passes over a catalogue, on a cluster of one worker process and on one of two, in turn, several times.
All chunks are decoded in the workers' memory, or read from disk in every pass (`--from-disk`).  `speedup` is the
median of the pairs' ratios of seconds by the clock; it means something only on a machine with nothing else to do,
and `load` is its load average at the end.  `speedup_cpu` compares the CPU seconds of the one worker with those of
the busier of the two: what the clock would say if each worker had a processor to itself.  `--chunks`,
`--milliseconds` (of work in each) and `--pairs` change the sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from dask_overhead import population_that_takes, write_small_chunks
from distributed import Client

import dgmmis
from dgmmis.cluster import ClusterPasses, local_cluster
from dgmmis.cluster.worker_side import sample_cache
from dgmmis.population import Population

__all__ = ["main", "speedup"]

ROWS = 100_000


def speedup(
    catalog: dgmmis.Catalog, population: Population, clients: tuple[Client, Client], n_pairs: int
) -> dict[str, object]:
    """Time passes on both clusters in turn."""
    both = [(ClusterPasses(catalog, client), client) for client in clients]
    for passes, _ in both * 2:  # reads and decodes; then everything is where it stays
        passes.summarize(population)
    costs = [[_cost(*cluster, population) for cluster in both] for _ in range(n_pairs)]
    return {
        "seconds": [[one["wall"], two["wall"]] for one, two in costs],
        "cpu_seconds": [[one["cpu"], two["cpu"]] for one, two in costs],
        "speedup": statistics.median(one["wall"] / two["wall"] for one, two in costs),
        "speedup_cpu": statistics.median(one["cpu"] / two["cpu"] for one, two in costs),
        "load": os.getloadavg()[0],
    }


def _cost(passes: ClusterPasses, client: Client, population: Population) -> dict[str, float]:
    before, began = client.run(time.process_time), time.perf_counter()
    passes.summarize(population)
    wall, after = time.perf_counter() - began, client.run(time.process_time)
    return {"wall": wall, "cpu": max(after[worker] - before[worker] for worker in after)}


def keep_nothing(client: Client) -> None:
    """Have the workers read every chunk in every pass."""
    for worker in client.scheduler_info()["workers"]:
        client.submit(_without_budget, workers=[worker], pure=False).result()


def _without_budget() -> None:
    sample_cache().budget = 0


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--milliseconds", type=float, default=50)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--from-disk", action="store_true")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(workers=1, memory_limit="4 GiB") as one,
        local_cluster(workers=2, memory_limit="4 GiB") as two,
    ):
        catalog = write_small_chunks(Path(folder), asked.chunks, ROWS)
        if asked.from_disk:
            for client in (one, two):
                keep_nothing(client)
        population = population_that_takes(asked.milliseconds / 1000, catalog.read_samples(0))
        print(json.dumps(speedup(catalog, population, (one, two), asked.pairs)))


if __name__ == "__main__":
    main()
