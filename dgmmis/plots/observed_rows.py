"""Rows as a model expects them in a sample: with the noise of the rows there, and through the selection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.rows import Rows
from dgmmis.selection import Box
from dgmmis.selection.binding import Leaf

__all__ = ["ObservedRows", "Observing", "Side", "observe"]

DRAWN = 50_000
"""Rows drawn: a bin of a histogram is then known to a few per cent."""
TRIES = 60
"""Rows tried for each that is kept, at most: for a nearly blind selection drawing would take forever."""

Side = tuple[float, float]


@dataclass(frozen=True)
class Observing:
    """How the rows of a model came into a sample.

    Attributes
    ----------
    completeness : float
        Share of the complete sample that was kept.
    before_noise : bool
        The selection acted on the noise-free values.
    """

    completeness: float
    before_noise: bool = False


@dataclass(frozen=True)
class ObservedRows:
    """What a model expects a sample to look like.

    Attributes
    ----------
    completeness : float
    cut : dict
        `{feature: (low, high)}` where the selection cuts one feature and nothing else: its curve is exact.
    drawn : Rows or None
        Rows drawn with the sample's noise, through the selection; they lack what the sample's rows lack.
    problem : str
        Why none were drawn; empty if they were, or none are needed.
    """

    completeness: float
    cut: dict[int, Side]
    drawn: Rows | None
    problem: str = ""


def observe(model: Model, rows: Rows, observing: Observing) -> ObservedRows:
    """Work out how a model with a selection expects these rows to look.

    The density of a feature is exact where the selection is a `Box` with sides along it alone and there is no
    background; for the other features rows are drawn, the same ones every time.
    """
    cut: dict[int, Side] = {}
    try:
        if not (observing.before_noise or model.backgrounds):
            cut = _only_side(model)
        drawn = None if cut and model.mixture.n_features == 1 else _drawn(model, rows, observing)
    except (InvalidData, InvalidSetting) as error:
        # Hardly any row is kept, a density has no sampler, or the selection looks at columns that are not here.
        return ObservedRows(observing.completeness, cut, None, str(error))
    return ObservedRows(observing.completeness, cut, drawn)


def _only_side(model: Model) -> dict[int, Side]:
    """Give the feature and the sides of a box that cuts one feature only."""
    if not isinstance(model.selection, Box):
        return {}
    box, root = model.selection, model.selection.bind(model.features).root
    assert isinstance(root, Leaf)
    sides = {
        column: (low, high)
        for column, low, high in zip(root.columns, box.low, box.high, strict=True)
        if math.isfinite(low) or math.isfinite(high)
    }
    return sides if len(sides) == 1 else {}


def _drawn(model: Model, rows: Rows, observing: Observing) -> Rows:
    which = np.resize(np.arange(len(rows)), DRAWN)
    if len(rows) > DRAWN:
        which = np.linspace(0, len(rows) - 1, DRAWN).round().astype(np.intp)
    noise = rows.noise.take(which)
    if noise.array is not None:  # what a row lacks may have no noise
        noise = Noise(noise.kind, np.nan_to_num(noise.array))
    values = model.draw(
        len(which),
        np.random.default_rng(0),
        noise=noise,
        selection=model.selection,
        before_noise=observing.before_noise,
        max_trials=TRIES * len(which),
    )
    values[np.isnan(rows.values[which])] = np.nan
    return Rows(values, noise, None if rows.weights is None else rows.weights[which])
