"""What it costs that the workers of a local cluster talk TLS: the same fit with and without, turn by turn.

    python tls_cost.py --rows 500000 --turns 8

Clusters of two workers, which talk TLS or not, take turns, one at a time; the order alternates.  Compared are the wall
time of the fit and the processor time of driver and workers (medians, and the median ratio of each pair), and its bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from distributed import Client

import dgmmis
from dgmmis.cluster import local_cluster

COMPONENTS, FEATURES, PASSES = 8, 3, 20
START = dgmmis.Mixture(
    np.full(COMPONENTS, 1 / COMPONENTS),
    np.random.default_rng(3).normal(scale=4, size=(COMPONENTS, FEATURES)),
    np.tile(4 * np.eye(FEATURES), (COMPONENTS, 1, 1)),
)
"""The same for every turn, so that only passes are timed."""


def write_catalog(path: Path, n_rows: int) -> None:
    """Ingest rows of three features with errors."""
    rng = np.random.default_rng(1)
    means = rng.normal(scale=4, size=(COMPONENTS, FEATURES))
    values = means[rng.integers(COMPONENTS, size=n_rows)] + rng.normal(size=(n_rows, FEATURES))
    errors = rng.uniform(0.1, 0.5, size=values.shape)
    names = [f"x{j}" for j in range(FEATURES)]
    table = dict(zip(names, (values + errors * rng.normal(size=values.shape)).T, strict=True))
    table |= {f"{name}_error": error for name, error in zip(names, errors.T, strict=True)}
    dgmmis.ingest(table, path, features=names, error=["{}_error"])


def processor_seconds() -> float:
    """Processor time of this process and all below it."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def turn(catalog: dgmmis.Catalog, client: Client, passes: int) -> tuple[float, float, str]:
    """Fit; return wall and processor seconds, and the hash of what was fitted."""
    before, began = processor_seconds(), time.perf_counter()
    result = dgmmis.fit(
        catalog,
        n_components=COMPONENTS,
        tolerance=0,
        max_passes=passes,
        client=client,
        method="em",
        pruning=0,
        initial=START,
    )
    wall, processor = time.perf_counter() - began, processor_seconds() - before
    return wall, processor, hashlib.sha256(result.mixture.covariances.tobytes()).hexdigest()[:16]


def compared(tls: list[float], plain: list[float]) -> dict[str, object]:
    """Put two columns of seconds side by side."""
    return {
        "plain": [round(value, 2) for value in plain],
        "tls": [round(value, 2) for value in tls],
        "ratio_of_medians": round(statistics.median(tls) / statistics.median(plain), 3),
        "median_of_ratios": round(statistics.median(a / b for a, b in zip(tls, plain, strict=True)), 3),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--turns", type=int, default=8)
    options = parser.parse_args()
    wall: dict[bool, list[float]] = {True: [], False: []}
    processor: dict[bool, list[float]] = {True: [], False: []}
    hashes = set()
    with tempfile.TemporaryDirectory() as folder:
        write_catalog(Path(folder) / "rows.zarr", options.rows)
        catalog = dgmmis.open_catalog(Path(folder) / "rows.zarr")
        for number in range(options.turns):
            for encrypted in (True, False) if number % 2 else (False, True):
                with local_cluster(workers=2, memory_limit="1 GiB", encrypted=encrypted) as client:
                    turn(catalog, client, 1)
                    seconds, used, digest = turn(catalog, client, PASSES)
                wall[encrypted].append(seconds)
                processor[encrypted].append(used)
                hashes.add(digest)
                print(
                    f"{'tls' if encrypted else 'plain'} {seconds:.2f} s, processor {used:.2f} s",
                    file=sys.stderr,
                )
    told = {
        "rows": options.rows,
        "passes": PASSES + 1,
        "wall": compared(wall[True], wall[False]),
        "processor": compared(processor[True], processor[False]),
        "same_bits": len(hashes) == 1,
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
