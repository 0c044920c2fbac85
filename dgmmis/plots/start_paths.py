"""How the starts of a fit went, pass by pass of their short fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dgmmis.packed import Array
from dgmmis.plots.drawing import INK, MUTED, look
from dgmmis.plots.library import Axes, Figure, Line2D, MaxNLocator
from dgmmis.starts import Trial

__all__ = ["draw_start_paths"]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#b3bac5"


def draw_start_paths(trials: Sequence[Trial], chosen: int, *, per: str = "row") -> Figure:
    """Draw how far each start was below the best of all, after every update.

    Parameters
    ----------
    trials : sequence of Trial
    chosen : int
    per : str
        What mean log-likelihoods are means over.
    """
    paths = [np.array(trial.path) for trial in trials]
    best = max(path.max() for path in paths if len(path))
    lowest = _least_gap(paths, best)
    with look():
        figure = Figure(figsize=(4.1, 3.1), layout="constrained")
        axes = figure.subplots()
        for place, (trial, path) in enumerate(zip(trials, paths, strict=True)):
            if len(path):
                _draw_path(axes, trial, np.maximum(best - path, lowest), place == chosen)
        axes.set_yscale("log")
        axes.invert_yaxis()
        axes.set(title="Starts", xlabel="passes of the short fit", ylabel=f"nats per {per} below the best")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eceef2", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _add_key(axes, trials, chosen)
    return figure


def _least_gap(paths: Sequence[Array], best: float) -> float:
    """Return where the axis ends: a third of the least gap at which a start ended, the best one apart."""
    ends = [best - path[-1] for path in paths if len(path)]
    gaps = [gap for gap in ends if gap > 0]
    return max(min(gaps, default=1e-3) / 3, 1e-12)


def _draw_path(axes: Axes, trial: Trial, gaps: Array, chosen: bool) -> None:
    finished = trial.fate == "finished"
    color = ORANGE if chosen else BLUE if finished else GREY
    axes.plot(
        gaps, color=color, linewidth=1.8 if chosen else 1.0, zorder=3 if chosen else 2 if finished else 1
    )
    moves = [place for place in trial.moved_at if place < len(gaps)]
    axes.plot(moves, gaps[moves], marker="v", markersize=5, color=color, linestyle="none", zorder=4)
    if not finished:
        marker = "x" if trial.fate == "failed" else "."
        axes.plot(
            len(gaps) - 1, gaps[-1], marker=marker, markersize=5, color=MUTED, linestyle="none", zorder=2
        )


def _add_key(axes: Axes, trials: Sequence[Trial], chosen: int) -> None:
    fates = [trial.fate for place, trial in enumerate(trials) if place != chosen]
    handles = [Line2D([], [], color=ORANGE, linewidth=1.8, label="chosen")]
    if "finished" in fates:
        handles.append(Line2D([], [], color=BLUE, linewidth=1, label="finished"))
    if "behind" in fates:
        handles.append(
            Line2D(
                [],
                [],
                color=GREY,
                marker=".",
                markerfacecolor=MUTED,
                markeredgecolor=MUTED,
                label="left behind",
            )
        )
    if "failed" in fates:
        handles.append(Line2D([], [], color=MUTED, marker="x", linestyle="none", label="failed"))
    if any(trial.moved_at for trial in trials):
        handles.append(Line2D([], [], color=INK, marker="v", markersize=5, linestyle="none", label="moved"))
    axes.legend(handles=handles, loc="lower right", handlelength=1.4, labelspacing=0.3)
