"""Sources of rows for the tests of the store, and plain readings of what a catalogue must give back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dgmmis.store import Catalog, CatalogWriter, Schema, StoredRows
from kd_oracle import kd_positions

FORMS = ("none", "shared", "errors", "correlated", "variances", "covariances")
IDS = ("row", "integer", "text")


def make_source(
    seed: int,
    n_rows: int,
    n_features: int,
    form: str = "correlated",
    *,
    ids: str = "integer",
    dtype: str = "<f8",
    weights: bool = True,
    jitter: bool = False,
    missing: float = 0.3,
) -> tuple[Schema, StoredRows]:
    """Usable rows in stored form and their schema; "correlated" is errors with correlations."""
    rng = np.random.default_rng(seed)
    if form == "correlated" and n_features == 1:
        form = "errors"
    values = rng.normal(size=(n_rows, n_features))
    values[rng.random(values.shape) < missing] = np.nan
    schema = Schema(
        tuple(f"feature {j}" for j in range(n_features)),
        ("mas",) * n_features,
        "errors" if form == "correlated" else form,
        has_correlations=form == "correlated",
        shared_noise=shared_covariance(n_features) if form == "shared" else None,
        jitter=tuple(0.5 + j for j in range(n_features)) if jitter else (),
        has_weights=weights,
        id_kind=ids,
        value_dtype=dtype,
        noise_dtype=dtype,
        provenance={"source": "made up", "seed": seed},
    )
    noise = {name: column.astype(dtype) for name, column in noise_columns(rng, form, values).items()}
    source_rows = np.arange(n_rows)
    rows = StoredRows(
        source_rows,
        make_ids(rng, ids, source_rows),
        values.astype(dtype),
        noise,
        rng.uniform(0.5, 2, n_rows) if weights else None,
    )
    return schema, rows


def shared_covariance(n_features: int) -> tuple[tuple[float, ...], ...]:
    matrix = np.full((n_features, n_features), 0.25) + np.eye(n_features)
    return tuple(tuple(row) for row in matrix.tolist())


def noise_columns(rng: np.random.Generator, form: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Noise columns; those of missing features are NaN half of the time and nonsense otherwise."""
    n_rows, n_features = values.shape
    size = rng.uniform(0.1, 2, size=values.shape)
    nonsense = rng.choice([np.nan, -1.0], size=values.shape)
    size = np.where(np.isnan(values), nonsense, size)
    if form in ("errors", "variances"):
        return {form: size}
    n_pairs = n_features * (n_features - 1) // 2
    bound = 0.9 / max(1, n_features - 1)  # diagonally dominant, so positive definite
    correlations = rng.uniform(-bound, bound, size=(n_rows, n_pairs))
    if form == "correlated":
        return {"errors": size, "correlations": correlations}
    if form == "covariances":
        i, j = np.tril_indices(n_features)
        packed = size[:, i] * size[:, j]
        packed[:, i != j] *= correlations
        return {"covariances": packed}
    return {}


def make_ids(rng: np.random.Generator, kind: str, source_rows: np.ndarray) -> np.ndarray:
    if kind == "row":
        return source_rows
    if kind == "integer":
        return rng.permutation(len(source_rows)) * 1_000_003 - 5
    texts = [f"Gaia ü{number:x}".encode() for number in rng.permutation(len(source_rows))]
    return np.array(texts, dtype="S14").view(np.uint8).reshape(len(texts), 14)


def batches(rows: StoredRows, size: int) -> Iterator[StoredRows]:
    for start in range(0, len(rows), size):
        yield rows.take(slice(start, start + size))


def write(
    destination: Path, schema: Schema, rows: StoredRows, *, batch_rows: int = 10**6, **options: object
) -> Catalog:
    with CatalogWriter(destination, schema, **options) as writer:
        for batch in batches(rows, batch_rows):
            writer.append(batch)
        return writer.finish()


def stored_order(schema: Schema, rows: StoredRows, chunk_rows: int) -> np.ndarray:
    """The order rows must have: chunk by chunk, by the bits of the missing features, then by a kd-tree."""
    values = rows.values
    code = np.array([sum(2 ** int(j) for j in np.flatnonzero(np.isnan(row))) for row in values])
    order: list[int] = []
    for start in range(0, len(values), chunk_rows):
        chunk = np.arange(start, min(start + chunk_rows, len(values)))
        for pattern in np.unique(code[chunk]):
            alike = chunk[code[chunk] == pattern]
            observed = ~np.isnan(values[alike[0]])
            seen, variances = values[alike][:, observed].astype(float), None
            if rows.noise:
                whole = [np.diag(covariance_of(schema, rows, i))[observed] for i in alike]
                variances = np.array(whole)
            order += alike[kd_positions(seen, variances=variances)].tolist()
    return np.array(order)


def covariance_of(schema: Schema, rows: StoredRows, i: int) -> np.ndarray:
    """Noise covariance (D, D) of one row, from the definition of its stored columns."""
    n_features = schema.n_features
    matrix = np.zeros((n_features, n_features))
    if schema.shared_noise is not None:
        matrix += np.array(schema.shared_noise)
    for a in range(n_features):
        for b in range(a + 1):
            matrix[a, b] += stored_entry(rows, i, a, b)
            matrix[b, a] = matrix[a, b]
    return matrix + np.diag([j**2 for j in schema.jitter] or [0.0] * n_features)


def stored_entry(rows: StoredRows, i: int, a: int, b: int) -> float:
    columns = {name: column.astype(float) for name, column in rows.noise.items()}
    if "covariances" in columns:
        return columns["covariances"][i, a * (a + 1) // 2 + b]
    if "variances" in columns:
        return columns["variances"][i, a] if a == b else 0.0
    if "errors" not in columns:
        return 0.0
    product = columns["errors"][i, a] * columns["errors"][i, b]
    if a == b:
        return product
    return product * columns["correlations"][i, a * (a - 1) // 2 + b] if "correlations" in columns else 0.0
