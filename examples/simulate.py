"""Simulate a noisy, incomplete catalogue with known truth and write it as Parquet."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dgmmis import Mixture, Model

FEATURES = ("parallax", "pmra", "pmdec")
UNITS = ("mas", "mas / yr", "mas / yr")
ROWS_PER_GROUP = 200_000
MISSING = 0.2


def true_model(n_components: int) -> Model:
    """Make the populations: the same for every run of this script."""
    rng = np.random.default_rng(20)
    amplitudes = rng.dirichlet(np.full(n_components, 4.0))
    means = np.column_stack(
        (
            rng.uniform(0.5, 6.0, n_components),
            rng.uniform(-12, 12, n_components),
            rng.uniform(-12, 12, n_components),
        )
    )
    covariances = np.empty((n_components, 3, 3))
    for k in range(n_components):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        shape = rotation * rng.uniform(0.6, 1.8, 3)
        scale = np.array([0.3, 1.2, 1.2])
        covariances[k] = scale[:, None] * (shape @ shape.T) * scale
    return Model(Mixture(amplitudes, means, (covariances + covariances.swapaxes(1, 2)) / 2), FEATURES, UNITS)


def simulate(model: Model, n_rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw rows, add noise of a different size and correlation to each, and lose a fifth of all values."""
    errors = (
        np.exp(rng.normal(-1.0, 0.6, (n_rows, 1)))
        * np.array([0.3, 1.0, 1.0])
        * rng.uniform(0.8, 1.2, (n_rows, 3))
    )
    correlations = rng.uniform(-0.5, 0.5, (n_rows, 3))  # (1,0), (2,0), (2,1): always positive definite
    covariances = np.empty((n_rows, 3, 3))
    for i in range(3):
        covariances[:, i, i] = errors[:, i] ** 2
    for column, (i, j) in enumerate(((1, 0), (2, 0), (2, 1))):
        covariances[:, i, j] = covariances[:, j, i] = correlations[:, column] * errors[:, i] * errors[:, j]
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(covariances), rng.normal(size=(n_rows, 3)))
    values = model.draw(n_rows, rng) + noise
    values[rng.random(values.shape) < MISSING] = np.nan
    columns = {}
    for j, name in enumerate(FEATURES):
        columns[name], columns[f"{name}_error"] = values[:, j], errors[:, j]
    for column, (i, j) in enumerate(((1, 0), (2, 0), (2, 1))):
        columns[f"{FEATURES[j]}_{FEATURES[i]}_corr"] = correlations[:, column]
    return columns


def main() -> None:
    """Write OUT.parquet and, beside it, the true model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    model = true_model(arguments.components)
    model.save(arguments.output.with_name("truth.npz"))
    units = dict(zip(FEATURES, UNITS, strict=True))
    writer = None
    for first in range(0, arguments.rows, ROWS_PER_GROUP):
        n_rows = min(ROWS_PER_GROUP, arguments.rows - first)
        rng = np.random.default_rng((arguments.seed, first))
        columns = {"source_id": np.arange(first, first + n_rows), **simulate(model, n_rows, rng)}
        fields = [
            pa.field(
                name,
                pa.from_numpy_dtype(c.dtype),
                metadata={"unit": units.get(name.removesuffix("_error"), "")},
            )
            for name, c in columns.items()
        ]
        table = pa.table(columns, schema=pa.schema(fields))
        writer = writer or pq.ParquetWriter(arguments.output, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    print(
        f"{arguments.rows:,} rows written to {arguments.output}, the truth to {arguments.output.with_name('truth.npz')}"
    )


if __name__ == "__main__":
    main()
