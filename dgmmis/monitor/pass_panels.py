"""Panels over the passes: log-likelihood, gains, amplitudes, throughput, Monte-Carlo errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from dgmmis.imputed_passes import WANTED_ERROR
from dgmmis.monitor.bokeh_parts import (
    ColumnDataSource,
    HoverTool,
    LinearAxis,
    Range1d,
    Span,
    UIElement,
    figure,
)
from dgmmis.monitor.look import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    component_color,
    empty_figure,
    style_axis,
    style_legend,
)
from dgmmis.monitor.record import NAN, PassRecord, RunRecord

__all__ = ["Amplitudes", "Errors", "Gains", "LogLikelihood", "Panel", "Throughput"]

PASSES = "pass"
MEGABYTE = 1e6
MARKED = 60
"""Passes that get marks."""
FARTHEST = 1e-4
"""A tolerance that is a smaller share of the least gain is not kept in sight."""
LABELLED, APART = 12, 0.07
"""Amplitudes are numbered if they are so few, and so far apart, as a share of the height."""


class Panel(Protocol):
    """A part of the page."""

    @property
    def element(self) -> UIElement:
        """What is shown."""

    def show(self, record: RunRecord) -> None:
        """Show what is known now."""


def _lines(
    made: figure,
    source: ColumnDataSource,
    name: str,
    color: str,
    label: str,
    dash: str = "solid",
    marker: str = "circle",
) -> None:
    made.line("number", name, source=source, color=color, line_width=2, line_dash=dash, legend_label=label)
    made.scatter("number", name, source=source, color=color, size="size", marker=marker, legend_label=label)


class LogLikelihood:
    """ln L per row, pass by pass."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource({"number": [], "size": [], "mean": [], "total": []})
        self.element = empty_figure(
            "Log-likelihood per row", height, x_axis_label=PASSES, y_axis_label="nats"
        )
        self.element.line("number", "mean", source=self._source, color=BLUE, line_width=2)
        self.element.scatter("number", "mean", source=self._source, color=BLUE, size="size")
        self.element.yaxis.formatter.use_scientific = False
        self.element.add_tools(
            HoverTool(
                tooltips=[("pass", "@number"), ("per row", "@mean{0.000000}"), ("in all", "@total{0,0.00}")]
            )
        )
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show all passes."""
        self._source.data = {
            **_numbers(record),
            "mean": [one.mean_log_likelihood for one in record.passes],
            "total": [one.log_likelihood for one in record.passes],
        }


class Gains:
    """What passes gained, and what is predicted still to be gained; where the lines meet the tolerance it is done."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource({"number": [], "size": [], "gain": [], "predicted": []})
        self.element = empty_figure(
            "Gained, and still to gain", height,
            x_axis_label=PASSES, y_axis_label="total nats", y_axis_type="log",
            y_range=Range1d(start=0.1, end=10),
        )  # fmt: skip
        self._tolerance = Span(
            location=NAN, dimension="width", line_color=INK, line_dash="dashed", line_width=1.5
        )
        self.element.add_layout(self._tolerance)
        _lines(self.element, self._source, "gain", BLUE, "gained")
        _lines(self.element, self._source, "predicted", ORANGE, "still to gain, predicted", marker="square")
        self.element.line([NAN], [NAN], color=INK, line_dash="dashed", legend_label="tolerance")
        style_legend(self.element)
        self.element.add_tools(
            HoverTool(tooltips=[("pass", "@number"), ("gained", "@gain"), ("still to gain", "@predicted")])
        )
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show all passes; what is not known, or no gain, leaves a gap."""
        predicted = [_positive(one.predicted_gain) for one in record.passes]
        gains = [_positive(one.gain) for one in record.passes]
        self._source.data = {
            **_numbers(record), "gain": gains, "predicted": predicted,
        }  # fmt: skip
        self._tolerance.location = record.tolerance if record.tolerance > 0 else None
        shown = [value for value in (*gains, *predicted) if value == value]
        if shown:
            low, wanted = min(shown), _positive(record.tolerance)
            low = wanted if FARTHEST * low < wanted < low else low  # a far tolerance would flatten all else
            self.element.y_range.start, self.element.y_range.end = 0.4 * low, 3 * max(*shown, low)


class Amplitudes:
    """Amplitudes of the components over the passes."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource({"xs": [], "ys": [], "color": [], "k": []})
        self.element = empty_figure(
            "Amplitudes", height, x_axis_label=PASSES, y_axis_label="share of the population", y_axis_type="log",
            y_range=Range1d(start=0.01, end=1),
        )  # fmt: skip
        self.element.multi_line("xs", "ys", source=self._source, color="color", line_width=2)
        self.element.x_range.range_padding = 0.12  # room for the numbers
        self._labels = ColumnDataSource({"x": [], "y": [], "text": [], "color": []})
        self.element.text(
            "x", "y", "text", source=self._labels, color="color", x_offset=5, text_baseline="middle",
            text_font_size="12px", text_font_style="bold",
        )  # fmt: skip
        self.element.add_tools(
            HoverTool(tooltips=[("component", "@k"), ("pass", "$x{0}"), ("amplitude", "$y{0.0000}")])
        )
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show all passes that were logged."""
        known = [one for one in record.passes if one.amplitudes]
        count = max((len(one.amplitudes) for one in known), default=0)
        self._source.data = {
            "xs": [[one.number for one in known] for _ in range(count)],
            "ys": [[_share(one, k) for one in known] for k in range(count)],
            "color": [component_color(k, count) for k in range(count)],
            "k": list(range(count)),
        }
        shown = [share for line in self._source.data["ys"] for share in line if share == share]
        if shown:
            self.element.y_range.start, self.element.y_range.end = 0.85 * min(shown), 1.15 * max(shown)
        self._labels.data = _labels(known[-1], count) if known and count <= LABELLED else NO_LABELS


NO_LABELS: dict[str, list[Any]] = {"x": [], "y": [], "text": [], "color": []}


def _labels(last: PassRecord, count: int) -> dict[str, list[Any]]:
    """Put numbers at the ends of the lines, from the largest on, but for those that would be written over another."""
    ends = {k: _share(last, k) for k in range(count)}
    known = sorted((k for k in ends if ends[k] == ends[k]), key=lambda k: -ends[k])
    height = math.log(ends[known[0]] / ends[known[-1]]) if known else 0.0
    labelled: list[int] = []
    for k in known:
        if not labelled or math.log(ends[labelled[-1]] / ends[k]) >= APART * height:
            labelled.append(k)
    return {
        "x": [last.number] * len(labelled),
        "y": [ends[k] for k in labelled],
        "text": [str(k) for k in labelled],
        "color": [component_color(k, count) for k in labelled],
    }


class Throughput:
    """Rows per second; the other axis gives the same in stored bytes."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource({"number": [], "size": [], "rows": [], "seconds": [], "bytes": []})
        self.element = empty_figure(
            "Speed of each pass", height, x_axis_label=PASSES, y_axis_label="million rows / s"
        )
        self.element.y_range = Range1d(start=0, end=1)
        self.element.extra_y_ranges = {"bytes": Range1d(start=0, end=1)}
        axis = LinearAxis(y_range_name="bytes", axis_label="MB / s of the catalogue")
        style_axis(axis)
        self.element.add_layout(axis, "right")
        self.element.toolbar_location = "above"
        self.element.line("number", "rows", source=self._source, color=BLUE, line_width=2)
        self.element.scatter("number", "rows", source=self._source, color=BLUE, size="size")
        tooltips = [("pass", "@number"), ("seconds", "@seconds{0.00}"), ("million rows/s", "@rows{0.000}")]
        self.element.add_tools(HoverTool(tooltips=[*tooltips, ("MB/s", "@bytes{0.0}")]))
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show all passes that were logged."""
        rows = [one.rows_per_second / MEGABYTE for one in record.passes]
        nbytes = [one.bytes_per_second / MEGABYTE for one in record.passes]
        self._source.data = {
            **_numbers(record), "rows": rows, "bytes": nbytes,
            "seconds": [one.seconds for one in record.passes],
        }  # fmt: skip
        self.element.y_range.end = 1.1 * _largest(rows)
        self.element.extra_y_ranges["bytes"].end = 1.1 * _largest(nbytes)


class Errors:
    """Monte-Carlo errors of a fit whose rows were selected."""

    def __init__(self, record: RunRecord, height: int) -> None:
        self._source = ColumnDataSource(
            {"number": [], "size": [], "log_likelihood": [], "score": [], "completeness": []}
        )
        self.element = empty_figure(
            "Monte-Carlo errors under the selection",
            height,
            x_axis_label=PASSES,
            y_axis_type="log",
            y_range=Range1d(start=0.01, end=10),
        )
        _lines(self.element, self._source, "log_likelihood", BLUE, "ln L [nats], mostly an offset")
        _lines(self.element, self._source, "completeness", MUTED, "completeness", marker="triangle")
        self.element.scatter(
            "number", "score", source=self._source, color=ORANGE, size=9, marker="square",
            legend_label="parameters [standard errors]",
        )  # fmt: skip
        wanted = Span(
            location=WANTED_ERROR, dimension="width", line_color=ORANGE, line_dash="dashed", line_width=1.5
        )
        self.element.add_layout(wanted)
        self.element.line(
            [NAN], [NAN], color=ORANGE, line_dash="dashed", legend_label=f"wanted of these: {WANTED_ERROR:g}"
        )
        style_legend(self.element, 4)
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Show all passes; the parameters' error is judged only where the fit seems to stand."""
        self._source.data = {
            **_numbers(record),
            "log_likelihood": [_positive(one.log_likelihood_error) for one in record.passes],
            "completeness": [_positive(one.completeness_error) for one in record.passes],
            "score": [_positive(one.score_error) for one in record.passes],
        }
        data = self._source.data
        shown = [v for key in ("log_likelihood", "completeness", "score") for v in data[key] if v == v]
        if shown:
            bounds = (*shown, WANTED_ERROR)
            self.element.y_range.start, self.element.y_range.end = 0.3 * min(bounds), 4 * max(bounds)


def _numbers(record: RunRecord) -> dict[str, list[Any]]:
    """Where passes lie on the axis, and how large their marks are: seen while they are few enough to be told apart."""
    numbers = [one.number for one in record.passes]
    return {"number": numbers, "size": [5 if len(numbers) <= MARKED else 0] * len(numbers)}


def _positive(value: float) -> float:
    return value if 0 < value < math.inf else NAN


def _share(one: PassRecord, k: int) -> float:
    """Amplitude in the whole, NaN for a component that was not there."""
    if k >= len(one.amplitudes):
        return NAN
    return _positive((1 - sum(one.backgrounds)) * one.amplitudes[k])


def _largest(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=0.0) or 1.0
