"""Whether the rows of a new source are like those of a catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from dgmmis.errors import InvalidData, UnitMismatch
from dgmmis.ingestion.derived_features import parse_derivations
from dgmmis.ingestion.ingest_plan import Options
from dgmmis.ingestion.unit_factors import same_unit
from dgmmis.readers import Source
from dgmmis.store.schema import Schema

__all__ = ["catalog_units", "require_same_rows"]


def catalog_units(
    schema: Schema, source: Source, options: Options, declared: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Take the catalogue's units for features whose unit the new source does not state.

    Returns
    -------
    units : dict of str to str
        By feature.
    notes : list of str
        What was assumed, in words.
    """
    derived = parse_derivations(options.derive, source.columns)
    units, notes = {}, []
    for name, unit in zip(schema.features, schema.units, strict=True):
        columns = (name, *derived[name].columns) if name in derived else (name,)
        stated = any(declared.get(column) or source.units.get(column) for column in columns)
        if unit and not stated:
            units[name] = unit
            notes.append(f"unit of '{name}' unknown, taken as {unit}, as in the catalogue")
        elif stated and not unit:
            notes.append(f"unit of '{name}' unknown in the catalogue, taken as that of the source")
    return units, notes


def require_same_rows(new: Schema, schema: Schema, source_name: str) -> None:
    """Refuse rows whose columns do not mean what the catalogue's mean.

    Raises
    ------
    UnitMismatch
        If a feature has another unit.
    InvalidData
        If noise, ids, weights or precision are of another kind.
    """
    for name, unit, stored in zip(new.features, new.units, schema.units, strict=True):
        if unit and stored and not same_unit(unit, stored):
            raise UnitMismatch(
                f"feature '{name}' is in {unit} in {source_name} and in {stored} in the catalogue. Convert the column, "
                "or, if its unit is wrong there, declare the right one: "
                f"--unit {name}={stored} (units={{...}} in Python).",
                array=source_name,
                column=name,
                value=unit,
            )
    _require_same_noise(new, schema, source_name)
    if new.has_weights != schema.has_weights:
        _refuse(source_name, "weights", _has(new.has_weights), _has(schema.has_weights))
    if new.id_kind != schema.id_kind:
        _refuse(source_name, "the rows' ids", _ids(new.id_kind), _ids(schema.id_kind))
    for what, width, stored in (
        ("values", new.value_dtype, schema.value_dtype),
        ("noise", new.noise_dtype, schema.noise_dtype),
    ):
        if (width, stored) == ("<f8", "<f4") and (what == "values" or schema.noise_widths):
            raise InvalidData(
                f"the {what} of {source_name} are in double precision, and the catalogue keeps single: they would be "
                "rounded. Store the source in single precision (float32), or ingest all rows into a new catalogue.",
                array=source_name,
            )


def _require_same_noise(new: Schema, schema: Schema, source_name: str) -> None:
    ours, theirs = _noise(new), _noise(schema)
    if ours != theirs:
        _refuse(source_name, "noise", ours, theirs)
    if new.shared_noise != schema.shared_noise:
        _refuse(source_name, "the shared covariance", str(new.shared_noise), str(schema.shared_noise))


def _refuse(source_name: str, what: str, here: str, there: str) -> None:
    raise InvalidData(
        f"{what} of {source_name}: {here}; of the catalogue: {there}. Rows can only be appended that are like those "
        "that are there: make the source so, or ingest all rows into a new catalogue.",
        array=source_name,
        value=here,
    )


def _noise(schema: Schema) -> str:
    return f"{schema.noise_form} with correlations" if schema.has_correlations else schema.noise_form


def _has(present: bool) -> str:
    return "given" if present else "none"


def _ids(kind: str) -> str:
    return "the rows' numbers" if kind == "row" else kind
