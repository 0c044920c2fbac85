"""Panels of the components as they stand: their rows, and their ellipses over the data."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from dgmmis.monitor.bokeh_parts import (
    ColumnDataSource,
    Div,
    HoverTool,
    InlineStyleSheet,
    LinearColorMapper,
    Range1d,
    Select,
    Span,
    column,
    figure,
    row,
)
from dgmmis.monitor.html_parts import STYLE
from dgmmis.monitor.look import INK, component_color, empty_figure, feature_name, ink_on, style_legend
from dgmmis.monitor.pilot_sample import PilotSample, ellipse, span_of
from dgmmis.monitor.record import NAN, Components, RunRecord

__all__ = ["Counts", "Plane"]

MANY = 30
"""More components than this are drawn as one ellipse each, the fainter the smaller their amplitude."""
NUMBERED = 12
BINS = (24, 80)
"""Fewest and most bins along a side."""
ROWS_OF_BIN = 10
GREYS = ["#e9ecf1", "#d5dae2", "#bec5d1", "#a5aebd", "#8b96a8", "#717d92"]


class Counts:
    """Effective rows of each component, against the numbers that it has to fit."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource({"k": [], "count": [], "color": [], "low": []})
        self.element = empty_figure(
            "Effective rows", height,
            x_axis_label="component", y_axis_label="rows", y_axis_type="log",
            y_range=Range1d(start=1, end=10),
        )  # fmt: skip
        self.element.vbar("k", 0.72, "count", "low", source=self._source, color="color")
        threshold = Span(
            location=record.n_parameters,
            dimension="width",
            line_color=INK,
            line_dash="dashed",
            line_width=1.5,
        )
        self.element.add_layout(threshold)
        self.element.line(
            [NAN],
            [NAN],
            color=INK,
            line_dash="dashed",
            legend_label="starving below: its numbers to fit",
        )
        style_legend(self.element)
        self.element.add_tools(HoverTool(tooltips=[("component", "@k"), ("effective rows", "@count{0,0.0}")]))
        self._threshold = record.n_parameters
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show the counts under the last pass."""
        if record.components is None or not np.isfinite(record.components.counts).all():
            return
        counts = record.components.counts
        lowest = 0.3 * min(self._threshold, max(float(counts.min()), 1.0))
        self.element.y_range.start = lowest
        self.element.y_range.end = 2 * max(float(counts.max()), self._threshold)
        self._source.data = {
            "k": list(range(len(counts))),
            "count": np.maximum(counts, lowest).tolist(),
            "low": [lowest] * len(counts),
            "color": [component_color(k, len(counts)) for k in range(len(counts))],
        }


class Plane:
    """Components as ellipses over the rows of the random sample, in the plane of two features.

    Parameters
    ----------
    record : RunRecord
    sample : PilotSample
    height : int
    """

    def __init__(self, record: RunRecord, sample: PilotSample, height: int) -> None:
        self._record, self._sample = record, sample
        names = [feature_name(*pair) for pair in zip(record.features, record.units, strict=True)]
        options = [(str(j), name) for j, name in enumerate(names)]
        self._x = Select(title="across", value="0", options=options, width=150, name="across")
        self._y = Select(title="up", value=str(min(1, len(names) - 1)), options=options, width=150, name="up")
        self._names = names
        self._rows = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self._lines = ColumnDataSource({"xs": [], "ys": [], "color": [], "alpha": [], "width": []})
        self._means = ColumnDataSource(
            dict.fromkeys(("x", "y", "color", "ink", "size", "text", "share", "rows"), ())
        )
        self._cross = ColumnDataSource({"xs": [], "ys": []})
        self.figure = self._drawn(height)
        self._x.on_change("value", self._choose)
        self._y.on_change("value", self._choose)
        caption = Div(
            text=self._caption(), stylesheets=[InlineStyleSheet(css=STYLE)], sizing_mode="stretch_width"
        )
        self.element = column(
            row(self._x, self._y, sizing_mode="stretch_width"),
            self.figure,
            caption,
            sizing_mode="stretch_width",
        )
        self._frame()
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Move the ellipses to where the components are now."""
        self._record = record
        components = record.components
        when = (
            "where the fit starts"
            if components is None or components.number < 0
            else f"pass {components.number}"
        )
        self.figure.title.text = f"Components over the data: {when}"
        if components is None:
            return
        pair = [int(self._x.value), int(self._y.value)]
        means, blocks = components.means[:, pair], components.covariances[:, pair][:, :, pair]
        self._lines.data = _ellipses(components, means, blocks)
        count = len(means)
        self._means.data = {
            "x": means[:, 0].tolist(), "y": means[:, 1].tolist(),
            "color": [component_color(k, count) for k in range(count)],
            "text": [str(k) if count <= NUMBERED else "" for k in range(count)],
            "ink": [ink_on(component_color(k, count)) for k in range(count)],
            "size": [17 if count <= NUMBERED else 6] * count,
            "share": components.amplitudes.tolist(), "rows": components.counts.tolist(),
        }  # fmt: skip

    def _drawn(self, height: int) -> figure:
        made = empty_figure("", height, x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1))
        made.ygrid.grid_line_color = None
        mapper = LinearColorMapper(palette=GREYS, nan_color="rgba(0,0,0,0)")
        made.image("image", "x", "y", "dw", "dh", source=self._rows, color_mapper=mapper)
        made.multi_line("xs", "ys", source=self._lines, color="white", alpha=0.6, line_width=4)
        made.multi_line("xs", "ys", source=self._lines, color="color", alpha="alpha", line_width="width")
        dots = made.scatter("x", "y", source=self._means, color="color", size="size", line_color="white")
        made.text(
            "x", "y", "text", source=self._means, color="ink", text_align="center", text_baseline="middle",
            text_font_size="11px", text_font_style="bold",
        )  # fmt: skip
        made.multi_line("xs", "ys", source=self._cross, color=INK, line_width=2)
        made.add_tools(
            HoverTool(
                renderers=[dots],
                tooltips=[
                    ("component", "$index"),
                    ("amplitude", "@share{0.0000}"),
                    ("effective rows", "@rows{0,0.0}"),
                ],
            )
        )
        return made

    def _caption(self) -> str:
        ellipses = "Ellipses: 1 and 2 sigma of the mixture that lies behind the noise."
        if self._sample.problem:
            return f"{ellipses} No rows are shown: {escape(self._sample.problem)}"
        if not self._sample.errors.any():
            return f"{ellipses} Grey: rows of a random sample; they have no noise."
        return (
            f"{ellipses} Grey: rows of a random sample as they were observed, with their noise, so they spread wider; "
            "the cross is a typical error of a row (± 1 sigma)."
        )

    def _choose(self, _attribute: str, _old: Any, _new: Any) -> None:
        self._frame()
        self.show(self._record)

    def _frame(self) -> None:
        """Bin the rows of the chosen pair, and set the axes to it."""
        x, y = int(self._x.value), int(self._y.value)
        spans = [span_of(feature, self._sample, self._record.components) for feature in (x, y)]
        (x0, x1), (y0, y1) = spans
        self.figure.x_range.update(start=x0, end=x1, reset_start=x0, reset_end=x1)
        self.figure.y_range.update(start=y0, end=y1, reset_start=y0, reset_end=y1)
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = self._names[x], self._names[y]
        bins = int(np.clip(np.sqrt(len(self._sample.values) / ROWS_OF_BIN), *BINS))
        counts = self._sample.counts(x, y, spans[0], spans[1], bins)
        with np.errstate(divide="ignore"):
            image = np.where(counts > 0, np.log(counts), np.nan)
        self._rows.data = {"image": [image], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}
        half = self._sample.errors[[x, y]]
        corner = np.array([x0 + 0.1 * (x1 - x0), y0 + 0.12 * (y1 - y0)])
        corner = np.maximum(corner, [x0 + 1.2 * half[0], y0 + 1.2 * half[1]])
        self._cross.data = {
            "xs": [[corner[0] - half[0], corner[0] + half[0]], [corner[0]] * 2] if half.any() else [],
            "ys": [[corner[1]] * 2, [corner[1] - half[1], corner[1] + half[1]]] if half.any() else [],
        }


def _ellipses(components: Components, means: Any, blocks: Any) -> dict[str, list[Any]]:
    """Draw few components twice, many once and fainter where they are small."""
    count = len(means)
    radii = (1, 2) if count <= MANY else (1,)
    strength = (
        np.sqrt(components.amplitudes / components.amplitudes.max()) if count > MANY else np.ones(count)
    )
    which = [(k, radius) for radius in radii for k in range(count)]
    lines = [ellipse(means[k], blocks[k], radius) for k, radius in which]
    return {
        "xs": [line[:, 0] for line in lines],
        "ys": [line[:, 1] for line in lines],
        "color": [component_color(k, count) for k, _ in which],
        "alpha": [0.15 + 0.85 * float(strength[k]) for k, _ in which],
        "width": [2.2 if radius == 1 else 1.4 for _, radius in which],
    }
