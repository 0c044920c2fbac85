"""From what was said about errors to the noise of the features, derived ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting, UnknownColumn
from dgmmis.ingestion.derived_features import Feature
from dgmmis.ingestion.error_columns import CorrelationTemplate, ErrorRules
from dgmmis.ingestion.unit_factors import Units
from dgmmis.packed import Array, lower_indices, packed_size
from dgmmis.readers.source import Source
from dgmmis.store.schema import NoiseForm

__all__ = ["NoisePlan", "Quantity", "plan_noise"]


@dataclass(frozen=True)
class Quantity:
    """Something measured, and its standard error.

    Attributes
    ----------
    name : str
        A column of the source; or a derived feature whose error was given.
    column : str or None
        Column with the error; None if it is the constant.
    number : float
        The constant error; or the factor that brings the column to the quantity's unit.
    """

    name: str
    column: str | None
    number: float

    def errors(self, columns: Mapping[str, NDArray[Any]], n_rows: int) -> NDArray[Any]:
        """Give the standard errors (n,)."""
        if self.column is None:
            return np.broadcast_to(np.float64(self.number), n_rows)
        errors = columns[self.column]
        return errors if self.number == 1 else errors * np.float64(self.number)


@dataclass(frozen=True)
class NoisePlan:
    """How the noise of D features is made of Q measured quantities.

    Attributes
    ----------
    quantities : tuple of Q Quantity
    correlations : dict of (int, int) to str
        Columns with the correlation of quantities i > j.
    loadings : tuple of D dicts of int to float
        The rows of the Jacobian: coefficient by quantity, zeros left out.
    """

    quantities: tuple[Quantity, ...]
    correlations: dict[tuple[int, int], str]
    loadings: tuple[dict[int, float], ...]

    @property
    def form(self) -> NoiseForm:
        """How the noise is stored."""
        if any(quantity.column for quantity in self.quantities) or self.correlations:
            return "errors" if self.is_direct else "covariances"
        return "shared" if any(quantity.number for quantity in self.quantities) else "none"

    @property
    def is_direct(self) -> bool:
        """Whether each feature is a quantity of its own, so that no Jacobian is needed."""
        return all(loading == {feature: 1.0} for feature, loading in enumerate(self.loadings))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that are needed."""
        errors = [quantity.column for quantity in self.quantities if quantity.column]
        return (*errors, *self.correlations.values())

    def shared(self) -> tuple[tuple[float, ...], ...]:
        """Covariance (D, D) when all errors are constants."""
        jacobian = np.zeros((len(self.loadings), len(self.quantities)))
        for feature, loading in enumerate(self.loadings):
            jacobian[feature, list(loading)] = list(loading.values())
        variances = np.square([quantity.number for quantity in self.quantities])
        return tuple(tuple(float(entry) for entry in row) for row in (jacobian * variances) @ jacobian.T)

    def stored(
        self, columns: Mapping[str, NDArray[Any]], n_rows: int, dtype: np.dtype[Any]
    ) -> dict[str, NDArray[Any]]:
        """Noise of some rows in stored form, from columns (n,)."""
        if self.form == "errors":
            return self._as_errors(columns, n_rows, dtype)
        if self.form == "covariances":
            return {"covariances": self._through_jacobian(columns, n_rows)}
        return {}

    def unusable(self, columns: Mapping[str, NDArray[Any]], n_rows: int) -> NDArray[np.bool_]:
        """Tell which features (n, D) have no usable error: missing, infinite or negative."""
        bad = np.zeros((n_rows, len(self.loadings)), bool)
        for index, quantity in enumerate(self.quantities):
            if quantity.column is None:
                continue
            errors = columns[quantity.column]
            unusable = ~(np.isfinite(errors) & (errors >= 0))
            if unusable.any():
                bad[:, [f for f, loading in enumerate(self.loadings) if index in loading]] |= unusable[
                    :, None
                ]
        return bad

    def _as_errors(
        self, columns: Mapping[str, NDArray[Any]], n_rows: int, dtype: np.dtype[Any]
    ) -> dict[str, NDArray[Any]]:
        n_features = len(self.quantities)
        errors = np.empty((n_rows, n_features), dtype)
        for index, quantity in enumerate(self.quantities):
            errors[:, index] = quantity.errors(columns, n_rows)
        if not self.correlations:
            return {"errors": errors}
        correlations = np.zeros((n_rows, packed_size(n_features) - n_features), dtype)
        for (i, j), column in self.correlations.items():
            correlations[:, i * (i - 1) // 2 + j] = columns[column]
        return {"errors": errors, "correlations": correlations}

    def _through_jacobian(self, columns: Mapping[str, NDArray[Any]], n_rows: int) -> Array:
        """J S J^T packed (n, P), entry by entry: a bad error spoils only the features made of it."""
        errors = [_usable(quantity.errors(columns, n_rows)) for quantity in self.quantities]
        packed = np.zeros((n_rows, packed_size(len(self.loadings))))
        for position, (a, b) in enumerate(zip(*lower_indices(len(self.loadings)), strict=True)):
            for (q, r), coefficient in self._terms(int(a), int(b)).items():
                covariance = coefficient * errors[q] * errors[r]
                packed[:, position] += covariance if q == r else covariance * columns[self.correlations[q, r]]
        return packed

    def _terms(self, a: int, b: int) -> dict[tuple[int, int], float]:
        """Coefficients of the covariances of quantities q >= r in the covariance of features a and b."""
        terms: dict[tuple[int, int], float] = {}
        for q, first in self.loadings[a].items():
            for r, second in self.loadings[b].items():
                pair = (max(q, r), min(q, r))
                if q == r or pair in self.correlations:
                    terms[pair] = terms.get(pair, 0.0) + first * second
        return terms


def _usable(errors: NDArray[Any]) -> Array:
    """Turn negative and infinite errors into NaN: sums of squares would hide them from the check of rows."""
    errors = errors.astype(np.float64, copy=False)
    return np.where(np.isfinite(errors) & (errors >= 0), errors, np.nan)


def plan_noise(
    features: Sequence[Feature],
    rules: ErrorRules,
    template: CorrelationTemplate | None,
    source: Source,
    units: Units,
) -> NoisePlan:
    """Find the columns of all errors and correlations.

    Correlations that are taken as 0 are noted in `units.notes`.

    Raises
    ------
    UnknownColumn
        If a column is lacking, or an error is given for something unknown.
    InvalidSetting
        If errors are given for some features only.
    UnitMismatch
        If an error's unit cannot be converted to that of its feature.
    """
    names, loadings = _measured(features, rules)
    _require_known(rules, names, source)
    feature_units = {f.name: units.of_feature(f) for f in features}
    quantities = []
    for name in names:
        found = rules.find(name, source.name, source.columns)
        if isinstance(found, str):
            factor = units.factor(found, name, feature_units.get(name, units.of(name)))
            quantities.append(Quantity(name, found, factor))
        else:
            quantities.append(Quantity(name, None, found))
    derived = {feature.name for feature in features if feature.is_derived}
    correlations = _correlations([n for n in names if n not in derived], names, template, source, units)
    return NoisePlan(tuple(quantities), correlations, tuple(loadings))


def _measured(features: Sequence[Feature], rules: ErrorRules) -> tuple[list[str], list[dict[int, float]]]:
    """Names of the measured quantities, and what each feature is made of them."""
    names: dict[str, int] = {}
    loadings = []
    for feature in features:
        of_its_own = not feature.is_derived or feature.name in rules.explicit
        parts = (
            {feature.name: 1.0}
            if of_its_own
            else dict(zip(feature.columns, feature.coefficients, strict=True))
        )
        loadings.append({names.setdefault(name, len(names)): value for name, value in parts.items()})
    return list(names), loadings


def _require_known(rules: ErrorRules, names: Sequence[str], source: Source) -> None:
    for name in rules.explicit:
        if name not in names:
            raise UnknownColumn(
                f"an error is given for '{name}', which is neither a feature nor a column that a derived "
                f"feature is made of. These are: {', '.join(names)}.",
                array=source.name,
                column=name,
            )


def _correlations(
    correlated: Sequence[str],
    names: Sequence[str],
    template: CorrelationTemplate | None,
    source: Source,
    units: Units,
) -> dict[tuple[int, int], str]:
    if template is None:
        return {}
    if len(correlated) < 2:
        raise InvalidSetting("corr needs at least two features with errors of their own; leave it away.")
    found, absent = template.find_all(correlated, source.name, source.columns)
    if absent:
        units.notes.append(f"correlations taken as 0: {', '.join(absent)}")
    places = [names.index(name) for name in correlated]
    return {(places[i], places[j]): column for (i, j), column in found.items()}
