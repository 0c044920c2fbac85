"""How well a fit's parameters, and whatever follows from them, are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dgmmis.errors import InvalidSetting
from dgmmis.model_file import write_arrays
from dgmmis.packed import Array, lower_indices
from dgmmis.population import Population
from dgmmis.spread import Derived, Errors, Function, LinearSpread, Spread

__all__ = ["METHODS", "Entry", "Method", "Uncertainty"]

Method = Literal["information", "sandwich", "bootstrap"]

METHODS: tuple[Method, ...] = ("information", "sandwich", "bootstrap")

FORMAT = "dgmmis uncertainty 1"


class Entry(NamedTuple):
    """One number of a fit.

    Attributes
    ----------
    component : int or None
        None for a background's.
    parameter : str
        "amplitude", "mean ra", "variance ra", "covariance ra,dec", or "amplitude of background 0".
    value, error : float
        The error is 0 if the number is held, infinite if the rows tell nothing of it.
    unit : str
        "" where unknown or none.
    """

    component: int | None
    parameter: str
    value: float
    error: float
    unit: str


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors of a fit, and the law behind them.

    Attributes
    ----------
    population : Population
        The fit.
    method : {"information", "sandwich", "bootstrap"}
        How they were estimated.
    errors : Errors
        Of all parameters, in their shapes.
    spread : Spread
        The law of the estimate: what `of` and `draw` use.
    n_parameters : int
        Free ones.
    n_blocks : int
        1 if all parameters were looked at together; else each component's by themselves, which makes errors of
        components that overlap too small.
    rows_used, rows : int
        Rows that were scored, and rows of the fit: a random sample, scaled, where they differ.
    condition : float
        Largest over smallest eigenvalue of the information, in coordinates in which complete and noise-free data
        would have 1; infinite if some direction is flat, NaN for the bootstrap.
    imputation_error : float
        What the imputed points of a selection add, root-mean-square in standard errors; it is not part of the
        errors.  0 without a selection.
    notes : tuple of str
        What limits the errors' meaning: floors, limits, flat directions, a fit that is not at its optimum, ...
    features, units : tuple of str
    """

    population: Population
    method: Method
    errors: Errors
    spread: Spread
    n_parameters: int
    n_blocks: int
    rows_used: int
    rows: int
    condition: float
    imputation_error: float
    notes: tuple[str, ...]
    features: tuple[str, ...]
    units: tuple[str, ...]

    @property
    def amplitudes(self) -> Array:
        """Standard errors (K,) of `population.amplitudes`; with backgrounds these are shares of the whole."""
        return self.errors.amplitudes

    @property
    def means(self) -> Array:
        """Standard errors (K, D) [the features' units]."""
        return self.errors.means

    @property
    def covariances(self) -> Array:
        """Standard errors (K, D, D) of the covariances' entries [products of the features' units]."""
        return self.errors.covariances

    @property
    def background(self) -> Array:
        """Standard errors (J,) of the backgrounds' amplitudes."""
        return self.errors.background

    @property
    def covariance(self) -> Array:
        """Covariance (p, p) of the chart's coordinates.

        Raises
        ------
        InvalidSetting
            For a bootstrap, which has replicates instead: ask `of`.
        """
        if not isinstance(self.spread, LinearSpread):
            raise InvalidSetting(
                "a bootstrap has replicates and no coordinates: ask `of` for the covariance of what you need."
            )
        return self.spread.covariance

    def of(self, function: Function) -> Derived:
        """Value, standard error and covariance of a derived quantity.

        By the delta method (central differences along the coordinates), or over the replicates of a bootstrap.

        Parameters
        ----------
        function : callable
            Population -> number or array, for instance `lambda p: p.mixture.means[1] - p.mixture.means[0]`.
        """
        return self.spread.of(function)

    def draw(self, n: int, rng: np.random.Generator | int = 0) -> tuple[Population, ...]:
        """Draw populations from the law of the estimate.

        Parameters
        ----------
        n : int
        rng : Generator or seed

        Raises
        ------
        InvalidSetting
            If the rows tell nothing of some direction.
        """
        return self.spread.draw(n, np.random.default_rng(rng))

    def table(self) -> tuple[Entry, ...]:
        """List every parameter with its value, error and unit."""
        return tuple(self._entries())

    def describe(self) -> dict[str, Any]:
        """Say the same as JSON can hold it, but for the law itself."""
        return {
            "method": self.method,
            "n_parameters": self.n_parameters,
            "n_blocks": self.n_blocks,
            "rows_used": self.rows_used,
            "rows": self.rows,
            "condition": self.condition,
            "imputation_error": self.imputation_error,
            "notes": list(self.notes),
            "parameters": [entry._asdict() for entry in self._entries()],
        }

    def save(self, path: str | Path) -> None:
        """Write the errors to one `.npz` file that NumPy reads without pickle; an older one is replaced.

        Its arrays are `amplitudes`, `means`, `covariances` and `background` of the fit, the same with `_error`,
        `covariance` of the coordinates unless it is a bootstrap or was made block by block, and `header`, a JSON text.
        """
        p, errors = self.population, vars(self.errors)
        arrays = {
            "amplitudes": p.amplitudes,
            "means": p.mixture.means,
            "covariances": p.mixture.covariances,
            "background": p.background_amplitudes,
            **{f"{name}_error": array for name, array in errors.items()},
        }
        if isinstance(self.spread, LinearSpread) and self.n_blocks == 1:
            arrays["covariance"] = self.spread.covariance
        header = {"features": self.features, "units": self.units, **self.describe()}
        del header["parameters"]
        known = {name: value if value == value and abs(value) < np.inf else None for name, value in (
            ("condition", self.condition), ("imputation_error", self.imputation_error))}  # fmt: skip
        write_arrays(Path(path), FORMAT, {**header, **known}, arrays)

    def _entries(self) -> Iterator[Entry]:
        population, errors = self.population, self.errors
        mixture, units = population.mixture, self.units or ("",) * population.n_features
        rows, columns = lower_indices(population.n_features)
        for k in range(population.n_components):
            yield Entry(k, "amplitude", float(population.amplitudes[k]), float(errors.amplitudes[k]), "")
            for j, name in enumerate(self.features):
                yield Entry(
                    k, f"mean {name}", float(mixture.means[k, j]), float(errors.means[k, j]), units[j]
                )
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
                name = (
                    f"variance {self.features[i]}"
                    if i == j
                    else f"covariance {self.features[j]},{self.features[i]}"
                )
                yield Entry(
                    k,
                    name,
                    float(mixture.covariances[k, i, j]),
                    float(errors.covariances[k, i, j]),
                    _product(units[j], units[i]),
                )
        for j, amplitude in enumerate(population.background_amplitudes.tolist()):
            yield Entry(None, f"amplitude of background {j}", amplitude, float(errors.background[j]), "")


def _product(one: str, other: str) -> str:
    """Name the unit of a product; "" if one of them is not known."""
    if not (one and other):
        return ""
    one, other = (f"({unit})" if " " in unit or "/" in unit else unit for unit in (one, other))
    return f"{one}^2" if one == other else f"{one} {other}"
