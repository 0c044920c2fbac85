"""Catalogues as tables of other libraries: Dask data frames, Datasets of xarray, tables of astropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.optional_libraries import load_library
from dgmmis.packed import Array, lower_indices
from dgmmis.store.quarantine import readable_ids
from dgmmis.store.schema import Schema, StoredRows

if TYPE_CHECKING:
    from dgmmis.store.catalog import Catalog

__all__ = ["astropy_table", "chunk_columns", "dask_frame", "xarray_dataset"]

LONGEST_ID = "<U64"


def chunk_columns(catalog: Catalog, chunk: int) -> dict[str, NDArray[Any]]:
    """Read a chunk as columns: ids, numbers in the source, features, their errors and correlations, weights.

    Their names are those that `ingest` finds by "{}_error" and "{}_{}_corr".  Errors are those a fit uses, jitter
    included.  Rows are in the order of the source, if the catalogue follows it.
    """
    schema, stored = catalog.schema, catalog.read_stored(chunk)
    if catalog.follows_source:
        stored = stored.take(np.argsort(stored.source_rows, kind="stable"))
    columns: list[tuple[str, NDArray[Any]]] = []
    if schema.id_kind != "row":
        columns.append(("row_id", readable_ids(stored.ids)))
    columns.append(("source_row", stored.source_rows))
    columns += [(name, stored.values[:, j]) for j, name in enumerate(schema.features)]
    columns += _noise_columns(schema, stored)
    if stored.weights is not None:
        columns.append(("weight", stored.weights))
    named = dict(columns)
    if len(named) < len(columns):
        names = [name for name, _ in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidSetting(
            f"{catalog.path} would be a table with two columns '{twice[0]}': a feature has the name of a column "
            "that is added. Read its chunks with read_rows and read_ids."
        )
    return named


def _noise_columns(schema: Schema, stored: StoredRows) -> list[tuple[str, NDArray[Any]]]:
    if schema.noise_form == "errors" and not schema.jitter:
        errors, correlations = stored.noise["errors"], stored.noise.get("correlations")
    else:
        noise = schema.noise(stored.noise)
        if noise.array is None:
            return []
        errors, correlations = _errors_of(noise.array, noise.kind, len(stored))
    features = schema.features
    columns = [(f"{name}_error", errors[:, j]) for j, name in enumerate(features)]
    if correlations is not None:
        pairs = [(i, j) for i, j in zip(*lower_indices(len(features)), strict=True) if i != j]
        columns += [
            (f"{features[j]}_{features[i]}_corr", correlations[:, n]) for n, (i, j) in enumerate(pairs)
        ]
    return columns


def _errors_of(array: Array, kind: str, n_rows: int) -> tuple[Array, Array | None]:
    """Errors (n, D) and correlations (n, D (D - 1) / 2) of noise; None if no two features are correlated."""
    if kind == "diagonal":
        return np.sqrt(array), None
    if kind == "shared":
        rows, columns = lower_indices(len(array))
        array = np.broadcast_to(array[rows, columns], (n_rows, len(rows)))
    else:
        rows, columns = lower_indices(int((np.sqrt(8 * array.shape[1] + 1) - 1) / 2))
    errors = np.sqrt(array[:, rows == columns])
    apart = rows != columns
    products = errors[:, rows[apart]] * errors[:, columns[apart]]
    safe = np.where(products > 0, products, 1.0)
    return errors, np.asarray(array[:, apart] / safe)


def _units(schema: Schema) -> dict[str, str]:
    known = {name: unit for name, unit in zip(schema.features, schema.units, strict=True) if unit}
    return known | {f"{name}_error": unit for name, unit in known.items()}


def dask_frame(catalog: Catalog) -> Any:
    """See `Catalog.to_dask_dataframe`."""
    load_library("pandas", "a Dask data frame", "frames")
    frames = load_library("dask.dataframe", "a Dask data frame", "frames")
    meta = _frame(0, catalog).iloc[:0]
    return frames.from_map(_frame, range(catalog.n_chunks), catalog=catalog, meta=meta)


def _frame(chunk: int, catalog: Catalog) -> Any:
    frame = load_library("pandas", "a Dask data frame", "frames").DataFrame(chunk_columns(catalog, chunk))
    frame.attrs["units"] = {name: unit for name, unit in _units(catalog.schema).items() if name in frame}
    return frame


def xarray_dataset(catalog: Catalog) -> Any:
    """See `Catalog.to_xarray`."""
    arrays = load_library("dask.array", "a Dataset of xarray", "frames")
    xarray = load_library("xarray", "a Dataset of xarray", "frames")
    types = {name: _dtype(column) for name, column in chunk_columns(catalog, 0).items()}
    chunks = [delayed(chunk_columns, pure=True)(catalog, chunk) for chunk in range(catalog.n_chunks)]
    lengths = [np.subtract(*catalog.row_range(chunk)[::-1]) for chunk in range(catalog.n_chunks)]
    variables = {}
    for name, dtype in types.items():
        parts = [
            arrays.from_delayed(part[name], (int(length),), dtype=dtype)
            for part, length in zip(chunks, lengths, strict=True)
        ]
        variables[name] = arrays.concatenate(parts)
    units = _units(catalog.schema)
    dataset = xarray.Dataset(
        {
            name: ("row", variable, {"units": units[name]} if name in units else {})
            for name, variable in variables.items()
        },
        attrs={"catalog_fingerprint": catalog.fingerprint},
    )
    return dataset.set_coords([name for name in ("row_id", "source_row") if name in variables])


def _dtype(column: NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(LONGEST_ID) if column.dtype.kind == "U" else column.dtype


def astropy_table(catalog: Catalog) -> Any:
    """See `Catalog.to_astropy`."""
    table = load_library("astropy.table", "a table of astropy", "readers")
    chunks = [chunk_columns(catalog, chunk) for chunk in range(catalog.n_chunks)]
    columns = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    units = {name: unit for name, unit in _units(catalog.schema).items() if name in columns}
    return table.Table(columns, units=units, meta={"catalog_fingerprint": catalog.fingerprint})
