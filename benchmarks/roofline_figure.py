"""The roofline: rate of operations against operations per byte, under the roofs of the machine."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from results_table import Record

__all__ = ["draw_roofline"]

LINES = {"memory": "#3caea3", "disk": "#ed553b"}
COLOR = "#20639b"


def draw_roofline(rates: Record, records: list[Record], path: Path) -> None:
    """Draw each scene below the roofs that the core, the memory and the disk put over it."""
    peak = max(rates["compiled"], rates["matrix"])
    figure, panel = plt.subplots(figsize=(8, 5), layout="constrained")
    x = np.geomspace(0.5, 5000, 300)
    for source, color in LINES.items():
        label = f"reading from {source}, {rates[source]:.2g} GB/s"
        panel.plot(x, np.minimum(x * rates[source], peak), color=color, label=label)
    panel.axhline(peak, color="black", linestyle=":", label=f"peak of the core, {peak:.0f} GFLOP/s")
    for record in records:
        _draw_scene(panel, record)
    panel.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(0.1, 2 * peak))
    panel.set_xlabel("least operations per byte of the rows as stored")
    panel.set_ylabel("GFLOP/s on least operations, one core")
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=75)
    plt.close(figure)


def _draw_scene(panel: plt.Axes, record: Record) -> None:
    n = record["shape"][0]
    intensity = record["flops"] / (n * record["disk_bytes"])
    rate = record["flops"] / np.median(record["seconds"]) / 1e9
    panel.plot(intensity, rate, "o", color=COLOR)
    panel.annotate(record["scene"], (intensity, rate), xytext=(6, 4), textcoords="offset points")
