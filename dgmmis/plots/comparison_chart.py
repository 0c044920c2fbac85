"""How models compare: what left-out rows and the criteria say of each number of components."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dgmmis.comparison import Comparison
from dgmmis.distinct_colors import DISTINCT
from dgmmis.plots.drawing import INK, MUTED, look
from dgmmis.plots.library import Axes, Figure, FixedFormatter, FixedLocator, Line2D

__all__ = ["draw_comparison"]

LINEAR = 10.0
"""Distance from the best up to which the axes are linear; they are logarithmic beyond."""

MARKERS = ("o", "s", "D", "^")
"""One for each type of covariance, so that colours are not needed to tell them apart."""

MOST_LABELS = 8
"""Numbers of components that are written below an axis."""

PANELS = (("BIC", "bic"), ("AIC", "aic"), ("ICL", "icl"))


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw by how much each model is behind the best one: in predicting left-out rows, and by BIC, AIC and ICL.

    In every panel 0 is the best model of that panel, and lower is better.  The bars of the first are standard errors of
    the difference to the best.  A hollow marker is a model whose fits did not all converge.

    Parameters
    ----------
    comparison : Comparison
        Without folds, the first panel is left out.
    """
    models = comparison.models
    with look():
        figure = Figure(figsize=(10.6, 3.6), layout="constrained")
        first = [1.8] if comparison.folds else []
        axes = list(np.atleast_1d(figure.subplots(1, len(first) + 3, width_ratios=[*first, 1, 1, 1])))
        if comparison.folds:
            behind = [-one.difference for one in models]
            _draw_panel(axes[0], comparison, behind, [one.difference_error for one in models])
            axes[0].set_title(f"Left-out rows, {comparison.folds} folds")
            axes[0].set_ylabel("nats behind the best")
        for panel, (title, name) in zip(axes[len(first) :], PANELS, strict=True):
            values = [getattr(one, name) for one in models]
            _draw_panel(panel, comparison, [value - min(values) for value in values])
            panel.set_title(title)
        axes[len(first)].set_ylabel("above the lowest")
        _add_key(figure, comparison)
    return figure


def _types(comparison: Comparison) -> list[str]:
    """Types of covariance, in the order in which they were asked for."""
    return list(dict.fromkeys(one.fitted.covariance_type for one in comparison.models))


def _draw_panel(
    axes: Axes, comparison: Comparison, behind: Sequence[float], errors: Sequence[float] | None = None
) -> None:
    """Draw one quantity of all models over their numbers of components."""
    models, types = comparison.models, _types(comparison)
    for place, kind in enumerate(types):
        which = [
            m
            for m, one in enumerate(models)
            if one.fitted.covariance_type == kind and not math.isnan(behind[m])
        ]
        which.sort(key=lambda m: models[m].fitted.n_components)
        numbers, color = [models[m].fitted.n_components for m in which], DISTINCT[place]
        heights = [behind[m] for m in which]
        axes.plot(numbers, heights, color=color, linewidth=1.1, zorder=2)
        if errors is not None:
            bars = [errors[m] for m in which]
            axes.errorbar(numbers, heights, bars, color=color, fmt="none", capsize=3, linewidth=1.2, zorder=2)
        for m, number, height in zip(which, numbers, heights, strict=True):
            face = color if models[m].converged else "white"
            axes.plot(
                number, height, MARKERS[place], color=color, markerfacecolor=face, markersize=5.5, zorder=3
            )
    _scale(axes, comparison, [value + (errors[m] if errors else 0) for m, value in enumerate(behind)])


def _scale(axes: Axes, comparison: Comparison, heights: Sequence[float]) -> None:
    """Ticks at the numbers of components, and a vertical axis on which both 3 and 30,000 can be read."""
    numbers = sorted({one.fitted.n_components for one in comparison.models})
    if len(numbers) > 1 and numbers[-1] > 4 * numbers[0]:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(numbers))
    every = math.ceil(len(numbers) / MOST_LABELS)
    labels = [str(number) if place % every == 0 else "" for place, number in enumerate(numbers)]
    axes.xaxis.set_major_formatter(FixedFormatter(labels))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xlabel("components K")
    highest = max((height for height in heights if math.isfinite(height)), default=1.0)
    lowest = min((height for height in heights if math.isfinite(height)), default=0.0)
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=1.0)
    ticks = [0.0, *(LINEAR * 10**i for i in range(max(1, math.ceil(math.log10(max(highest, 10.0))))))]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{tick:,.0f}" for tick in ticks]))
    axes.yaxis.set_minor_locator(FixedLocator([5.0]))
    axes.set_ylim(min(-3.0, 1.3 * lowest), max(2 * highest, 1.3 * LINEAR))
    axes.axhline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    axes.grid(axis="y", color="#eceef2", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _add_key(figure: Figure, comparison: Comparison) -> None:
    """Tell types apart if there are several, and explain hollow markers if there are any."""
    types = _types(comparison)
    handles = [
        Line2D([], [], color=DISTINCT[i], marker=MARKERS[i], markersize=5.5, linewidth=1.1, label=kind)
        for i, kind in enumerate(types)
        if len(types) > 1
    ]
    if not all(one.converged for one in comparison.models):
        handles.append(
            Line2D(
                [],
                [],
                color=MUTED,
                marker="o",
                markerfacecolor="white",
                linestyle="none",
                label="not converged, or left early",
            )
        )
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
