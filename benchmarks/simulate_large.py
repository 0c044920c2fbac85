"""A catalogue of any size with known truth: `python simulate_large.py FOLDER` writes a folder of Parquet files.

Three features drawn from 32 Gaussians, each with a float32 standard error of its own.  Batch i depends on the seed
and i alone, so any number of processes write the same files, and each holds one batch.  Files are neither
compressed nor encoded, since random digits do not shrink: 24 bytes a row, read at the speed of the disk.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dgmmis import Mixture, Model

__all__ = ["BATCH_ROWS", "FEATURES", "batch_sizes", "draw_batch", "true_model", "write_folder"]

FEATURES = ("x", "y", "z")
COMPONENTS = 32
HALF_WIDTH = 10.0
DISPERSIONS = 0.5, 1.6
ERRORS = 0.2, 1.2
BATCH_ROWS = 1_000_000
DEFAULT_ROWS = 200_000_000

Column = NDArray[np.float32]


def true_model(seed: int = 0) -> Model:
    """Make the population: means in a box of half width 10, axes turned at random."""
    rng = np.random.default_rng((seed, COMPONENTS))
    n_features = len(FEATURES)
    amplitudes = rng.dirichlet(np.full(COMPONENTS, 5.0))
    means = rng.uniform(-HALF_WIDTH, HALF_WIDTH, (COMPONENTS, n_features))
    axes = np.linalg.qr(rng.standard_normal((COMPONENTS, n_features, n_features))).Q
    factors = axes * rng.uniform(*DISPERSIONS, (COMPONENTS, 1, n_features))
    return Model(Mixture(amplitudes, means, factors @ factors.swapaxes(1, 2)), FEATURES)


def batch_sizes(rows: int) -> list[int]:
    """Rows of each batch: all full but the last."""
    return [min(BATCH_ROWS, rows - first) for first in range(0, rows, BATCH_ROWS)]


def draw_batch(mixture: Mixture, seed: int, batch: int, rows: int) -> dict[str, Column]:
    """Draw the columns (n,) of a batch, in random order.

    The rows of a component are drawn together and then permuted, which is quicker than one by one; errors
    and noise do not depend on the component and need no permutation.
    """
    rng = np.random.default_rng((seed, batch))
    shape = (len(FEATURES), rows)
    values = rng.standard_normal(shape, dtype=np.float32)
    bounds = np.cumsum([0, *rng.multinomial(rows, mixture.amplitudes)])
    factors = np.linalg.cholesky(mixture.covariances).astype(np.float32)
    for k, (start, stop) in enumerate(pairwise(bounds)):
        values[:, start:stop] = factors[k] @ values[:, start:stop]
        values[:, start:stop] += mixture.means[k, :, None].astype(np.float32)
    values = values[:, rng.permutation(rows)]
    low, high = ERRORS
    errors = rng.random(shape, dtype=np.float32) * np.float32(high - low) + np.float32(low)
    values += errors * rng.standard_normal(shape, dtype=np.float32)
    columns = dict(zip(FEATURES, values, strict=True))
    return columns | {f"{name}_error": column for name, column in zip(FEATURES, errors, strict=True)}


def write_folder(folder: Path, rows: int, seed: int = 0, workers: int = 1) -> Iterator[int]:
    """Write the files with so many processes; yields the rows of each as it is done."""
    folder.mkdir(parents=True)
    sizes = batch_sizes(rows)
    write = partial(_write_batch, folder, seed)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        yield from processes.map(write, range(len(sizes)), sizes)


def _write_batch(folder: Path, seed: int, batch: int, rows: int) -> int:
    table = pa.table(draw_batch(true_model(seed).mixture, seed, batch, rows))
    path = folder / f"batch-{batch:06d}.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=rows)
    return rows


def main() -> None:
    """Write FOLDER and, beside it, FOLDER.truth.npz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    rows = sum(write_folder(options.folder, options.rows, options.seed, options.workers))
    true_model(options.seed).save(options.folder.with_suffix(".truth.npz"))
    seconds = time.monotonic() - began
    print(f"{rows:,} rows in {seconds:.1f} s, {rows / seconds / 1e6:.2f} million a second")


if __name__ == "__main__":
    main()
