"""What Dask costs a pass over many small chunks: `python benchmarks/dask_overhead.py` prints figures as JSON.

A catalogue of 1,000 chunks, each about 10 ms of work, is summed on one worker process of one thread, which holds
all of them decoded, and by the same function in a plain loop over the same chunks in this process; in turn,
several times.  CPU seconds count all threads of client, scheduler and worker.  `overhead` is what the cluster's
pass takes beyond the loop's, as a share of the loop's: the median of the pairs.  `first_pass` is that of the
first pass of a new worker, reading included.  `--chunks`, `--milliseconds` and `--pairs` change the sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from distributed import Client

import dgmmis
from dgmmis.cluster import ClusterPasses, local_cluster
from dgmmis.expectation import summarize_samples
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.tree import Tree, sum_leaves

__all__ = ["main", "pairs_of_passes", "write_small_chunks"]

ROWS = 4000
N_FEATURES = 3


def write_small_chunks(folder: Path, n_chunks: int, rows: int = ROWS) -> dgmmis.Catalog:
    """Ingest rows with errors, in chunks of `rows`."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_chunks * rows, N_FEATURES)).astype(np.float32)
    variances = rng.uniform(0.01, 1, values.shape).astype(np.float32)
    return dgmmis.ingest(
        values, folder / "small.zarr", features=("a", "b", "c"), noise=variances, chunk_rows=rows
    )


def population_of(n_components: int) -> Population:
    """Make a population that costs so many components' time."""
    rng = np.random.default_rng(1)
    shape = (n_components, N_FEATURES)
    covariances = np.tile(np.eye(N_FEATURES), (n_components, 1, 1))
    return Population(
        dgmmis.Mixture(np.full(n_components, 1 / n_components), rng.normal(size=shape), covariances)
    )


def population_that_takes(seconds: float, samples: Samples) -> Population:
    """Choose the number of components so that one chunk takes about so long."""
    trial = population_of(16)
    summarize_samples(trial, samples)
    cost = min(_cpu_seconds(lambda: summarize_samples(trial, samples)) for _ in range(9))
    return population_of(max(1, round(16 * seconds / cost)))


def pairs_of_passes(
    catalog: dgmmis.Catalog, client: Client, seconds_per_chunk: float, n_pairs: int
) -> dict[str, object]:
    """Time passes of the cluster and of the loop in turn."""
    samples = [catalog.read_samples(chunk) for chunk in range(catalog.n_chunks)]
    population = population_that_takes(seconds_per_chunk, samples[0])
    passes = ClusterPasses(catalog, client)

    def loop() -> object:
        tree: Tree[dgmmis.Statistics] = Tree()
        tree.add(sum_leaves(0, len(samples), lambda chunk: summarize_samples(population, samples[chunk])))
        return tree.total()

    def on_cluster() -> object:
        return passes.summarize(population)

    first_pass = _timed(on_cluster, client)
    cluster, alone = [], []
    for _ in range(n_pairs):
        alone.append(_timed(loop, client))
        cluster.append(_timed(on_cluster, client))
    ratios = [ours["cpu"] / plain["cpu"] for ours, plain in zip(cluster, alone, strict=True)]
    return {
        "chunks": catalog.n_chunks,
        "components": population.n_components,
        "first_pass": first_pass,
        "loop": alone,
        "cluster": cluster,
        "overhead": statistics.median(ratios) - 1,
        "overhead_wall": statistics.median(
            ours["wall"] / plain["wall"] for ours, plain in zip(cluster, alone, strict=True)
        )
        - 1,
    }


def _timed(work: Callable[[], object], client: Client) -> dict[str, float]:
    """CPU seconds, here and on the workers, and those of the clock."""
    workers, began = _worker_seconds(client), time.perf_counter()
    cpu = _cpu_seconds(work)
    wall = time.perf_counter() - began
    return {"cpu": cpu + _worker_seconds(client) - workers, "wall": wall}


def _worker_seconds(client: Client) -> float:
    return float(sum(client.run(time.process_time).values()))


def _cpu_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Measure as the command line says, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--milliseconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog = write_small_chunks(Path(folder), asked.chunks)
        with local_cluster(workers=1, threads=1, memory_limit="4 GiB") as client:
            record = pairs_of_passes(catalog, client, asked.milliseconds / 1000, asked.pairs)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
