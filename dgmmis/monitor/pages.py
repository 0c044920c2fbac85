"""The pages: the list of the runs of a root, and one for each run; each is a document that follows what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from typing import TypeVar

from dgmmis.errors import DgmmisError
from dgmmis.monitor.alarms import alarms_of
from dgmmis.monitor.board import Board
from dgmmis.monitor.bokeh_parts import Div, Document, InlineStyleSheet, column
from dgmmis.monitor.html_parts import STYLE, now_text, state_html, table_html
from dgmmis.monitor.pilot_sample import PilotSample
from dgmmis.monitor.record import RunRecord
from dgmmis.monitor.watched import Watched, WatchedRoot, address_of
from dgmmis.monitor.words import UNKNOWN, count_words, duration_words, number_words

__all__ = ["TEMPLATE", "list_page", "run_page"]

Found = TypeVar("Found")

EVERY = 1000
"""Milliseconds between two looks."""
TEMPLATE = """
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  html, body { margin: 0; background: #fff; }
  body { padding: 10px 18px 18px; font-family: system-ui, sans-serif; color: #1f2733; }
  #lost { display: none; margin: 0 0 8px; padding: 6px 10px; background: #fdeeee; border-left: 4px solid #a11b1b; }
</style>
{% endblock %}
{% block contents %}
<div id="lost" role="alert">The dashboard does not answer any more: what you see is how things were. The fit does not
depend on it. Start it again, and this page goes on by itself.</div>
<noscript>This page is drawn by scripts, which your browser has switched off. <code>dgmmis status</code> tells the same
in a shell.</noscript>
{{ super() }}
<script>
  const follow = () => {
    const known = window.Bokeh && Bokeh.documents && Bokeh.documents[0];
    if (!known) { setTimeout(follow, 200); return; }
    known.on_event("connection_lost", () => {
      const lost = document.getElementById("lost");
      if (lost.style.display == "block") { return; }
      lost.style.display = "block";
      setInterval(() => fetch("health").then((answer) => { if (answer.ok) { location.reload(); } }, () => {}), 3000);
    });
  };
  follow();
</script>
{% endblock %}
"""
COLUMNS = [
    "run", "state", "what it does or how it ended", "alarms", "K", "features", "rows", "passes", "ln L per row",
    "to gain [nats]", "until it converges",
]  # fmt: skip
LONGEST = 70


def run_page(document: Document, watched: Watched, back: str) -> None:
    """Fill a document with the panels of a run, and keep them up to date."""
    record = watched.record()
    document.title = f"{record.name}: {record.state}"
    waiting = Div(
        text=_unreadable(record), stylesheets=[InlineStyleSheet(css=STYLE)], sizing_mode="stretch_width"
    )
    place = column(waiting, sizing_mode="stretch_width")
    document.add_root(place)
    board: Board | None = None

    def show(now: RunRecord, sample: PilotSample | None) -> None:
        nonlocal board
        if board is None and sample is not None:
            board = Board(now, sample, back)
            place.children = [board.layout]
        elif board is not None:
            board.show(now)
        else:
            waiting.text = _unreadable(now)
        document.title = f"{now.name}: {now.state}"

    def look() -> tuple[RunRecord, PilotSample | None]:
        now = watched.record()
        wanted = board is None and now.state != "UNREADABLE"
        return now, watched.sample() if wanted else None

    _follow(document, look, lambda found: show(*found))


def _unreadable(record: RunRecord) -> str:
    if record.state != "UNREADABLE":
        return "reading …"
    return table_html(f"{record.name} cannot be read", [], [[record.problem]])


def list_page(document: Document, root: WatchedRoot) -> None:
    """Fill a document with the list of runs, and keep it up to date."""
    document.title = f"runs in {root.path}"
    table = Div(text="reading …", stylesheets=[InlineStyleSheet(css=STYLE)], sizing_mode="stretch_width")
    document.add_root(table)

    def show(text: str) -> None:
        if table.text != text:
            table.text = text

    _follow(document, lambda: _list(root), show)


def _list(root: WatchedRoot) -> str:
    records = root.records()
    lines = [_line(record) for record in records]
    return table_html(
        f"{len(records)} runs in {root.path}", COLUMNS, lines, numbers=(4, 6, 7, 8, 9, 10), raw=(0, 1)
    )


def _line(record: RunRecord) -> list[str]:
    last = record.last
    name = f'<a href="{escape(address_of(record.name))}">{escape(record.name)}</a>'
    if record.state == "UNREADABLE":
        return [name, state_html(record.state), record.problem, "1 error", *[""] * 7]
    left = duration_words(record.seconds_left) if record.is_driven else UNKNOWN
    return [
        name,
        state_html(record.state),
        _cut(now_text(record)),
        _alarms(record),
        f"{record.n_components}",
        _cut(", ".join(record.features)),
        count_words(record.n_rows),
        f"{len(record.passes):,}",
        number_words(last.mean_log_likelihood, 7) if last else UNKNOWN,
        number_words(last.predicted_gain, 3) if last else UNKNOWN,
        left,
    ]


def _alarms(record: RunRecord) -> str:
    levels = [alarm.level for alarm in alarms_of(record)]
    counts = {level: levels.count(level) for level in ("error", "warning")}
    return (
        ", ".join(f"{n}\N{NO-BREAK SPACE}{level}{'s' if n > 1 else ''}" for level, n in counts.items() if n)
        or UNKNOWN
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _follow(document: Document, look: Callable[[], Found], show: Callable[[Found], None]) -> None:
    """Look in a thread every second, and show what was found; a look that fails is made again."""

    async def update() -> None:
        try:
            found = await asyncio.to_thread(look)
        except (DgmmisError, OSError):
            return  # the folder is gone for the moment; the page stays as it was
        show(found)

    document.add_next_tick_callback(update)
    document.add_periodic_callback(update, EVERY)
