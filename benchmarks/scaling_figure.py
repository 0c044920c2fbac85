"""The figure of scaling: a panel per series."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from results_table import Record

__all__ = ["draw_scaling"]

AXES = {"N": "rows N", "K": "components K", "D": "features D"}
COLOR = "#20639b"


def draw_scaling(records: list[Record], path: Path) -> None:
    """Draw time per row x component, or per row, against what varies in each series."""
    series = [
        list(group) for _, group in groupby(records, key=lambda record: (record["varied"], record["title"]))
    ]
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    for panel, group in zip(axes.flat, series, strict=False):
        _draw_panel(panel, group)
    for panel in axes.flat[len(series) :]:
        panel.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=75)
    plt.close(figure)


def _draw_panel(panel: plt.Axes, group: list[Record]) -> None:
    varied, per_row = group[0]["varied"], group[0]["per_row"]
    sizes = [record["shape"]["NDK".index(varied)] for record in group]
    times = []
    for record in group:
        n, _, k = record["shape"]
        times.append(np.array(record["seconds"]) / (n if per_row else n * k) * 1e9)
    middle = np.array([np.median(time) for time in times])
    ends = np.array([[np.median(time) - time.min(), time.max() - np.median(time)] for time in times])
    panel.errorbar(sizes, middle, yerr=ends.T, marker="o", capsize=3, color=COLOR)
    panel.set_title(group[0]["title"], fontsize=10)
    panel.set_xlabel(AXES[varied])
    panel.set_ylabel("CPU ns per row" if per_row else "CPU ns per row x component")
    panel.set_xscale("linear" if varied == "D" else "log")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
