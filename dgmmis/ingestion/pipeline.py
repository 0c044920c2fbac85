"""Ingest: a source goes in once and becomes a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.ingestion.ingest_plan import MissingError, Options, make_plan
from dgmmis.ingestion.option_types import (
    as_numbers_by_name,
    as_text,
    as_texts,
    as_texts_by_name,
    require_count,
    require_flag,
    require_progress,
)
from dgmmis.ingestion.streaming import open_rows, provenance_of, semidefinite_tolerance, stream
from dgmmis.location import Location
from dgmmis.noise import NoiseLike
from dgmmis.store.catalog import Catalog
from dgmmis.store.writer import CatalogWriter, ChunkOrder

__all__ = ["ingest"]


def ingest(
    source: str | Path | np.ndarray | Mapping[str, Any] | Any,
    destination: str | Location,
    *,
    features: Sequence[str],
    error: Sequence[str] = (),
    corr: str | None = None,
    jitter: Mapping[str, float] | None = None,
    derive: Sequence[str] = (),
    id: str | None = None,
    weights: str | None = None,
    where: str | None = None,
    units: Mapping[str, str] | None = None,
    missing_error: MissingError = "quarantine",
    chunk_rows: int | None = None,
    order: ChunkOrder = "chunk",
    max_quarantined: int | None = None,
    overwrite: bool = False,
    noise: NoiseLike = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Catalog:
    """Read a source once and write it as a catalogue.

    Parameters
    ----------
    source : path, array, mapping of arrays, table or data frame
        FITS, Parquet (a file or a folder of files), HATS, HDF5, CSV, .npy or .npz; or a matrix (N, D), a structured
        array (N,), a mapping of columns (N,), all of which may be Dask arrays; or a data frame of pandas or Dask, an
        LSDB catalogue, a table of astropy, a Dataset or DataArray of xarray.
    destination : path, or address in an object store
        Folder of the catalogue, by custom NAME.zarr, or "s3://BUCKET/PREFIX"; it appears only when all is written.
    features : sequence of D str
        Columns that are features, or names of derived ones.
    error : sequence of str
        Standard errors of the features: a template "{}_error", "name=column", "name=0.02"; the explicit
        ones win.  Without any there is no noise.
    corr : str, optional
        Template "{}_{}_corr" of the columns with correlation coefficients; pairs without a column are
        uncorrelated.
    jitter : mapping of str to float, optional
        Standard deviations, in the features' units, added in quadrature to all rows' errors.
    derive : sequence of str
        Linear features such as "color=bp-rp"; their noise follows from that of the columns.
    id : str, optional
        Column with the rows' ids, integers or text of up to 64 bytes; else the row number is the id.
    weights : str, optional
        Column with the rows' weights.
    where : str, optional
        Condition that rows must meet, in the language of numexpr: "(parallax > 0) & (ruwe < 1.4)".
        Comparisons with a missing value are false, but for !=, which is true.
    units : mapping of str to str, optional
        Units of columns, where the source states none or a wrong one.
    missing_error : {"quarantine", "missing"}
        What becomes of a row where a feature is present and its error is missing or negative: the row is
        set aside, or the feature counts as not observed.
    chunk_rows : int, optional
        Rows per chunk; by default about 100,000.
    order : {"chunk", "catalog"}
        "chunk": chunks follow the source, and the rows of a chunk are put near together.  "catalog": rows move
        across chunks too, so that each chunk covers a small region; rows are written and read twice more on
        the way, and need that much scratch space beside the destination.
    max_quarantined : int, optional
        Rows that may be set aside before this is an error.
    overwrite : bool
        Whether an existing catalogue may be replaced.
    noise : Noise or array, optional
        Only for a matrix: *variances or covariances*, as in `Noise.of`.
    progress : callable, optional
        Called with the rows read and all rows (None if unknown) after each batch.

    Returns
    -------
    Catalog

    Raises
    ------
    InvalidSetting
        If an option is malformed or contradicts another.
    InvalidData
        If the source or a value in it cannot be read; subclasses name what is wrong: `UnknownColumn`,
        `UnitMismatch`, `EmptySource`, `TooManyQuarantined`.
    MissingLibrary
        If the library that reads the format is not installed.
    AlreadyExists
        If the destination exists and `overwrite` is false.
    """
    require_count(chunk_rows, "chunk_rows", 1)
    require_count(max_quarantined, "max_quarantined", 0)
    require_flag(overwrite, "overwrite")
    require_progress(progress)
    options = Options(
        features=as_texts(features, "features"),
        error=as_texts(error, "error"),
        corr=as_text(corr, "corr"),
        jitter=as_numbers_by_name(jitter, "jitter"),
        derive=as_texts(derive, "derive"),
        id=as_text(id, "id"),
        weights=as_text(weights, "weights"),
        where=as_text(where, "where"),
        units=as_texts_by_name(units, "units"),
        missing_error=missing_error,
        order=order,
    )
    opened = open_rows(source, options, noise)
    plan = make_plan(opened, options, provenance_of(source, options))
    with CatalogWriter(
        destination,
        plan.schema,
        chunk_rows=chunk_rows,
        order=order,
        overwrite=overwrite,
        max_quarantined=max_quarantined,
        quarantine_tolerance=semidefinite_tolerance(plan.schema),
    ) as writer:
        plan.schema.provenance["counts"] = stream(opened, plan, writer, progress)
        return writer.finish()
