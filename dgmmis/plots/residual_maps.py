"""How far what was observed is from what the model expects, cell by cell."""

from __future__ import annotations

import numpy as np

from dgmmis.checking import Cells, ModelCheck, WorstCell
from dgmmis.plots.check_content import CheckContent
from dgmmis.plots.drawing import FAINT, INK, MUTED, look
from dgmmis.plots.library import (
    Axes,
    Figure,
    GridSpec,
    Normalize,
    Patch,
    Rectangle,
    ScalarMappable,
    withStroke,
)
from dgmmis.plots.palette import deviations_map
from dgmmis.plots.panel_grid import panel_figure

__all__ = ["draw_residuals"]

LIMIT = 5.0
"""Standard deviations at which the colours end."""
EMPTY = "#eef0f3"
SIZES = {1: (9.6, 3.4), 2: (8.4, 8.1)}
LARGEST = (10.6, 10.3)
HALO = (withStroke(linewidth=2.2, foreground="white"),)


def draw_residuals(check: ModelCheck) -> Figure:
    """Draw the significance of the difference between rows and model in every cell.

    On the diagonal each feature, below it each pair, in standard deviations of what is expected: orange where there
    are more rows than the model expects, blue where there are fewer.  The cells that `dgmmis.checking.worst_cells`
    lists are framed and numbered in its order.

    Parameters
    ----------
    check : ModelCheck
        Of more than six features, six are drawn.
    """
    content = CheckContent.of(check)
    d = len(content.columns)
    panels = content.panels()
    marked = content.marked()
    with look():
        figure = panel_figure(SIZES.get(d, LARGEST))
        grid = GridSpec(d, max(d, 2), figure=figure, width_ratios=[1.6, 1] if d == 1 else None)
        for row in range(d):
            for column in range(row + 1):
                axes = figure.add_subplot(grid[row, column])
                if row == column:
                    _draw_single(axes, content.single(row))
                else:
                    _draw_pair(axes, content.pair(column, row))
                _mark(axes, marked, tuple(content.columns[place] for place in sorted({column, row})))
                panels.finish(axes, row, column)
        _draw_key(figure.add_subplot(grid[0, 1:]), d, numbered=bool(marked))
        figure.align_labels()
    return figure


def _norm() -> Normalize:
    return Normalize(-LIMIT, LIMIT)


def _reach(cells: Cells) -> float:
    return float(np.clip(1.15 * np.abs(cells.significance).max(), 4.4, 30))


def _draw_single(axes: Axes, cells: Cells) -> None:
    edges, values = cells.edges[0], cells.significance
    reach = _reach(cells)
    colors = deviations_map()(_norm()(np.clip(values, -LIMIT, LIMIT)))
    axes.axhspan(-2, 2, color=EMPTY, zorder=0)
    axes.bar(
        edges[:-1], np.clip(values, -reach, reach), np.diff(edges), align="edge",
        color=colors, edgecolor="#aab2be", linewidth=0.4, zorder=2,
    )  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=3)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(-reach, reach), yticks=[])
    for level in (-4, -2, 2, 4) if reach < 9 else (-4, 4):
        axes.axhline(level, color=FAINT, linewidth=0.5, zorder=1)
        axes.annotate(
            f"{level:+d}".replace("-", "\N{MINUS SIGN}"), (1, level), (3, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="left", va="center", fontsize=7, color=MUTED, annotation_clip=False,
        )  # fmt: skip


def _draw_pair(axes: Axes, cells: Cells) -> None:
    axes.set_facecolor(EMPTY)
    shown = np.ma.masked_array(cells.significance, ~cells.filled).T
    axes.pcolormesh(*cells.edges, shown, cmap=deviations_map(), norm=_norm(), rasterized=True)
    axes.set(xlim=(cells.edges[0][0], cells.edges[0][-1]), ylim=(cells.edges[1][0], cells.edges[1][-1]))


def _mark(axes: Axes, marked: list[tuple[int, WorstCell]], columns: tuple[int, ...]) -> None:
    """Frame the worst cells of a panel and number them."""
    for number, cell in marked:
        if cell.columns != columns:
            continue
        x = _within(cell.sides[0], axes.get_xlim())
        y = axes.get_ylim() if len(columns) == 1 else _within(cell.sides[1], axes.get_ylim())
        frame = Rectangle(
            (x[0], y[0]), x[1] - x[0], y[1] - y[0], fill=False, edgecolor=INK, linewidth=1.1, zorder=5
        )
        frame.set_path_effects(list(HALO))
        axes.add_patch(frame)
        right = sum(x) > sum(axes.get_xlim())
        axes.annotate(
            str(number), (x[0] if right else x[1], y[1]), (-2 if right else 2, -1), textcoords="offset points",
            ha="right" if right else "left", va="top", fontsize=8.5, fontweight="bold", color=INK,
            path_effects=list(HALO), zorder=6,
        )  # fmt: skip


def _within(side: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    return max(side[0], limits[0]), min(side[1], limits[1])


def _draw_key(axes: Axes, d: int, numbered: bool) -> None:
    axes.axis("off")
    bounds = (0.08, 0.62, 0.88, 0.07) if d <= 2 else (0.52, 0.62, 0.46, 0.09)
    scale = axes.inset_axes(bounds)
    assert axes.figure is not None
    bar = axes.figure.colorbar(
        ScalarMappable(_norm(), deviations_map()), cax=scale, orientation="horizontal", extend="both",
        ticks=[-4, -2, 0, 2, 4],
    )  # fmt: skip
    bar.outline.set_linewidth(0.4)
    scale.set_title("observed less expected, in standard deviations", fontsize=8.5, loc="left", pad=5)
    scale.set_in_layout(False)
    handles = [
        Patch(
            facecolor=EMPTY,
            edgecolor=FAINT,
            label="nothing observed, nothing expected" if d > 1 else "within 2 standard deviations",
        ),
    ]
    if numbered:
        handles.append(Patch(facecolor="white", edgecolor=INK, label="the worst cells, numbered as listed"))
    key = axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(bounds[0] - 0.02, 0.42),
        borderaxespad=0,
    )  # fmt: skip
    key.set_in_layout(False)
