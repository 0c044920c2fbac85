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
    """

    def __init__(self, record: RunRecord, sample: PilotSample, back: str = "") -> None:
        self._shown: object = None
        head = Text(lambda now: head_html(now, back), record, name="head")
        alarms, facts = Text(alarms_html, record, name="alarms"), Text(facts_html, record)
        self._texts = [head, alarms, Text(workers_html, record), facts]
        log_likelihood, gains = LogLikelihood(record, HIGH), Gains(record, HIGH)
        amplitudes, counts = Amplitudes(record, HIGH), Counts(record, HIGH)
        tables = [text.element for text in self._texts[2:]]
        plane = Plane(record, sample, TALL)
        last = [Throughput(record, HIGH)] + ([Errors(record, HIGH)] if record.selected else [])
        self._panels: list[Panel] = [log_likelihood, gains, amplitudes, counts, plane, *last]
        self._of_passes = [log_likelihood, gains, amplitudes, counts, *last]
        self.show(record)
        self.layout: UIElement = column(
            head.element,
            alarms.element,
            row(
                column(plane.element, sizing_mode="stretch_width"),
                column(log_likelihood.element, amplitudes.element, sizing_mode="stretch_width"),
                column(gains.element, counts.element, sizing_mode="stretch_width"),
                sizing_mode="stretch_width",
                spacing=10,
            ),
            *[
                row(*line, sizing_mode="stretch_width", spacing=16)
                for line in _lines([p.element for p in last], tables)
            ],
            sizing_mode="stretch_width",
            spacing=8,
        )

    def show(self, record: RunRecord) -> None:
        """Show what is known now; figures are sent again only if there is something new for them."""
        for text in self._texts:
            text.show(record)
        if record.state == "UNREADABLE":
            return
        new = (len(record.passes), record.components, record.tolerance)
        if new == self._shown:
            return
        self._shown = new
        for panel in self._panels:
            panel.show(record)
        for panel in self._of_passes:
            panel.element.visible = bool(record.passes)


def _lines(figures: list[UIElement], tables: list[UIElement]) -> list[list[UIElement]]:
    """Put the last figures beside the tables, or, if there are several, above them."""
    return [[*figures, *tables]] if len(figures) == 1 else [figures, tables]
