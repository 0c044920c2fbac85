"""All panels of one run, for the page and the widget alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dgmmis.monitor.bokeh_parts import Div, InlineStyleSheet, UIElement, column, row
from dgmmis.monitor.component_panels import Counts, Plane
from dgmmis.monitor.html_parts import STYLE, alarms_html, facts_html, head_html, workers_html
from dgmmis.monitor.pass_panels import Amplitudes, Errors, Gains, LogLikelihood, Panel, Throughput
from dgmmis.monitor.pilot_sample import PilotSample
from dgmmis.monitor.record import RunRecord

__all__ = ["Board", "Text"]

TALL, HIGH = 408, 252


class Text:
    """HTML that is made of a record, and sent again only when it reads otherwise."""

    def __init__(self, write: Callable[[RunRecord], str], record: RunRecord, **settings: Any) -> None:
        self._write = write
        self.element = Div(
            text="",
            visible=False,
            sizing_mode="stretch_width",
            stylesheets=[InlineStyleSheet(css=STYLE)],
            **settings,
        )
        self.show(record)

    def show(self, record: RunRecord) -> None:
        """Write what is known now."""
        text = self._write(record)
        if text != self.element.text:
            self.element.text = text
            self.element.visible = bool(text)


class Board:
    """The panels of a run, and how they lie on the page.

    Parameters
    ----------
    record : RunRecord
        One that could be read.
    sample : PilotSample
    back : str
        Address of the list of runs; empty if there is none.
    narrow : bool
        Lay two figures side by side instead of three.
    """

    def __init__(
        self, record: RunRecord, sample: PilotSample, back: str = "", *, narrow: bool = False
    ) -> None:
        self._shown: object = None
        head, alarms = (
            Text(lambda now: head_html(now, back), record, name="head"),
            Text(alarms_html, record, name="alarms"),
        )
        tables = [Text(workers_html, record), Text(facts_html, record)]
        self._texts = [head, alarms, *tables]
        upper: list[Panel] = [LogLikelihood(record, HIGH), Gains(record, HIGH)]
        lower: list[Panel] = [Amplitudes(record, HIGH), Counts(record, HIGH)]
        plane = Plane(record, sample, TALL)
        last: list[Panel] = [Throughput(record, HIGH)] + ([Errors(record, HIGH)] if record.selected else [])
        self._of_passes: list[Panel] = [*upper, *lower, *last]
        self._panels: list[Panel] = [*self._of_passes, plane]
        arranged = _narrow if narrow else _wide
        lines = arranged(plane, upper, lower, last, [text.element for text in tables])
        self.show(record)
        self.layout: UIElement = column(
            head.element, alarms.element, *lines, sizing_mode="stretch_width", spacing=8
        )

    def show(self, record: RunRecord) -> None:
        """Show what is known now; figures are sent again only if there is something new for them."""
        for text in self._texts:
            text.show(record)
        new = (len(record.passes), record.components, record.tolerance)
        if record.state == "UNREADABLE" or new == self._shown:
            return
        self._shown = new
        for panel in self._panels:
            panel.show(record)
        for panel in self._of_passes:
            panel.element.visible = bool(record.passes)


def _beside(*elements: UIElement) -> UIElement:
    return row(*elements, sizing_mode="stretch_width", spacing=12)


def _below(*elements: UIElement) -> UIElement:
    return column(*elements, sizing_mode="stretch_width")


def _wide(
    plane: Panel, upper: list[Panel], lower: list[Panel], last: list[Panel], tables: list[UIElement]
) -> list[UIElement]:
    """Three columns; the last figures beside the tables, or above them if there are several."""
    pairs = [_below(above.element, below.element) for above, below in zip(upper, lower, strict=True)]
    ends = [panel.element for panel in last]
    rest = [_beside(*ends, *tables)] if len(ends) == 1 else [_beside(*ends), _beside(*tables)]
    return [_beside(_below(plane.element), *pairs), *rest]


def _narrow(
    plane: Panel, upper: list[Panel], lower: list[Panel], last: list[Panel], tables: list[UIElement]
) -> list[UIElement]:
    """Two columns."""
    first = _beside(_below(plane.element), _below(*[panel.element for panel in upper]))
    rest = [_beside(*[panel.element for panel in line]) for line in (lower, last)]
    return [first, *rest, *tables]
