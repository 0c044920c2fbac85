"""Write what a model says of every row of a catalogue: out of core, chunk by chunk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from distributed import Client, Future

from dgmmis.cluster.supervisor import PROGRESS_DEADLINE, Supervisor
from dgmmis.errors import AlreadyExists, InvalidSetting, UnitMismatch
from dgmmis.model import Model
from dgmmis.posterior import infer
from dgmmis.products.chunk_rows import ChunkRows
from dgmmis.products.parquet_output import require_pyarrow, write_parquet
from dgmmis.products.zarr_output import create_arrays, write_zarr
from dgmmis.store import Catalog, open_catalog

__all__ = ["Order", "apply"]

Order = Literal["storage", "source"]


def apply(
    model: Model,
    catalog: Catalog,
    destination: str | Path,
    *,
    top: int = 3,
    order: Order = "storage",
    overwrite: bool = False,
    client: Client | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write responsibilities, log-density and deconvolved posterior of every row.

    Parameters
    ----------
    model : Model
    catalog : Catalog
        Of the model's features, in their units.
    destination : path
        `*.parquet` becomes a folder with one Parquet file per chunk, anything else a Zarr group.  Its
        columns: `row_id`, `source_row`, `log_density` [nats], `component` and `responsibility` of the `top`
        most responsible components, mean and covariance of the noise-free row (`posterior_mean`,
        `posterior_covariance`, packed in Zarr; one column each in Parquet).
    top : int
        Components per row, at most K.
    order : {"storage", "source"}
        Of the rows: as the catalogue keeps them, or as the source had them.
    overwrite : bool
        Replace what is there; otherwise that is an error.
    client : distributed.Client, optional
        Spread the chunks over its workers; they must see the destination.
    progress : callable, optional
        Called with (chunks done, chunks in all).

    Raises
    ------
    FeatureMismatch, UnitMismatch
        If the catalogue is not of the model's features and units.
    AlreadyExists
    """
    model.require_features(catalog.features)
    _require_units(model, catalog)
    if top < 1:
        raise InvalidSetting(f"top is {top}; expected at least 1.")
    top = min(top, model.mixture.n_components)
    destination = Path(destination)
    with _partial_folder(destination, overwrite) as folder:
        if destination.suffix == ".parquet":
            require_pyarrow()
        else:
            create_arrays(folder, model, catalog, top)
        _for_each_chunk(model, catalog, folder, destination.suffix, top, order, client, progress)
    return destination


def _require_units(model: Model, catalog: Catalog) -> None:
    for name, of_model, of_catalog in zip(model.features, model.units, catalog.units, strict=True):
        if of_model and of_catalog and of_model != of_catalog:
            raise UnitMismatch(
                f"feature '{name}' is in {of_catalog} in the catalogue and in {of_model} in the model. Ingest it "
                f"with --unit {name}={of_model} if that is what the numbers are.",
                column=name,
                value=of_catalog,
            )


@contextmanager
def _partial_folder(destination: Path, overwrite: bool) -> Iterator[Path]:
    """Give a folder to write into that becomes `destination` only when all went well."""
    if destination.exists() and not overwrite:
        raise AlreadyExists(f"{destination} exists. Name another place, or allow it with --overwrite.")
    partial = destination.with_name(f".{destination.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        yield partial
        if destination.is_dir():
            shutil.rmtree(destination)
        elif destination.exists():
            destination.unlink()
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _for_each_chunk(
    model: Model,
    catalog: Catalog,
    folder: Path,
    suffix: str,
    top: int,
    order: Order,
    client: Client | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    report = progress or (lambda done, of: None)
    if client is None:
        for chunk in range(catalog.n_chunks):
            apply_chunk(str(catalog.path), model, str(folder), suffix, top, order, chunk)
            report(chunk + 1, catalog.n_chunks)
        return

    def submit(bounds: tuple[int, int], parameters: Model, worker: str | None) -> Future[Any]:
        arguments = (str(catalog.path), parameters, str(folder), suffix, top, order, bounds[0])
        return client.submit(apply_chunk, *arguments, pure=False)

    supervisor = Supervisor(client, PROGRESS_DEADLINE, report)
    chunks = [(chunk, chunk + 1) for chunk in range(catalog.n_chunks)]
    for _ in supervisor.run(chunks, submit, model):
        continue  # each chunk writes its own place; progress is reported on arrival


def apply_chunk(
    catalog_path: str, model: Model, folder: str, suffix: str, top: int, order: Order, chunk: int
) -> None:
    """Write one chunk's rows; doing it twice writes the same."""
    catalog = open_catalog(catalog_path)
    posterior = infer(model.mixture, catalog.read_samples(chunk), top)
    ids, source_rows = catalog.read_ids(chunk)
    rows = ChunkRows(posterior, ids, source_rows)
    if order == "source":
        rows = rows.take(np.argsort(source_rows, kind="stable"))
    if suffix == ".parquet":
        write_parquet(rows, model.features, Path(folder) / f"part-{chunk:06d}.parquet")
    else:
        write_zarr(rows, folder, catalog.row_range(chunk))
