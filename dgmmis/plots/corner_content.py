"""What a corner plot shows: features, ranges, typical noise, colours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.packed import Array, sub_positions
from dgmmis.plots.marginals import median_noise
from dgmmis.plots.observed_rows import ObservedRows, Observing, observe
from dgmmis.plots.palette import component_colors
from dgmmis.plots.scales import Span, spans_of
from dgmmis.rows import Rows

__all__ = ["MOST_FEATURES", "Corner", "corner_features", "prepare_corner"]

MOST_FEATURES = 6


@dataclass(frozen=True)
class Corner:
    """What all panels share.

    Attributes
    ----------
    model : Model
        Of the drawn features only.
    rows : Rows or None
    noise : (D, D) or None
        Typical noise covariance.
    spans : list of (low, high)
    colors : list of str
        One per component.
    observed : ObservedRows or None
        How the model expects the rows to look, if they were selected.
    """

    model: Model
    rows: Rows | None
    noise: Array | None
    spans: list[Span]
    colors: list[str]
    observed: ObservedRows | None = None

    @property
    def completeness(self) -> float:
        """Share of the complete sample that was observed; 1 without a selection."""
        return 1.0 if self.observed is None else self.observed.completeness

    @property
    def n_features(self) -> int:
        """Features drawn."""
        return len(self.spans)

    @property
    def n_outside(self) -> int:
        """Rows with a value outside the drawn ranges."""
        if self.rows is None:
            return 0
        low, high = np.transpose(self.spans)
        outside = (self.rows.values < low) | (self.rows.values > high)
        return int(outside.any(axis=1).sum())


def corner_features(model: Model, rows: Rows | None) -> list[int]:
    """Choose at most six features to draw: those in which the components lie furthest apart.

    Apart means: the variance of the components' means as a share of the whole variance, typical noise
    included.  The order stays that of the model.
    """
    mixture = model.mixture
    if mixture.n_features <= MOST_FEATURES:
        return list(range(mixture.n_features))
    offset = mixture.means - mixture.amplitudes @ mixture.means
    between = mixture.amplitudes @ offset**2
    within = mixture.amplitudes @ np.diagonal(mixture.covariances, axis1=1, axis2=2)
    noise = None if rows is None else median_noise(rows)
    total = between + within + (0 if noise is None else np.diagonal(noise))
    apart = between / np.where(total > 0, total, 1)
    return sorted(int(j) for j in np.argsort(-apart, kind="stable")[:MOST_FEATURES])


def prepare_corner(model: Model, rows: Rows | None, observing: Observing | None = None) -> Corner:
    """Settle which features are drawn, their ranges, the typical noise and the colours.

    Parameters
    ----------
    model : Model
    rows : Rows or None
    observing : Observing, optional
        How the rows were selected, by the model's selection; default: not at all.
    """
    observed = None
    if observing is not None and model.selection is not None and rows is not None:
        observed = observe(model, rows, observing)
    features = np.array(corner_features(model, rows), dtype=np.intp)
    if len(features) < model.mixture.n_features:
        model = model.marginal(features.tolist())
        rows = None if rows is None else _columns(rows, features)
        observed = None if observed is None else _columns_observed(observed, features)
    noise = None if rows is None else median_noise(rows)
    spans = spans_of(model.mixture, rows, beyond=observed is not None)
    return Corner(model, rows, noise, spans, component_colors(model.mixture.amplitudes), observed)


def _columns(rows: Rows, features: NDArray[np.intp]) -> Rows:
    return Rows(rows.values[:, features], _noise_of(rows.noise, features), rows.weights)


def _columns_observed(observed: ObservedRows, features: NDArray[np.intp]) -> ObservedRows:
    cut = {
        place: observed.cut[feature]
        for place, feature in enumerate(features.tolist())
        if feature in observed.cut
    }
    drawn = None if observed.drawn is None else _columns(observed.drawn, features)
    return replace(observed, cut=cut, drawn=drawn)


def _noise_of(noise: Noise, features: NDArray[np.intp]) -> Noise:
    if noise.array is None:
        return noise
    if noise.kind == "shared":
        return Noise.shared(noise.array[np.ix_(features, features)])
    if noise.kind == "diagonal":
        return Noise.diagonal(noise.array[:, features])
    return Noise.packed(noise.array[:, sub_positions(features)])
