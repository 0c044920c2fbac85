"""Where the rows lie in the distributions that the model gives for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dgmmis.checking import Calibration, ModelCheck
from dgmmis.plots.drawing import INK, MUTED, display_name, look, show_label
from dgmmis.plots.library import Axes, Figure

__all__ = ["draw_calibration"]

MOST_PANELS = 12
BAND, EDGE, BAR = "#f9dcc4", "#d98a4f", "#7f9dbf"
BROKEN = "#0a3f6b"
PER_LINE = 4


def draw_calibration(check: ModelCheck) -> Figure:
    """Draw the probability integral transforms of a check: one histogram per feature, one of the density.

    If the model holds, all bars of a panel keep within the band in 95 of 100 cases; those that leave it are dark.

    Parameters
    ----------
    check : ModelCheck
        Of more than eleven features, those that are furthest from uniform are drawn.
    """
    shown = _chosen(check)
    columns = min(PER_LINE, len(shown))
    lines = math.ceil(len(shown) / columns)
    with look():
        figure = Figure(figsize=(min(10.6, 0.6 + 2.6 * columns), 0.5 + 2.35 * lines), layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(shown):
                axes.axis("off")
                continue
            _draw_panel(axes, shown[place])
            bottom = place + columns >= len(shown)
            axes.tick_params(labelbottom=bottom)
        figure.supxlabel("place of the row in its own distribution", fontsize=9)
        figure.supylabel("rows, relative to expected", fontsize=9)
    return figure


def _chosen(check: ModelCheck) -> list[Calibration]:
    n_features = check.model.mixture.n_features
    features, whole = list(check.calibrations[:n_features]), list(check.calibrations[n_features:])
    most = MOST_PANELS - len(whole)
    if len(features) > most:
        order = np.argsort([-np.nan_to_num(one.distance) for one in features], kind="stable")[:most]
        features = [features[place] for place in sorted(order)]
    return features + whole


def _draw_panel(axes: Axes, calibration: Calibration) -> None:
    name = "density of whole rows" if calibration.name == "density" else display_name(calibration.name, 28)
    show_label(axes.set_title, name)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    axes.set_xticklabels(["0", "0.5", "1"])
    axes.spines[["top", "right"]].set_visible(False)
    if not calibration.effective_rows:
        axes.set(ylim=(0, 1), yticks=[])
        axes.text(0.5, 0.5, "no rows", transform=axes.transAxes, ha="center", color=MUTED)
        return
    heights = calibration.heights()
    low, high = calibration.band()
    edges = np.linspace(0, 1, len(heights) + 1)
    broken = (heights < low) | (heights > high)
    axes.axhspan(low, high, color=BAND, zorder=0)
    axes.hlines([low, high], 0, 1, color=EDGE, linewidth=0.9, zorder=3)
    axes.axhline(1, color=MUTED, linewidth=0.7, zorder=3)
    colors = np.where(broken, BROKEN, BAR)
    look_of_bars: dict[str, Any] = {"alpha": 0.9, "linewidth": 0.6, "edgecolor": "white"}
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colors, **look_of_bars)
    top = max(1.45, 1.25 * float(heights.max()), 1.25 * high)
    axes.set_ylim(0, top)
    axes.text(
        0.98, 0.97, _verdict(calibration), transform=axes.transAxes, ha="right", va="top", fontsize=8, color=INK
    )  # fmt: skip


def _verdict(calibration: Calibration) -> str:
    p = calibration.p_value
    chance = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
    return f"off by {100 * calibration.distance:.2g} %, {chance}"
