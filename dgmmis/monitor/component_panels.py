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
from dgmmis.monitor.pilot_sample import PilotSample, span_of
from dgmmis.monitor.plane_content import NO_BARS, NO_IMAGE, bars, cross, curves, ellipses, image
from dgmmis.monitor.record import NAN, RunRecord

__all__ = ["Counts", "Plane"]

NUMBERED = 12
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
    """Components as ellipses over the rows of the random sample, in the plane of two features; of one, as curves.

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
        self._rows, self._bars = ColumnDataSource(NO_IMAGE), ColumnDataSource(NO_BARS)
        self._spans = (0.0, 1.0), (0.0, 1.0)
        self._lines = ColumnDataSource({"xs": [], "ys": [], "color": [], "alpha": [], "width": []})
        self._means = ColumnDataSource(
            dict.fromkeys(("x", "y", "color", "ink", "size", "text", "share", "rows"), ())
        )
        self._cross = ColumnDataSource({"xs": [], "ys": []})
        self.figure = self._drawn(height)
        self._x.on_change("value", self._choose)
        self._y.on_change("value", self._choose)
        self._said = Div(stylesheets=[InlineStyleSheet(css=STYLE)], sizing_mode="stretch_width")
        self.element = column(
            row(self._x, self._y, sizing_mode="stretch_width"),
            self.figure,
            self._said,
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
        x, y = self._chosen
        if x == y:
            self._lines.data, places = curves(components, x, self._spans[0])
        else:
            self._lines.data, places = ellipses(components, [x, y])
        count = len(places)
        self._means.data = {
            "x": places[:, 0].tolist(), "y": places[:, 1].tolist(),
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
        made.quad("left", "right", "top", 0, source=self._bars, color=GREYS[1])
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
        x, y = self._chosen
        what = "Lines: densities" if x == y else "Ellipses: 1 and 2 sigma"
        lines = f"{what} of the mixture that lies behind the noise."
        if self._sample.problem:
            return f"{lines} No rows are shown: {escape(self._sample.problem)}"
        if not self._sample.errors.any():
            return f"{lines} Grey: rows of a random sample; they have no noise."
        mark = "bar" if x == y else "cross"
        return (
            f"{lines} Grey: rows of a random sample as they were observed, with their noise, so they spread wider; "
            f"the {mark} is a typical error of a row (± 1 sigma)."
        )

    def _choose(self, _attribute: str, _old: Any, _new: Any) -> None:
        self._frame()
        self.show(self._record)

    @property
    def _chosen(self) -> tuple[int, int]:
        return int(self._x.value), int(self._y.value)

    def _frame(self) -> None:
        """Bin the rows of the chosen pair, and set the axes to it; the same feature twice is seen along a line."""
        x, y = self._chosen
        span = span_of(x, self._sample, self._record.components)
        if x == y:
            self._bars.data, self._rows.data = bars(self._sample, x, span), NO_IMAGE
            self._spans = (
                span,
                (0.0, 1.25 * max([*self._bars.data["top"], *self._peaks(x, span)], default=1.0)),
            )
            errors = np.array([self._sample.errors[x], 0.0])
        else:
            self._spans = span, span_of(y, self._sample, self._record.components)
            self._bars.data, self._rows.data = NO_BARS, image(self._sample, x, y, self._spans)
            errors = self._sample.errors[[x, y]]
        self._cross.data = cross(errors, self._spans)
        for axis, (low, high) in zip((self.figure.x_range, self.figure.y_range), self._spans, strict=True):
            axis.update(start=low, end=high, reset_start=low, reset_end=high)
        self.figure.xaxis.axis_label = self._names[x]
        self.figure.yaxis.axis_label = "density" if x == y else self._names[y]
        self._said.text = self._caption()

    def _peaks(self, feature: int, span: tuple[float, float]) -> list[float]:
        components = self._record.components
        return [] if components is None else curves(components, feature, span)[1][:, 1].tolist()
