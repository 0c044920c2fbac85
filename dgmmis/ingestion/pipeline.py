"""Ingest: a source goes in once and becomes a catalogue."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import EmptySource, InvalidSetting
from dgmmis.ingestion.ingest_plan import MissingError, Options, Plan, make_plan
from dgmmis.ingestion.row_builder import RowBuilder
from dgmmis.noise import NoiseLike
from dgmmis.packed import SEMIDEFINITE_TOLERANCE, packed_size
from dgmmis.readers import Source, open_arrays, open_source
from dgmmis.store.catalog import Catalog
from dgmmis.store.schema import Schema
from dgmmis.store.writer import CatalogWriter, ChunkOrder

__all__ = ["ingest"]

BATCH_BYTES = 8 << 20
"""Decoded columns held per batch; a few batches are alive at once."""

ROUNDING_OF_FLOAT32 = 1e-6
"""How far below zero rounding to float32 can push an eigenvalue of a correlation matrix."""


def ingest(
    source: str | Path | np.ndarray | Mapping[str, Any],
    destination: str | Path,
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
    source : path, array or mapping of arrays
        FITS, Parquet (a file or a folder of files), CSV, .npy or .npz; or a matrix (N, D), a structured
        array (N,), a mapping of columns (N,).
    destination : path
        Folder of the catalogue, by custom NAME.zarr; it appears only when all is written.
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
    options = Options(
        _texts(features), _texts(error), corr, dict(jitter or {}), _texts(derive), id, weights, where,
        dict(units or {}), missing_error, order,
    )  # fmt: skip
    opened = _open(source, options, noise)
    plan = make_plan(opened, options, _provenance(source, options))
    builder = RowBuilder(plan)
    with CatalogWriter(
        Path(destination),
        plan.schema,
        chunk_rows=chunk_rows,
        order=order,
        overwrite=overwrite,
        max_quarantined=max_quarantined,
        quarantine_tolerance=_semidefinite_tolerance(plan.schema),
    ) as writer:
        for batch in opened.batches(plan.columns, _batch_rows(plan), id=plan.id):
            writer.append(builder.build(batch))
            if progress is not None:
                progress(builder.n_read, opened.n_rows)
        _require_rows(opened, builder, where)
        plan.schema.provenance["counts"] = _counts(builder)
        return writer.finish()


def _semidefinite_tolerance(schema: Schema) -> float:
    """How far below zero an eigenvalue of a row's noise correlations counts as zero."""
    single = schema.has_correlations and schema.noise_dtype == "<f4"
    return ROUNDING_OF_FLOAT32 if single else SEMIDEFINITE_TOLERANCE


def _open(source: object, options: Options, noise: NoiseLike) -> Source:
    if isinstance(source, np.ndarray | Mapping):
        if noise is not None and (isinstance(source, Mapping) or source.ndim != 2):
            raise InvalidSetting(
                "noise goes with a matrix of values; say of a table which columns hold errors."
            )
        return open_arrays(source, features=options.features, noise=noise)
    if noise is not None:
        raise InvalidSetting(
            "noise is for arrays; say of a file which columns hold errors: error=['{}_error']."
        )
    if not isinstance(source, str | Path):
        raise InvalidSetting(
            f"source is a {type(source).__name__}; expected a path, an array or a mapping of arrays."
        )
    derived = {item.partition("=")[0].strip() for item in options.derive}
    wanted = [name for name in options.features if name not in derived]
    wanted += [name for name in (options.id, options.weights) if name is not None]
    return open_source(source, features=options.features, wanted=wanted)


def _texts(items: Sequence[str]) -> tuple[str, ...]:
    """Several texts; a single one counts as one of them, not as its letters."""
    return (items,) if isinstance(items, str) else tuple(items)


def _provenance(source: object, options: Options) -> dict[str, object]:
    libraries = ("dgmmis", "numpy", "zarr")
    return {
        "source": str(source) if isinstance(source, str | Path) else f"a {type(source).__name__} in memory",
        "options": options.as_json(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in libraries},
    }


def _batch_rows(plan: Plan) -> int:
    n_features = len(plan.features)
    numbers = len(plan.columns) + n_features + packed_size(n_features)
    return max(1, min(1 << 17, BATCH_BYTES // (8 * numbers)))


def _require_rows(source: Source, builder: RowBuilder, where: str | None) -> None:
    if builder.n_read == 0:
        raise EmptySource(f"{source.name} has no rows.", array=source.name)
    if builder.n_kept == 0:
        raise EmptySource(
            f"none of the {builder.n_read} rows of {source.name} meets the condition '{where}'.",
            array=source.name,
        )


def _counts(builder: RowBuilder) -> dict[str, object]:
    counts: dict[str, object] = {"read": builder.n_read, "excluded_by_where": builder.n_read - builder.n_kept}
    lost = {name: count for name, count in builder.n_without_error.items() if count}
    if lost:
        counts["set_missing_for_lack_of_error"] = lost
    return counts
