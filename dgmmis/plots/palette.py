"""Colours of components."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.distinct_colors import DISTINCT
from dgmmis.plots.library import Colormap, LinearSegmentedColormap, colormaps, to_hex

__all__ = ["HISTOGRAM", "component_colors", "counts_map", "deviations_map"]


def component_colors(amplitudes: ArrayLike) -> list[str]:
    """Choose a colour for each component, as "#rrggbb", the largest amplitude first.

    Up to ten components get colours that people with colour-blindness can tell apart; more of them get
    steps of a perceptually even map, dark for large amplitudes.
    """
    order = np.argsort(-np.asarray(amplitudes, dtype=float), kind="stable")
    colors = [""] * len(order)
    for place, k in enumerate(order):
        colors[k] = DISTINCT[place] if len(order) <= len(DISTINCT) else _step(place / (len(order) - 1))
    return colors


def _step(fraction: float) -> str:
    """Colour of the map between its ends, of which the last fifth is too light for white paper."""
    return str(to_hex(colormaps["plasma"](0.84 * fraction)))


HISTOGRAM = "#d3d9e2"


def counts_map() -> Colormap:
    """Neutral map of counts: from a light to a middling blue grey, so that coloured lines stand out on it."""
    return LinearSegmentedColormap.from_list("counts", ("#e6e9ee", "#b4bcc9", "#7b8698", "#4b5567"))


def deviations_map() -> Colormap:
    """Map of deviations: blue for too few, white for none, orange for too many.

    The two ends differ in hue for every kind of colour vision, and equally from white in lightness.
    """
    return LinearSegmentedColormap.from_list(
        "deviations", ("#053a63", "#0072b2", "#a3cbe6", "#ffffff", "#f3b98f", "#d55e00", "#6e2f00")
    )
