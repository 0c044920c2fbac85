"""Append: rows that came later go into a catalogue as the first ones did."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import CatalogLocked, InvalidSetting
from dgmmis.ingestion.ingest_plan import Options, Plan, make_plan
from dgmmis.ingestion.matching import catalog_units, require_same_rows
from dgmmis.ingestion.option_types import as_texts_by_name, require_count, require_progress
from dgmmis.ingestion.streaming import open_rows, provenance_of, semidefinite_tolerance, stream
from dgmmis.location import Location
from dgmmis.noise import NoiseLike
from dgmmis.readers import Source
from dgmmis.store.appender import CatalogAppender
from dgmmis.store.catalog import Catalog, open_catalog

__all__ = ["append"]


def append(
    catalog: Catalog | str | Location,
    source: str | Path | np.ndarray | Mapping[str, Any] | Any,
    *,
    units: Mapping[str, str] | None = None,
    noise: NoiseLike = None,
    max_quarantined: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Catalog:
    """Add the rows of another source to a catalogue, by the settings that it was ingested with.

    The new rows become new chunks.  No file of the catalogue is changed but its manifest, in one step when all
    is written: whoever reads it meanwhile goes on with the rows that were there.

    Parameters
    ----------
    catalog : Catalog or path
        What `ingest` made.
    source : path, array or mapping of arrays
        As `ingest` takes it, with the columns that the first one had.
    units : mapping of str to str, optional
        Units of columns, where this source states none or a wrong one.
    noise : Noise or array, optional
        Only for a matrix: *variances or covariances*, as in `Noise.of`.
    max_quarantined : int, optional
        Rows of this source that may be set aside before this is an error.
    progress : callable, optional
        Called with the rows read and all rows (None if unknown) after each batch.

    Returns
    -------
    Catalog
        With the new rows behind the old ones.  Rows without an id of their own are numbered on.

    Raises
    ------
    InvalidSetting
        If the catalogue was not made by `ingest`.
    InvalidData
        If the source cannot be read, or its rows are not like those of the catalogue; subclasses name what is
        wrong: `UnknownColumn`, `UnitMismatch`, `EmptySource`, `TooManyQuarantined`.
    NotACatalog, CorruptCatalog
    CatalogLocked
        If another process appends to it.
    """
    require_count(max_quarantined, "max_quarantined", 0)
    require_progress(progress)
    declared = as_texts_by_name(units, "units")
    before = open_catalog(catalog.path if isinstance(catalog, Catalog) else catalog)
    options = _stored_options(before)
    opened = open_rows(source, options, noise)
    plan = _plan(before, opened, source, options, declared)
    with CatalogAppender(
        before.path,
        max_quarantined=max_quarantined,
        quarantine_tolerance=semidefinite_tolerance(plan.schema),
    ) as appender:
        if appender.catalog.fingerprints[0] != before.fingerprints[0]:
            raise CatalogLocked(f"{before.path} was replaced at this moment. Append again.")
        counts = stream(opened, plan, appender, progress)
        origin = {**plan.schema.provenance, "counts": counts}
        return appender.finish(origin, source_rows=int(str(counts["read"])))


def _stored_options(catalog: Catalog) -> Options:
    """Read the settings of the ingest from the catalogue's provenance."""
    stored = catalog.schema.provenance.get("options")
    try:
        if not isinstance(stored, dict):
            raise TypeError("no options are recorded")
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        options = Options(**known)
        if options.features != catalog.features:
            raise ValueError(f"they name the features {options.features}")
    except (TypeError, ValueError) as error:
        raise InvalidSetting(
            f"{catalog.path} does not keep the settings of an ingest ({error}). Ingest all rows into a new "
            "catalogue, or append stored rows with dgmmis.store.CatalogAppender."
        ) from error
    return options


def _plan(
    catalog: Catalog, opened: Source, source: object, options: Options, units: Mapping[str, str] | None
) -> Plan:
    """Resolve all names and units for the new source, and require that its rows are like the old ones."""
    declared = {**options.units, **(units or {})}
    assumed, notes = catalog_units(catalog.schema, opened, options, declared)
    asked = dataclasses.replace(options, units={**assumed, **declared})
    plan = make_plan(opened, asked, {})
    require_same_rows(plan.schema, catalog.schema, opened.name)
    origin = provenance_of(source, options)
    del origin["options"]
    origin["notes"] = [*notes, *_notes(plan)]
    if units:
        origin["units"] = dict(units)
    return dataclasses.replace(plan, schema=dataclasses.replace(plan.schema, provenance=origin))


def _notes(plan: Plan) -> list[str]:
    notes = plan.schema.provenance["notes"]
    assert isinstance(notes, list)
    return notes
