"""Everything that rows and their simulated replicates tell of a model, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dgmmis.checking.calibration import Calibration, calibrate_density, calibrate_feature
from dgmmis.checking.cells import Cells, common_range, count_cells, edges_of
from dgmmis.checking.simulated import REPLICATES, Simulated, simulate
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.rows import Rows

__all__ = ["MOST_ROWS", "ModelCheck", "check_model"]

MOST_ROWS = 50_000
"""Rows that are compared: two per cent of a cell of 2,500 rows is one standard deviation."""
MOST_NUMBERS = 2e7
"""Rows times features times replicates (160 MB)."""
MOST_PAIRED = 12
"""Features whose pairs are all compared; of more, those of the first twelve."""


@dataclass(frozen=True)
class ModelCheck:
    """A model beside its rows.

    Attributes
    ----------
    model : Model
    rows : Rows
        Those that were compared.
    simulated : Simulated
        Their replicates.
    singles : tuple of Cells
        One per feature.
    pairs : tuple of Cells
        One per pair (i, j), i < j.
    calibrations : tuple of Calibration
        One per feature; for two and more, the last one is that of the density of whole rows.
    """

    model: Model
    rows: Rows
    simulated: Simulated
    singles: tuple[Cells, ...]
    pairs: tuple[Cells, ...]
    calibrations: tuple[Calibration, ...]

    @property
    def projections(self) -> tuple[Cells, ...]:
        """Singles and pairs."""
        return self.singles + self.pairs

    @property
    def is_weighted(self) -> bool:
        """Whether rows count differently."""
        return self.rows.weights is not None

    def pair(self, x: int, y: int) -> Cells:
        """Return the cells of two features, x < y."""
        return next(cells for cells in self.pairs if cells.columns == (x, y))


def check_model(
    model: Model,
    values: Rows | Array,
    noise: Noise | None = None,
    weights: Array | None = None,
    *,
    before_noise: bool = False,
    most_rows: int = MOST_ROWS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ModelCheck:
    """Compare rows with catalogues that are simulated from a model.

    Parameters
    ----------
    model : Model
        If it has a selection, the rows are those that were kept.
    values : (N, D) or Rows
        A random sample of the rows, NaN where missing; `Rows` have noise and weights of their own.
    noise : Noise, optional
        Of these rows.
    weights : (N,), optional
    before_noise : bool
        The selection looked at the noise-free values.
    most_rows : int
        Of more rows so many are compared, evenly; fewer of very many features, as the replicates are kept in memory.
    replicates : int
        Catalogues to simulate.
    seed : int
        The same seed gives the same numbers.

    Raises
    ------
    InvalidData
        If the rows have not the model's number of features, or their noise does not fit them.
    InvalidSetting
        If there are no rows, or they cannot be simulated.
    SelectionError
        If hardly any row of the model is kept.

    Examples
    --------
    >>> from dgmmis import Mixture
    >>> model = Model(Mixture([1.0], [[0.0]], [[[1.0]]]))
    >>> rng = np.random.default_rng(1)
    >>> check_model(model, model.draw(2_000, rng)).calibrations[0].p_value > 0.01
    True
    """
    rows = values if isinstance(values, Rows) else _as_rows(values, noise, weights)
    if rows.n_features != model.mixture.n_features:
        raise InvalidData(
            f"values has {rows.n_features} features; the model has {model.mixture.n_features}.",
            array="values",
        )
    if not len(rows) or most_rows < 1:
        raise InvalidSetting(f"{min(len(rows), most_rows)} rows are to be compared; give at least one.")
    most_rows = min(most_rows, max(int(MOST_NUMBERS / (rows.n_features * replicates)), 1_000))
    if len(rows) > most_rows:
        rows = rows.take(np.linspace(0, len(rows) - 1, most_rows).round().astype(np.intp))
    simulated = simulate(model, rows, before_noise=before_noise, replicates=replicates, seed=seed)
    spans = [common_range(rows.values[:, j], simulated.values[0, :, j]) for j in range(rows.n_features)]
    present = ~np.isnan(rows.values)
    singles = tuple(
        count_cells(rows, simulated, (j,), (edges_of(float(present[:, j].sum()), spans[j], 1),))
        for j in range(rows.n_features)
    )
    pairs = tuple(
        _pair(rows, simulated, pair, spans)
        for pair in combinations(range(min(rows.n_features, MOST_PAIRED)), 2)
    )
    calibrations = [calibrate_feature(model, rows, simulated, j) for j in range(rows.n_features)]
    if rows.n_features > 1:
        calibrations.append(calibrate_density(model, rows, simulated))
    return ModelCheck(model, rows, simulated, singles, pairs, tuple(calibrations))


def _as_rows(values: Array, noise: Noise | None, weights: Array | None) -> Rows:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise InvalidSetting(f"values has shape {array.shape}; expected (N, D).")
    counted = None if weights is None else np.asarray(weights, dtype=np.float64)
    return Rows(array, Noise.of(noise, *array.shape), counted)


def _pair(rows: Rows, simulated: Simulated, pair: tuple[int, int], spans: list[tuple[float, float]]) -> Cells:
    both = float((~np.isnan(rows.values[:, list(pair)])).all(axis=1).sum())
    return count_cells(rows, simulated, pair, [edges_of(both, spans[j], 2) for j in pair])
