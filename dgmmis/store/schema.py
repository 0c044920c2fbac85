"""What a catalogue's columns mean, and a batch of its rows in stored form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.noise import Noise, NoiseKind
from dgmmis.packed import packed_size
from dgmmis.store.noise_columns import add_to_diagonal, covariances_of_errors, squared

__all__ = ["TEXT_WIDTH", "IdKind", "NoiseForm", "Schema", "StoredRows"]

NoiseForm = Literal["none", "shared", "errors", "variances", "covariances"]
IdKind = Literal["row", "integer", "text"]

TEXT_WIDTH = 64
"""Bytes stored for a text id, padded with zeros: the same for every batch, so that bytes on disk do not
depend on how the source was cut into batches."""


@dataclass(frozen=True)
class Schema:
    """What the stored columns of a catalogue mean.

    Attributes
    ----------
    features : tuple of str
    units : tuple of str
        One per feature, "" where unknown.
    noise_form : {"none", "shared", "errors", "variances", "covariances"}
        How noise is stored: standard errors (N, D), variances (N, D), packed covariances (N, P), one
        covariance for all rows, or not at all.
    has_correlations : bool
        Only with "errors": coefficients (N, D (D - 1) / 2) of the pairs (1,0), (2,0), (2,1), ...
    shared_noise : (D, D) nested tuples, optional
        The covariance of "shared".
    jitter : (D,) tuple
        Standard deviations added in quadrature to every row's noise; () adds nothing.
    has_weights : bool
    id_kind : {"row", "integer", "text"}
        "row": a row's id is its number in the source.
    value_dtype, noise_dtype : {"<f4", "<f8"}
        Precision on disk: that of the source.
    provenance : dict
        Where the rows came from, JSON-able; it does not enter the fingerprint.
    """

    features: tuple[str, ...]
    units: tuple[str, ...]
    noise_form: NoiseForm
    has_correlations: bool = False
    shared_noise: tuple[tuple[float, ...], ...] | None = None
    jitter: tuple[float, ...] = ()
    has_weights: bool = False
    id_kind: IdKind = "row"
    value_dtype: str = "<f8"
    noise_dtype: str = "<f8"
    provenance: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_features()
        self._check_noise()
        _require_choice("id_kind", self.id_kind, get_args(IdKind))
        for name in ("value_dtype", "noise_dtype"):
            _require_choice(name, getattr(self, name), ("<f4", "<f8"))

    @property
    def n_features(self) -> int:
        """D."""
        return len(self.features)

    @property
    def noise_kind(self) -> NoiseKind:
        """Kind of the noise that `noise` gives."""
        if self.noise_form == "none":
            return "shared" if self.jitter else "none"
        if self.noise_form == "shared":
            return "shared"
        return "full" if self.noise_form == "covariances" or self.has_correlations else "diagonal"

    @property
    def noise_widths(self) -> dict[str, int]:
        """Stored noise columns and how many numbers a row has in each."""
        n_features = self.n_features
        if self.noise_form in ("none", "shared"):
            return {}
        if self.noise_form == "covariances":
            return {"covariances": packed_size(n_features)}
        widths: dict[str, int] = {self.noise_form: n_features}
        if self.has_correlations:
            widths["correlations"] = packed_size(n_features) - n_features
        return widths

    def noise(self, columns: Mapping[str, NDArray[Any]]) -> Noise:
        """Noise of some rows from their stored noise columns, in float64, jitter included."""
        stored = self.noise_as_stored(columns)
        if not self.jitter:
            return stored
        added = np.square(self.jitter)
        if stored.array is None:
            return Noise.shared(np.diag(added))
        if stored.kind == "shared":
            return Noise.shared(stored.array + np.diag(added))
        if stored.kind == "diagonal":
            return Noise.diagonal(stored.array + added)
        return Noise.packed(add_to_diagonal(stored.array, added))

    def noise_as_stored(self, columns: Mapping[str, NDArray[Any]]) -> Noise:
        """Noise of some rows without the jitter, which would hide a negative variance."""
        if self.noise_form == "none":
            return Noise.none()
        if self.noise_form == "shared":
            return Noise.shared(np.asarray(self.shared_noise))
        stored = columns[self.noise_form]
        if self.has_correlations:
            return Noise.adopted("full", covariances_of_errors(stored, columns["correlations"]))
        if self.noise_form == "errors":
            return Noise.adopted("diagonal", squared(stored))
        kind: NoiseKind = "full" if self.noise_form == "covariances" else "diagonal"
        return Noise.adopted(kind, np.asarray(stored, dtype=np.float64))

    def as_json(self) -> dict[str, Any]:
        """Plain Python form, provenance included; `from_json` undoes it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Schema:
        """Build a schema from its plain Python form."""
        shared = content["shared_noise"]
        changed: dict[str, Any] = {
            "features": tuple(content["features"]),
            "units": tuple(content["units"]),
            "jitter": tuple(content["jitter"]),
            "shared_noise": None if shared is None else tuple(tuple(row) for row in shared),
        }
        return cls(**{**content, **changed})

    def _check_features(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise InvalidSetting(
                f"features are {list(self.features)}: at least one is needed and each name only once."
            )
        if len(self.units) != len(self.features):
            raise InvalidSetting(
                f"{len(self.units)} units for {len(self.features)} features; give one each, '' if unknown."
            )
        if len(self.jitter) not in (0, len(self.features)):
            raise InvalidSetting(f"jitter has {len(self.jitter)} values for {len(self.features)} features.")
        bad = [j for j in self.jitter if not 0 <= j < np.inf]
        if bad:
            raise InvalidSetting(f"jitter {bad[0]} is not a standard deviation: give a finite value >= 0.")

    def _check_noise(self) -> None:
        _require_choice("noise_form", self.noise_form, get_args(NoiseForm))
        if self.has_correlations and (self.noise_form != "errors" or self.n_features < 2):
            raise InvalidSetting(
                f"correlations need errors of at least two features; noise_form is '{self.noise_form}' "
                f"and there are {self.n_features} features."
            )
        if (self.shared_noise is not None) != (self.noise_form == "shared"):
            raise InvalidSetting("shared_noise is to be given with noise_form 'shared', and only with it.")
        if self.shared_noise is not None:
            shape = np.shape(self.shared_noise)
            if shape != (self.n_features, self.n_features):
                raise InvalidSetting(f"shared_noise has shape {shape} for {self.n_features} features.")
            try:
                Noise.shared(np.asarray(self.shared_noise))
            except InvalidData as error:
                raise InvalidSetting(f"shared_noise is not a covariance: {error}") from error


@dataclass(frozen=True)
class StoredRows:
    """A batch of rows in stored form.

    Attributes
    ----------
    source_rows : (n,) int64
        Their numbers in the source, from 0.
    ids : (n,) int64, or (n, L <= 64) uint8
        Integers, or UTF-8 padded with zeros.
    values : (n, D)
        NaN means not observed.
    noise : dict of arrays
        As `Schema.noise_widths` names them.
    weights : (n,), optional
    """

    source_rows: NDArray[np.int64]
    ids: NDArray[Any]
    values: NDArray[Any]
    noise: dict[str, NDArray[Any]]
    weights: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.source_rows)

    def take(self, which: slice | NDArray[Any]) -> StoredRows:
        """Pick some of these rows."""
        return StoredRows(
            self.source_rows[which],
            self.ids[which],
            self.values[which],
            {name: column[which] for name, column in self.noise.items()},
            None if self.weights is None else self.weights[which],
        )

    def copied(self) -> StoredRows:
        """Copy these rows, so that the batch they are a view of can be forgotten or written to."""
        return self.take(np.arange(len(self)))

    @classmethod
    def joined(cls, parts: Sequence[StoredRows]) -> StoredRows:
        """Join the rows of several batches, one after the other."""
        first = parts[0]
        if len(parts) == 1:
            return first
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            np.concatenate([part.source_rows for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.values for part in parts]),
            {name: np.concatenate([part.noise[name] for part in parts]) for name in first.noise},
            np.concatenate(weights) if weights else None,
        )

    def conformed(self, schema: Schema) -> StoredRows:
        """Return these rows with the shapes and number types of `schema`.

        Raises
        ------
        InvalidData
            If a column is missing or has another shape; the column is named.
        """
        n_rows = len(self)
        if set(self.noise) != set(schema.noise_widths) or (self.weights is not None) != schema.has_weights:
            given, wanted = _with(self.weights is not None), _with(schema.has_weights)
            raise InvalidData(
                f"the batch has noise columns {sorted(self.noise)} and {given} weights; "
                f"the schema has {sorted(schema.noise_widths)} and {wanted} weights."
            )
        _require_shape("values", self.values, (n_rows, schema.n_features))
        for name, width in schema.noise_widths.items():
            _require_shape(name, self.noise[name], (n_rows, width))
        with np.errstate(over="ignore"):  # a value too large for float32 turns infinite and is quarantined
            return StoredRows(
                np.asarray(self.source_rows, dtype=np.int64),
                self._conformed_ids(schema),
                np.asarray(self.values, dtype=schema.value_dtype),
                {name: np.asarray(self.noise[name], schema.noise_dtype) for name in schema.noise_widths},
                None if self.weights is None else np.asarray(self.weights, dtype=np.float64),
            )

    def _conformed_ids(self, schema: Schema) -> NDArray[Any]:
        if schema.id_kind != "text":
            _require_shape("ids", self.ids, (len(self),))
            return np.asarray(self.ids, dtype=np.int64)
        width = self.ids.shape[1] if self.ids.ndim == 2 else -1
        if not 0 <= width <= TEXT_WIDTH or self.ids.dtype != np.uint8:
            raise InvalidData(
                f"text ids have shape {self.ids.shape} and type {self.ids.dtype}; expected (n, L) uint8 with "
                f"L <= {TEXT_WIDTH}.",
                array="ids",
            )
        padded = np.zeros((len(self), TEXT_WIDTH), np.uint8)
        padded[:, :width] = self.ids
        return padded


def _require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InvalidData(f"{name} has shape {array.shape}; expected {shape}.", array=name)


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidSetting(f"{name} is '{value}'; expected one of {', '.join(choices)}.")


def _with(present: bool) -> str:
    return "with" if present else "no"
