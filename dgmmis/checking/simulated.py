"""Catalogues as a model expects them: with the noise, the gaps and the selection of the rows that are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.errors import InvalidSetting
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.rows import Rows

__all__ = ["REPLICATES", "Simulated", "simulate"]

REPLICATES = 19
"""Catalogues that are simulated: a row has one of 20 ranks among its own replicates."""
TRIES = 60
"""Rows tried for each that is kept, at most: for a nearly blind selection drawing would take forever."""


@dataclass(frozen=True)
class Simulated:
    """Catalogues like the one that was observed, if the model holds.

    Attributes
    ----------
    values : (M, N, D)
        Row i of each of the M catalogues has the noise, the weight and the missing features of observed row i.
    seed : int
    before_noise : bool
        The selection looked at the noise-free values.
    """

    values: Array
    seed: int
    before_noise: bool = False

    @property
    def n_replicates(self) -> int:
        """M."""
        return len(self.values)


def simulate(
    model: Model,
    rows: Rows,
    *,
    before_noise: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Simulated:
    """Simulate catalogues that have the noise and the missing features of some rows.

    Each row is drawn from the model, backgrounds included, blurred by its own noise, and drawn again until the
    model's selection keeps it; then it loses what the observed row lacks.  Catalogue m depends on the seed and m
    alone.

    Parameters
    ----------
    model : Model
        If it has a selection, the rows are those that were kept.
    rows : Rows
    before_noise : bool
        The selection looked at the noise-free values.
    replicates : int
        M, at least 2.
    seed : int

    Raises
    ------
    InvalidSetting
        If the rows are projected, the replicates are too few, or a background has no sampler.
    SelectionError
        If hardly any row of the model is kept, or the selection needs columns that are not features.
    """
    if rows.projection is not None:
        raise InvalidSetting(
            "projected rows cannot be simulated: the checks take rows of the model's features."
        )
    if replicates < 2:
        raise InvalidSetting(f"replicates is {replicates}; at least 2 tell how much catalogues differ.")
    missing = np.isnan(rows.values)
    noise = rows.noise
    if noise.array is not None:  # what a row lacks may have no noise
        noise = Noise(noise.kind, np.nan_to_num(noise.array))
    values = np.empty((replicates, *rows.values.shape))
    for m in range(replicates):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(m,)))
        values[m] = model.draw(
            len(rows),
            rng,
            noise=noise,
            selection=model.selection,
            before_noise=before_noise,
            max_trials=TRIES * len(rows),
        )
        values[m][missing] = np.nan
    return Simulated(values, seed, before_noise)
