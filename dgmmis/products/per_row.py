"""Write what a model says of every row of a catalogue: out of core, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from distributed import Client, Future

from dgmmis.cluster.placement import Placement, Sender
from dgmmis.cluster.preflight import Preflight
from dgmmis.cluster.supervisor import Supervisor
from dgmmis.cluster.worker_side import opened_catalog
from dgmmis.errors import InvalidSetting, UnitMismatch
from dgmmis.location import Location, S3Url
from dgmmis.model import Model
from dgmmis.places import local_path
from dgmmis.posterior import infer
from dgmmis.products.chunk_rows import ChunkRows
from dgmmis.products.folder import product_folder
from dgmmis.products.parquet_output import require_parquet, write_parquet
from dgmmis.products.zarr_output import create_arrays, write_zarr
from dgmmis.store import Catalog, open_catalog
from dgmmis.store.schema import Schema

__all__ = ["Order", "apply", "require_units"]

Order = Literal["storage", "source"]


def apply(
    model: Model,
    catalog: Catalog | str | Location,
    destination: str | Path,
    *,
    top: int = 3,
    order: Order = "storage",
    overwrite: bool = False,
    client: Client | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write responsibilities, log-density and deconvolved posterior of every row.

    The numbers are those of `Model.log_density`, `responsibilities`, `background_probability` and `posterior`:
    densities are those of the whole population before any selection, backgrounds included and seen through
    the row's noise; responsibilities sum to 1 less the background's probability; the posterior holds if the
    mixture made the row.

    Parameters
    ----------
    model : Model
    catalog : Catalog or path
        Of the model's features, in their units.
    destination : path
        `*.parquet` becomes a folder with one Parquet file per chunk, anything else a Zarr group, with the rows
        of each append in a group `appended/N`, as in the catalogue.  Its columns: `row_id`, `source_row`,
        `log_density` [nats], `component` and `responsibility` of the `top` most responsible components, mean and
        covariance of the noise-free row (`posterior_mean`, `posterior_covariance`, packed in Zarr; one column each
        in Parquet), and, if the model has backgrounds, `background_probability`.
    top : int
        Components per row, at most K.
    order : {"storage", "source"}
        Of the rows: as the catalogue keeps them, or as the source had them; not of a catalogue whose rows were moved
        across chunks.
    overwrite : bool
        Replace the product that is there; anything else is never replaced.
    client : distributed.Client, optional
        Spread the chunks over its workers; they must see the destination.
    progress : callable, optional
        Called with (chunks done, chunks in all).

    Raises
    ------
    FeatureMismatch, UnitMismatch
        If the catalogue is not of the model's features and units.
    AlreadyExists
    ClusterLost, PoisonChunk, WorkersDiffer
        If the workers cannot do it; nothing is written then.
    """
    if isinstance(catalog, str | Path | S3Url):
        catalog = open_catalog(catalog)
    if not isinstance(model, Model):
        raise InvalidSetting(
            f"model is a {type(model).__name__}; expected a Model, for instance result.model."
        )
    if not isinstance(order, str) or order not in ("storage", "source"):
        raise InvalidSetting(f"order is {order!r}; expected 'storage' or 'source'.")
    if order == "source" and not catalog.follows_source:
        raise InvalidSetting(
            f"the rows of {catalog.path} were moved across chunks when it was ingested with order 'catalog', so they "
            "are written in storage order only. Sort by source_row afterwards, or ingest with order 'chunk'."
        )
    model.require_features(catalog.features)
    require_units(model, catalog.schema)
    if top < 1:
        raise InvalidSetting(f"top is {top}; expected at least 1.")
    top = min(top, model.mixture.n_components)
    destination = local_path(destination).absolute()
    with product_folder(destination, overwrite) as folder:
        as_parquet = destination.suffix == ".parquet"
        if as_parquet:
            require_parquet(model.features)
        else:
            create_arrays(folder, model, catalog, top)
        job = Job(str(catalog.path), catalog.fingerprint, str(folder), as_parquet, top, order)
        _for_each_chunk(job, model, catalog, client, progress)
    return destination


def require_units(model: Model, schema: Schema) -> None:
    """Raise `UnitMismatch` if a feature has another unit in the rows than in the model, and both are known."""
    for name, of_model, of_catalog in zip(model.features, model.units, schema.units, strict=True):
        if of_model and of_catalog and of_model != of_catalog:
            raise UnitMismatch(
                f"feature '{name}' is in {of_catalog} in the catalogue and in {of_model} in the model. Ingest it "
                f"with --unit {name}={of_model} if that is what the numbers are.",
                column=name,
                value=of_catalog,
            )


@dataclass(frozen=True)
class Job:
    """What is written where; the same for every chunk.

    Attributes
    ----------
    catalog, fingerprint : str
        Path of the catalogue, and what it must hold.
    folder : str
        Where to write.
    as_parquet : bool
        One file per chunk instead of a Zarr group.
    top : int
    order : {"storage", "source"}
    """

    catalog: str
    fingerprint: str
    folder: str
    as_parquet: bool
    top: int
    order: Order


def _for_each_chunk(
    job: Job,
    model: Model,
    catalog: Catalog,
    client: Client | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    report, n_chunks = progress or (lambda done, of: None), catalog.n_chunks
    if client is None:
        for chunk in range(n_chunks):
            apply_chunk(job, model, chunk)
            report(chunk + 1, n_chunks)
        return

    preflight = Preflight(client)
    supervisor = Supervisor(client, None, report, rows_of=catalog.row_range, examine=preflight.examine)
    supervisor.n_threads()
    preflight.examine()
    send = Sender(client, preflight.expected)

    def submit(bounds: tuple[int, int], parameters: Model, placement: Placement) -> Future[Any]:
        return send(placement, apply_chunk, job, parameters, bounds[0])

    for _ in supervisor.run([(chunk, chunk + 1) for chunk in range(n_chunks)], submit, model):
        continue  # each chunk writes its own place; progress is reported on arrival


def apply_chunk(job: Job, model: Model, chunk: int) -> None:
    """Write one chunk's rows; doing it twice writes the same."""
    catalog = opened_catalog(job.catalog, job.fingerprint)
    posterior = infer(
        model.mixture,
        catalog.read_samples(chunk),
        job.top,
        backgrounds=model.backgrounds,
        first_row=catalog.row_range(chunk)[0],
    )
    ids, source_rows = catalog.read_ids(chunk)
    rows = ChunkRows(posterior, ids, source_rows)
    if job.order == "source":  # chunks were filled in the source's order: ordering each orders all
        rows = rows.take(np.argsort(source_rows, kind="stable"))
    if job.as_parquet:
        write_parquet(rows, model, Path(job.folder) / f"part-{chunk:06d}.parquet")
    else:
        write_zarr(rows, job.folder, catalog.part_range(chunk))
