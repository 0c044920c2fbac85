"""What the caller asks of an ingest, and what it means for a given source."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np

from dgmmis.errors import InvalidSetting, UnknownColumn
from dgmmis.ingestion.derived_features import Feature, choose_features, parse_derivations
from dgmmis.ingestion.error_columns import parse_correlation_template, parse_errors
from dgmmis.ingestion.expressions import Expression, parse_expression
from dgmmis.ingestion.noise_plan import NoisePlan, plan_noise
from dgmmis.ingestion.unit_factors import Units
from dgmmis.readers.array_sources import MatrixSource
from dgmmis.readers.source import Source, require_columns
from dgmmis.store.schema import NoiseForm, Schema
from dgmmis.store.writer import ChunkOrder

__all__ = ["MissingError", "Options", "Plan", "make_plan"]

MissingError = Literal["quarantine", "missing"]

WHERE_EXAMPLE = '"(parallax > 0) & (ruwe < 1.4)"'


@dataclass(frozen=True)
class Options:
    """What the caller asks for; see `ingest` for the meaning of each."""

    features: tuple[str, ...]
    error: tuple[str, ...] = ()
    corr: str | None = None
    jitter: Mapping[str, float] = field(default_factory=dict)
    derive: tuple[str, ...] = ()
    id: str | None = None
    weights: str | None = None
    where: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    missing_error: MissingError = "quarantine"
    order: ChunkOrder = "chunk"

    def __post_init__(self) -> None:
        if not isinstance(self.missing_error, str) or self.missing_error not in ("quarantine", "missing"):
            raise InvalidSetting(
                f"missing_error is '{self.missing_error}'; expected 'quarantine' or 'missing'."
            )
        if self.corr is not None and not self.error:
            raise InvalidSetting(
                f"corr '{self.corr}' needs errors; give error as well, for instance '{{}}_error'."
            )
        unknown = [name for name in self.jitter if name not in self.features]
        if unknown:
            raise UnknownColumn(
                f"jitter is given for '{unknown[0]}', which is no feature. Name one of the features: "
                f"{', '.join(self.features)}.",
                column=unknown[0],
            )
        for name, value in self.jitter.items():
            if not (math.isfinite(value) and value >= 0):
                raise InvalidSetting(
                    f"jitter of '{name}' is {value}: give a standard deviation, finite and >= 0."
                )

    def as_json(self) -> dict[str, object]:
        """Plain Python form, for the provenance."""
        return {
            item.name: dict(value) if isinstance(value, Mapping) else value
            for item in dataclasses.fields(self)
            if (value := getattr(self, item.name))
        }


@dataclass(frozen=True)
class Plan:
    """How rows of one source become stored rows.

    Attributes
    ----------
    features : tuple of Feature
    noise : NoisePlan or None
        None: there is none, or the source brings it along.
    where : Expression or None
    id, weights : str or None
        Columns of the source.
    treat_as_missing : bool
        Whether a feature without a usable error counts as not observed.
    columns : tuple of str
        All columns to read.
    schema : Schema
    """

    features: tuple[Feature, ...]
    noise: NoisePlan | None
    where: Expression | None
    id: str | None
    weights: str | None
    treat_as_missing: bool
    columns: tuple[str, ...]
    schema: Schema


def make_plan(source: Source, options: Options, provenance: dict[str, object]) -> Plan:
    """Resolve every name, number and unit before anything is read or written.

    Parameters
    ----------
    source : Source
    options : Options
    provenance : dict
        Becomes the schema's, with what had to be assumed under "notes".

    Raises
    ------
    UnknownColumn, UnitMismatch, InvalidSetting, InvalidData
    """
    if isinstance(source, MatrixSource):
        options = _for_matrix(source, options)
    features = _features(source, options)
    where = _condition(source, options)
    units = _units(source, options, features)
    noise = _noise(source, options, features, units)
    schema = Schema(
        features=options.features,
        units=tuple(units.of_feature(feature) for feature in features),
        value_dtype=_value_dtype(source, features),
        jitter=tuple(float(options.jitter.get(n, 0.0)) for n in options.features) if options.jitter else (),
        has_weights=options.weights is not None,
        id_kind="row" if options.id is None else source.id_kind(options.id),
        provenance={**provenance, "notes": units.notes},
        **_noise_fields(source, noise),
    )
    return Plan(
        features=features,
        noise=noise,
        where=where,
        id=options.id,
        weights=options.weights,
        treat_as_missing=options.missing_error == "missing",
        columns=_columns_to_read(source, options, features, noise, where),
        schema=schema,
    )


def _features(source: Source, options: Options) -> tuple[Feature, ...]:
    derived = parse_derivations(options.derive, source.columns)
    features = choose_features(options.features, derived)
    for feature in features:
        require_columns(source.name, source.columns, feature.columns)
    beside = [name for name in (options.weights, options.id) if name is not None]
    require_columns(source.name, source.columns, beside)
    return features


def _condition(source: Source, options: Options) -> Expression | None:
    """Parse the condition and try it on one row, so that it is refused before anything is written."""
    if options.where is None:
        return None
    where = parse_expression(options.where, "where", WHERE_EXAMPLE)
    require_columns(source.name, source.columns, where.columns)
    where.keeps({name: np.ones(1, source.number_type(name)) for name in where.columns})
    return where


def _columns_to_read(
    source: Source,
    options: Options,
    features: Sequence[Feature],
    noise: NoisePlan | None,
    where: Expression | None,
) -> tuple[str, ...]:
    """List all columns that rows are made of, each once; the id can be nothing measured."""
    measured = [column for feature in features for column in feature.columns]
    measured += noise.columns if noise else ()
    measured += [options.weights] if options.weights is not None else []
    if options.id in measured:
        raise InvalidSetting(
            f"column '{options.id}' of {source.name} is the id; it cannot be a feature, an error or the "
            "weights as well. Name another."
        )
    tested = where.columns if where else ()
    return tuple(dict.fromkeys((*measured, *tested, *([options.id] if options.id is not None else ()))))


def _for_matrix(source: MatrixSource, options: Options) -> Options:
    """Complete the settings for a matrix, whose noise, weights and ids lie beside it."""
    if options.derive:
        raise InvalidSetting("derive needs a table with named columns; the source is a matrix of values.")
    if options.error and source.has_noise:
        raise InvalidSetting(
            "the source brings its noise along; leave error and corr away, or leave out the noise."
        )
    return dataclasses.replace(
        options,
        weights=options.weights or ("weights" if "weights" in source.columns else None),
        id=options.id or ("row_id" if "row_id" in source.columns else None),
    )


def _units(source: Source, options: Options, features: Sequence[Feature]) -> Units:
    derived = [feature.name for feature in features if feature.is_derived]
    require_columns(
        source.name, (*source.columns, *derived), tuple(options.units), " A unit was declared for it."
    )
    return Units(source.name, source.units, options.units)


def _noise(source: Source, options: Options, features: Sequence[Feature], units: Units) -> NoisePlan | None:
    if not options.error:
        return None
    template = None if options.corr is None else parse_correlation_template(options.corr)
    return plan_noise(features, parse_errors(options.error), template, source, units)


def _noise_fields(source: Source, noise: NoisePlan | None) -> dict[str, Any]:
    """Fields of the schema that say how noise is stored."""
    if noise is None:
        form = cast(NoiseForm, source.noise_form) if isinstance(source, MatrixSource) else "none"
        shared = source.shared_noise if isinstance(source, MatrixSource) else None
        return {"noise_form": form, "shared_noise": None if shared is None else _as_tuples(shared)}
    return {
        "noise_form": noise.form,
        "has_correlations": noise.form == "errors" and bool(noise.correlations),
        "shared_noise": noise.shared() if noise.form == "shared" else None,
        "noise_dtype": _noise_dtype(source, noise),
    }


def _as_tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(entry) for entry in row) for row in matrix)


def _value_dtype(source: Source, features: Sequence[Feature]) -> str:
    types = {source.number_type(column) for feature in features for column in feature.columns}
    narrow = types == {np.dtype(np.float32)} and not any(feature.is_derived for feature in features)
    return "<f4" if narrow else "<f8"


def _noise_dtype(source: Source, noise: NoisePlan) -> str:
    """Single precision if that loses nothing."""
    types = {source.number_type(column) for column in noise.columns}
    numbers = [quantity.number for quantity in noise.quantities]
    exact = all(float(np.float32(number)) == number for number in numbers)
    plain = all(quantity.column is None or quantity.number == 1 for quantity in noise.quantities)
    return "<f4" if types == {np.dtype(np.float32)} and exact and plain and noise.is_direct else "<f8"
