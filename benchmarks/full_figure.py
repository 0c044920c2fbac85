"""The figure of passes over all rows: what is left to gain after each, a panel per scene."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from convergence_figure import CURVES, GRID, INK, TOLERANCE
from full_table import gaps
from results_table import Record

__all__ = ["draw_full"]

LOWEST, HIGHEST = 1e-3, 1e4
"""Nats between which the curves are drawn."""

WIDTHS = {1: 2.2, 2: 1.3}
"""Of the curves of the first draw of a scene, and of the second."""


def draw_full(records: list[Record], path: Path) -> None:
    """Draw a panel for each scene, both draws of it in one."""
    scenes = list(dict.fromkeys(record["scene"] for record in records))
    lines = -(-len(scenes) // 2)
    figure, axes = plt.subplots(
        lines, 2, figsize=(10, 1.0 + 3.0 * lines), layout="constrained", sharex=True, sharey=True, squeeze=False
    )  # fmt: skip
    for panel, scene in zip(axes.flat, scenes, strict=False):
        _draw_panel(panel, [record for record in records if record["scene"] == scene])
    for panel in axes.flat[len(scenes) :]:
        panel.set_visible(False)
    for line in axes:
        line[0].set_ylabel("total nats below the best")
    for panel in axes[-1]:
        panel.set_xlabel("passes over all rows")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")
    plt.close(figure)


def _draw_panel(panel: plt.Axes, records: list[Record]) -> None:
    for record in records:
        ours, em = gaps(record)
        stops, first = record["stops"], record["seed"] == 1
        _draw_curve(panel, em, "em", width=WIDTHS[1 if first else 2] - 0.3, label=first)
        _draw_curve(panel, ours, "auto", width=WIDTHS[1 if first else 2], label=first)
        panel.plot(
            stops, max(ours[stops - 1], LOWEST), marker="o", markersize=8, color=CURVES["auto"][1],
            markeredgecolor="white", markeredgewidth=1.2, linestyle="none", clip_on=False, zorder=5,
            label="dgmmis stops" if first else None,
        )  # fmt: skip
    panel.axhline(
        TOLERANCE, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), label="tolerance, 0.1 nats", zorder=1
    )
    n, d, k = records[0]["shape"]
    panel.set_title(
        f"{records[0]['title']}  (N = {n:,}, D = {d}, K = {k})", fontsize=9.5, loc="left", color=INK
    )
    panel.set(xscale="log", yscale="log", xlim=(1, 70), ylim=(LOWEST, HIGHEST))
    panel.set_xticks([1, 2, 3, 5, 10, 20, 30, 60], ["1", "2", "3", "5", "10", "20", "30", "60"])
    panel.minorticks_off()
    panel.grid(color=GRID, linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_curve(panel: plt.Axes, left: list[float], method: str, *, width: float, label: bool) -> None:
    name, color, dashes = CURVES[method]
    ours = method == "auto"
    panel.plot(
        np.arange(1, len(left) + 1), np.maximum(left, LOWEST / 10), color=color, linestyle=dashes, linewidth=width,
        marker="." if ours else None, markersize=3 + 2 * width, label=name if label else None, zorder=3 if ours else 2,
    )  # fmt: skip
