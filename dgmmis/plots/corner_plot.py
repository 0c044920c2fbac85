"""The corner plot: every feature and every pair of features, rows and model together."""

from __future__ import annotations

import numpy as np

from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plots.corner_content import Corner, prepare_corner
from dgmmis.plots.corner_key import draw_key
from dgmmis.plots.drawing import look
from dgmmis.plots.ellipses import draw_ellipses
from dgmmis.plots.library import Axes, Figure, GridSpec, LogNorm
from dgmmis.plots.marginal_panel import draw_marginal
from dgmmis.plots.observed_rows import Observing
from dgmmis.plots.palette import counts_map
from dgmmis.plots.panel_grid import PanelGrid, panel_figure
from dgmmis.rows import Rows

__all__ = ["draw_corner", "draw_prepared"]

WIDTHS = {1: 9.6, 2: 8.4}
WIDEST = 10.6
FINEST = 90
"""Cells along an axis of a pair's panel, at most, in the largest panels."""
Counts = dict[tuple[int, int], Array]


def draw_corner(model: Model, rows: Rows | None = None, observing: Observing | None = None) -> Figure:
    """Draw a model over a sample of its rows.

    On the diagonal: the histogram of each feature, the model's density without noise, and that density
    blurred by the noise of the very rows in the histogram, which it must match.  Below: counts of the rows,
    and each component's ellipses at 1 and 2 sigma, without noise and with the median noise.  Of selected rows
    the second density also goes through the selection, and the first is that of the complete sample.

    Parameters
    ----------
    model : Model
        With more than six features, the six of `corner_features` are drawn.
    rows : Rows, optional
        A random sample of the rows; without, the model alone is drawn.
    observing : Observing, optional
        How the rows were selected, by the model's selection; default: not at all.
    """
    return draw_prepared(prepare_corner(model, rows, observing))


def draw_prepared(corner: Corner) -> Figure:
    """Draw what `prepare_corner` settled."""
    n_features = corner.n_features
    width = WIDTHS.get(n_features, WIDEST)
    panels = PanelGrid(corner.model.features, corner.model.units, corner.spans)
    counts = _count_cells(corner)
    norm = _norm(counts)
    with look():
        figure = panel_figure((width, 3.4 if n_features == 1 else 0.97 * width))
        ratios = [1.6, 1] if n_features == 1 else None
        grid = GridSpec(n_features, max(n_features, 2), figure=figure, width_ratios=ratios)
        for row in range(n_features):
            for column in range(row + 1):
                axes = figure.add_subplot(grid[row, column])
                if row == column:
                    draw_marginal(axes, corner, row)
                else:
                    _draw_pair(axes, corner, (column, row), counts, norm)
                panels.finish(axes, row, column)
        draw_key(figure.add_subplot(grid[0, 1:]), corner, norm)
        figure.align_labels()
    return figure


def _draw_pair(
    axes: Axes, corner: Corner, pair: tuple[int, int], counts: Counts, norm: LogNorm | None
) -> None:
    if norm is not None:
        cells = np.ma.masked_less_equal(counts[pair], 0)
        edges = [np.linspace(*corner.spans[j], cells.shape[0] + 1) for j in pair]
        axes.pcolormesh(edges[0], edges[1], cells.T, cmap=counts_map(), norm=norm, rasterized=True)
    draw_ellipses(axes, corner.model.mixture, pair, corner.colors, corner.noise)
    axes.set(xlim=corner.spans[pair[0]], ylim=corner.spans[pair[1]])


def _count_cells(corner: Corner) -> Counts:
    """Weight of the rows in the cells of each pair of features, of rows that observed both."""
    if corner.rows is None:
        return {}
    values, weights = corner.rows.values, corner.rows.weights
    observed, counts = ~np.isnan(values), {}
    finest = FINEST if corner.n_features < 4 else FINEST * 3 / corner.n_features
    for y in range(corner.n_features):
        for x in range(y):
            both = observed[:, x] & observed[:, y]
            counts[x, y], _, _ = np.histogram2d(
                values[both, x],
                values[both, y],
                bins=int(np.clip(0.7 * np.sqrt(both.sum()), 16, finest)),
                range=[corner.spans[x], corner.spans[y]],
                weights=None if weights is None else weights[both],
            )
    return counts


def _norm(counts: Counts) -> LogNorm | None:
    filled = np.concatenate([cells[cells > 0] for cells in counts.values()]) if counts else np.empty(0)
    if len(filled) == 0:
        return None
    return LogNorm(filled.min(), max(filled.max(), 2 * filled.min()))
