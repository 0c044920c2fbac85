"""The rows of a source, from its reader through a plan into a catalogue."""

from __future__ import annotations

import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from dgmmis.errors import EmptySource, InvalidSetting
from dgmmis.ingestion.ingest_plan import Options, Plan
from dgmmis.ingestion.row_builder import RowBuilder
from dgmmis.noise import NoiseLike
from dgmmis.packed import SEMIDEFINITE_TOLERANCE, packed_size
from dgmmis.readers import Source, is_matrix, is_table, open_arrays, open_source
from dgmmis.store.schema import Schema, StoredRows

__all__ = ["open_rows", "provenance_of", "semidefinite_tolerance", "stream"]

BATCH_BYTES = 8 << 20
"""Decoded columns held per batch; a few batches are alive at once."""

ROUNDING_OF_FLOAT32 = 1e-6
"""How far below zero rounding to float32 can push an eigenvalue of a correlation matrix."""


class TakesRows(Protocol):
    """Whoever stores batches of rows."""

    def append(self, batch: StoredRows) -> None:
        """Take a batch."""


def open_rows(source: object, options: Options, noise: NoiseLike) -> Source:
    """Open a file, a folder or arrays as `ingest` takes them.

    Raises
    ------
    InvalidSetting
        If it is none of these, or `noise` does not belong to it.
    InvalidData
        If it cannot be read.
    """
    if is_table(source):
        if noise is not None and not is_matrix(source):
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
            f"source is a {type(source).__name__}; expected a path, an array, a mapping of arrays, a table "
            "or a data frame."
        )
    derived = {item.partition("=")[0].strip() for item in options.derive}
    wanted = [name for name in options.features if name not in derived]
    wanted += [name for name in (options.id, options.weights) if name is not None]
    return open_source(source, features=options.features, wanted=wanted)


def stream(
    opened: Source, plan: Plan, writer: TakesRows, progress: Callable[[int, int | None], None] | None
) -> dict[str, object]:
    """Give all rows of a source to a writer, and return what was counted on the way.

    Raises
    ------
    EmptySource
        If there is no row, or none meets the condition.
    InvalidData
        If a value cannot be read.
    """
    builder = RowBuilder(plan)
    for batch in opened.batches(plan.columns, _batch_rows(plan), id=plan.id):
        writer.append(builder.build(batch))
        if progress is not None:
            progress(builder.n_read, opened.n_rows)
    _require_rows(opened, builder, plan)
    return _counts(builder)


def semidefinite_tolerance(schema: Schema) -> float:
    """How far below zero an eigenvalue of a row's noise correlations counts as zero."""
    single = schema.has_correlations and schema.noise_dtype == "<f4"
    return ROUNDING_OF_FLOAT32 if single else SEMIDEFINITE_TOLERANCE


def provenance_of(source: object, options: Options) -> dict[str, object]:
    """Say where rows came from, what was asked for, when and with which versions."""
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


def _require_rows(source: Source, builder: RowBuilder, plan: Plan) -> None:
    if builder.n_read == 0:
        raise EmptySource(f"{source.name} has no rows. Give a source with at least one.", array=source.name)
    if builder.n_kept == 0:
        condition = "" if plan.where is None else plan.where.text
        raise EmptySource(
            f"none of the {builder.n_read} rows of {source.name} meets the condition '{condition}'.",
            array=source.name,
        )


def _counts(builder: RowBuilder) -> dict[str, object]:
    counts: dict[str, object] = {"read": builder.n_read, "excluded_by_where": builder.n_read - builder.n_kept}
    lost = {name: count for name, count in builder.n_without_error.items() if count}
    if lost:
        counts["set_missing_for_lack_of_error"] = lost
    return counts
