"""Rows as they were observed, beside a simulated catalogue."""

from __future__ import annotations

import numpy as np

from dgmmis.checking import Cells, ModelCheck
from dgmmis.packed import Array
from dgmmis.plots.check_content import CheckContent
from dgmmis.plots.drawing import INK, look
from dgmmis.plots.library import (
    Axes,
    Figure,
    FuncFormatter,
    GridSpec,
    Line2D,
    LogLocator,
    LogNorm,
    Patch,
    ScalarMappable,
    withStroke,
)
from dgmmis.plots.palette import counts_map
from dgmmis.plots.panel_grid import panel_figure

__all__ = ["draw_data_and_model"]

MODEL = "#D55E00"
WIDE, NARROW = "#f9dcc4", "#f0b48a"
DOTS = 3.0
HALO = (withStroke(linewidth=2.4, foreground="white"),)
SIZES = {1: (7.4, 3.6), 2: (8.4, 8.6)}
LARGEST = (10.6, 11.0)


def draw_data_and_model(check: ModelCheck) -> Figure:
    """Draw the rows of a check beside a simulated catalogue, feature by feature and pair by pair.

    On the diagonal: the rows in each cell as dots, what the model expects with its scatter at 1 and 2 standard
    deviations as bands.  Below it: the rows of each pair.  Above it, mirrored: those of the first simulated
    catalogue, in the same shades.

    Parameters
    ----------
    check : ModelCheck
        Of more than six features, six are drawn.
    """
    content = CheckContent.of(check)
    d = len(content.columns)
    panels = content.panels(full=True)
    replicates = {(x, y): _replicate(check, content.pair(x, y)) for y in range(d) for x in range(y)}
    norm = _norm(content, replicates)
    with look():
        figure = panel_figure(SIZES.get(d, LARGEST))
        grid = GridSpec(d + 1, d, figure=figure, height_ratios=[0.11 * d if d > 1 else 0.12, *[1] * d])
        for row in range(d):
            for column in range(d):
                axes = figure.add_subplot(grid[row + 1, column])
                if row == column:
                    _draw_single(axes, content.single(row))
                elif column < row:
                    cells = content.pair(column, row)
                    _draw_counts(axes, cells.observed.T, cells.edges, norm, "observed")
                else:
                    cells = content.pair(row, column)
                    _draw_counts(axes, replicates[row, column], cells.edges[::-1], norm, "simulated")
                panels.finish(axes, row, column)
        _draw_key(figure.add_subplot(grid[0, :]), norm, check.is_weighted)
        figure.align_labels()
    return figure


def _replicate(check: ModelCheck, cells: Cells) -> Array:
    """Weights of the first simulated catalogue in the cells of a pair."""
    values = check.simulated.values[0][:, list(cells.columns)]
    present = ~np.isnan(values).any(axis=1)
    inside = [
        np.clip(values[present, j], side[0], np.nextafter(side[-1], -np.inf))
        for j, side in enumerate(cells.edges)
    ]
    weights = None if check.rows.weights is None else check.rows.weights[present]
    return np.asarray(np.histogram2d(inside[0], inside[1], bins=list(cells.edges), weights=weights)[0])


def _norm(content: CheckContent, replicates: dict[tuple[int, int], Array]) -> LogNorm | None:
    counts = [*replicates.values(), *(content.pair(*pair).observed for pair in replicates)]
    filled = np.concatenate([cells[cells > 0] for cells in counts]) if counts else np.empty(0)
    if not len(filled):
        return None
    return LogNorm(filled.min(), max(filled.max(), 2 * filled.min()))


def _draw_single(axes: Axes, cells: Cells) -> None:
    edges = cells.edges[0]
    middle = (edges[1:] + edges[:-1]) / 2
    for deviations, color in ((2, WIDE), (1, NARROW)):
        low = np.maximum(cells.expected - deviations * cells.scatter, 0)
        axes.stairs(cells.expected + deviations * cells.scatter, edges, baseline=low, fill=True, color=color)
    axes.stairs(cells.expected, edges, color=MODEL, linewidth=1.1)
    axes.plot(middle, cells.observed, linestyle="none", marker="o", markersize=DOTS, color=INK)
    top = max(float((cells.expected + 2 * cells.scatter).max()), float(cells.observed.max()), 1e-300)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * top), yticks=[])


def _draw_counts(
    axes: Axes, counts: Array, edges: tuple[Array, ...], norm: LogNorm | None, label: str
) -> None:
    cells = np.ma.masked_less_equal(counts, 0)
    axes.pcolormesh(edges[0], edges[1], cells, cmap=counts_map(), norm=norm, rasterized=True)
    axes.set(xlim=(edges[0][0], edges[0][-1]), ylim=(edges[1][0], edges[1][-1]))
    axes.text(
        0.04,
        0.955,
        label,
        transform=axes.transAxes,
        va="top",
        fontsize=8,
        color=INK if label == "observed" else MODEL,
        path_effects=list(HALO),
    )


def _draw_key(axes: Axes, norm: LogNorm | None, weighted: bool) -> None:
    axes.axis("off")
    what = "weight" if weighted else "rows"
    handles = [
        Line2D(
            [], [], color=INK, marker="o", markersize=DOTS, linestyle="none", label=f"{what}, as observed"
        ),
        Line2D([], [], color=MODEL, linewidth=1.1, label="expected by the model"),
        Patch(color=NARROW, label="± 1 standard deviation"),
        Patch(color=WIDE, label="± 2 standard deviations"),
    ]
    key = axes.legend(
        handles=handles,
        loc="upper left",
        ncols=2 if norm is not None else 4,
        borderaxespad=0,
        columnspacing=1.4,
    )
    key.set_in_layout(False)
    if norm is None or axes.figure is None:
        return
    scale = axes.inset_axes((0.68, 0.25, 0.32, 0.3))
    bar = axes.figure.colorbar(
        ScalarMappable(norm, counts_map()),
        cax=scale,
        orientation="horizontal",
        ticks=LogLocator(10, numticks=6),
    )
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    scale.set_title(f"{what} per cell, observed and simulated", fontsize=8.5, loc="left", pad=4)
    scale.set_in_layout(False)
