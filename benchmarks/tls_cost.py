"""What it costs that the workers of a local cluster talk TLS: the same fit with and without, turn by turn.

    python tls_cost.py --rows 1000000 --turns 6

Each turn starts a cluster of two workers, warms it, fits, and stops it; the order alternates from turn to turn.
The times of the fit are compared (median, and the ratio of each pair), and so are its bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import dgmmis
from dgmmis.cluster import local_cluster

COMPONENTS, FEATURES, PASSES = 8, 3, 20


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


def turn(catalog: dgmmis.Catalog, encrypted: bool) -> tuple[float, float, str]:
    """Seconds to start the cluster and to fit, and the hash of what was fitted."""
    began = time.perf_counter()
    with local_cluster(workers=2, memory_limit="2 GiB", encrypted=encrypted) as client:
        started = time.perf_counter() - began
        settings = {
            "n_components": COMPONENTS,
            "tolerance": 0,
            "client": client,
            "method": "em",
            "pruning": 0,
        }
        dgmmis.fit(catalog, max_passes=1, **settings)
        began = time.perf_counter()
        result = dgmmis.fit(catalog, max_passes=PASSES, **settings)
        seconds = time.perf_counter() - began
    return started, seconds, hashlib.sha256(result.mixture.covariances.tobytes()).hexdigest()[:16]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=6)
    options = parser.parse_args()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    starts: dict[bool, list[float]] = {True: [], False: []}
    hashes = set()
    with tempfile.TemporaryDirectory() as folder:
        write_catalog(Path(folder) / "rows.zarr", options.rows)
        catalog = dgmmis.open_catalog(Path(folder) / "rows.zarr")
        for number in range(options.turns):
            for encrypted in (True, False) if number % 2 else (False, True):
                started, fitted, digest = turn(catalog, encrypted)
                starts[encrypted].append(started)
                seconds[encrypted].append(fitted)
                hashes.add(digest)
    ratios = [with_tls / without for with_tls, without in zip(seconds[True], seconds[False], strict=True)]
    told = {
        "rows": options.rows,
        "passes": PASSES + 1,
        "seconds_plain": [round(value, 2) for value in seconds[False]],
        "seconds_tls": [round(value, 2) for value in seconds[True]],
        "ratio_of_medians": round(statistics.median(seconds[True]) / statistics.median(seconds[False]), 3),
        "median_of_ratios": round(statistics.median(ratios), 3),
        "start_plain": round(statistics.median(starts[False]), 2),
        "start_tls": round(statistics.median(starts[True]), 2),
        "same_bits": len(hashes) == 1,
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
