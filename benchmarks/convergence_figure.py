"""The figure of convergence: what is left to gain against passes, a panel per problem."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from results_table import Record

__all__ = ["draw_convergence"]

INK, GRID = "#1f2733", "#e6e9ee"
CURVES = {
    "em": ("expectation maximization", "#667080", (0, ())),
    "squarem": ("SQUAREM", "#D55E00", (0, (5, 2))),
    "auto": ("dgmmis", "#0072B2", (0, ())),
}
MARKS = {
    "scikit-learn": ("s", "em"),
    "pyGMMis": ("^", "em"),
    "XD in C": ("D", "em"),
    "dgmmis": ("o", "auto"),
}
TOLERANCE = 0.1
LOWEST, HIGHEST = 1e-3, 3e3
"""Nats between which the curves are drawn."""


def draw_convergence(records: list[Record], path: Path) -> None:
    """Draw a panel for each problem."""
    columns = 3
    lines = -(-len(records) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(11, 1.0 + 2.7 * lines),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for panel, record in zip(axes.flat, records, strict=False):
        _draw_panel(panel, record)
    for panel in axes.flat[len(records) :]:
        panel.set_visible(False)
    for line in axes:
        line[0].set_ylabel("total nats below the best")
    for panel in axes[-1]:
        panel.set_xlabel("passes")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)


def _draw_panel(panel: plt.Axes, record: Record) -> None:
    for method, (label, color, dashes) in CURVES.items():
        below = np.maximum(record["best"] - np.maximum.accumulate(record["paths"][method]), LOWEST / 10)
        panel.plot(
            np.arange(1, len(below) + 1), below, color=color, linestyle=dashes, label=label,
            linewidth=2.2 if method == "auto" else 1.6, zorder=3 if method == "auto" else 2,
        )  # fmt: skip
    for rule, (marker, method) in MARKS.items():
        stop = record["stops"][rule]
        below = max(record["best"] - stop["level"], LOWEST)
        panel.plot(
            stop["passes"], below, marker=marker, markersize=7, color=CURVES[method][1], markeredgecolor="white",
            markeredgewidth=1, linestyle="none", label=f"{rule} stops", zorder=4,
        )  # fmt: skip
    panel.axhline(
        TOLERANCE, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), label="tolerance, 0.1 nats", zorder=1
    )
    _, d, k = record["shape"]
    panel.set_title(
        f"{record['problem']}: {record['title']}  (D = {d}, K = {k})", fontsize=9.5, loc="left", color=INK
    )
    panel.set(xscale="log", yscale="log", xlim=(1, 1100), ylim=(LOWEST, HIGHEST))
    panel.grid(color=GRID, linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
