"""What is written and not drawn: the head of a page, alarms and tables, as HTML; whatever users named is escaped."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from html import escape

from dgmmis.monitor.alarms import alarms_of
from dgmmis.monitor.record import PulseRecord, RunRecord
from dgmmis.monitor.words import (
    UNKNOWN,
    bytes_words,
    count_words,
    duration_words,
    number_words,
    passes_words,
    share_words,
)

__all__ = [
    "STYLE",
    "alarms_html",
    "facts_html",
    "head_html",
    "now_text",
    "state_html",
    "table_html",
    "workers_html",
]

STYLE = """
:host { font-family: system-ui, sans-serif; font-size: 13px; color: #1f2733; line-height: 1.4; }
.state { display: inline-block; white-space: nowrap; color: #fff; background: #5b6675; }
.state { padding: 2px 10px; border-radius: 4px; font-weight: 600; }
.RUNNING { background: #00609a; } .SUCCEEDED { background: #00694d; } .FAILED, .UNREADABLE { background: #a11b1b; }
.INTERRUPTED, .STOPPED, .CANCELLING { background: #a84a00; }
.head { display: flex; flex-wrap: wrap; gap: 4px 24px; align-items: center; }
.head h1 { font-size: 17px; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.number b { display: block; font-size: 16px; font-weight: 600; white-space: nowrap; }
.number span { color: #5b6675; font-size: 12px; white-space: nowrap; }
.now { margin-top: 6px; display: flex; gap: 12px; align-items: center; }
.bar { flex: 1; max-width: 420px; height: 9px; border-radius: 4px; background: #e1e5eb; overflow: hidden; }
.bar i { display: block; height: 100%; background: #00609a; }
ul { margin: 0; padding: 0; list-style: none; }
li { margin: 0 0 4px; padding: 4px 10px; border-left: 4px solid #5b6675; background: #f2f4f7; overflow-wrap: anywhere; }
li.error { border-color: #a11b1b; background: #fdeeee; } li.warning { border-color: #c25700; background: #fff3e6; }
li em { font-style: normal; color: #414b59; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; padding: 0 0 3px; }
th { text-align: left; font-weight: 600; color: #414b59; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts td:first-child { white-space: nowrap; }
.facts td:last-child { overflow-wrap: anywhere; }
td, th { padding: 2px 10px 2px 0; border-bottom: 1px solid #e6e9ef; vertical-align: top; overflow-wrap: break-word; }
a { color: #00609a; } code { font-family: ui-monospace, monospace; font-size: 12px; }
"""
MOST_WORKERS = 12
TOLD = ("FAILED", "STOPPED", "INTERRUPTED", "UNREADABLE")
"""States of which an alarm tells the reason."""
MOST_ALARMS = 6
LEVELS = {"error": "Error", "warning": "Warning", "note": "Note"}


def state_html(state: str) -> str:
    """Write a state in its colour."""
    return f'<span class="state {escape(state)}">{escape(state)}</span>'


def head_html(record: RunRecord, back: str = "") -> str:
    """Write what a run is, how it stands, and what it is doing."""
    numbers = "".join(
        f'<div class="number"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in _numbers(record)
    )
    link = f'<a href="{escape(back)}">all runs</a>' if back else ""
    title = f"<div>{link}<h1>{escape(record.name)}</h1></div>"
    return f'<div class="head">{title}{state_html(record.state)}{numbers}</div>{_now(record)}'


def _numbers(record: RunRecord) -> list[tuple[str, str]]:
    if record.state == "UNREADABLE":
        return []
    last = record.last
    what = [
        ("components by features", f"{record.n_components} \N{MULTIPLICATION SIGN} {len(record.features)}"),
        ("rows", count_words(record.n_rows)),
    ]
    if last is None:
        return what
    left = record.seconds_left
    return [
        *what,
        ("passes done", f"{len(record.passes):,}"),
        ("ln L per row [nats]", number_words(last.mean_log_likelihood, 7)),
        (f"still to gain{_aim(record.tolerance)}", _gain(last.predicted_gain)),
        ("until it converges", _left(left) if record.is_driven else UNKNOWN),
        ("per pass", duration_words(record.pass_seconds)),
        (
            f"{bytes_words(last.bytes_per_second)}/s of the catalogue",
            f"{count_words(last.rows_per_second)} rows/s",
        ),
    ]


def _aim(tolerance: float) -> str:
    return f"; done at {tolerance:g} nats" if tolerance > 0 else ""


def _gain(value: float) -> str:
    return f"{number_words(value, 3)} nats" if math.isfinite(value) else "not known yet"


def _left(seconds: float) -> str:
    return f"about {duration_words(seconds)}" if math.isfinite(seconds) else "not known yet"


def now_text(record: RunRecord) -> str:
    """Say what a run is doing, or how it ended."""
    if not record.is_driven:
        return record.reason or record.problem
    return "driven; more is told in a few seconds" if record.pulse is None else _doing(record, record.pulse)


def _now(record: RunRecord) -> str:
    pulse, text = record.pulse, "" if record.state in TOLD else now_text(record)
    if pulse is None:
        return f'<div class="now">{escape(text)}</div>' if text else ""
    share = pulse.done / pulse.of if pulse.of else 0.0
    done = f'<i style="width:{100 * share:.1f}%"></i>'
    bar = f'<div class="bar" role="progressbar" aria-valuenow="{100 * share:.0f}">{done}</div>'
    shown = bar if pulse.of and not _is_outrun(record, pulse) else ""
    return f'<div class="now"><span>{escape(text)}</span>{shown}</div>'


def _doing(record: RunRecord, pulse: PulseRecord) -> str:
    if _is_outrun(record, pulse):
        return f"pass {record.passes[-1].number + 1}"
    if pulse.next_pass >= 0:
        what = f"pass {pulse.next_pass}"
    elif pulse.start_passes:
        what = f"{pulse.stage}, {passes_words(pulse.start_passes)} over it"
    else:
        what = pulse.stage or "beginning"
    part = f": {pulse.done:,} of {pulse.of:,} parts" if pulse.of else ""
    return f"{what}{part}, for {duration_words(pulse.seconds + pulse.age)}"


def _is_outrun(record: RunRecord, pulse: PulseRecord) -> bool:
    """Tell whether the pass that the pulse tells of is done by now."""
    return record.last is not None and pulse.next_pass <= record.last.number


def alarms_html(record: RunRecord) -> str:
    """Write the alarms, the worst first; empty if there are none."""
    found = alarms_of(record)
    items = [
        f'<li class="{alarm.level}"><b>{LEVELS[alarm.level]}:</b> {escape(alarm.what)} '
        f"<em>{escape(alarm.way_out)}</em></li>"
        for alarm in found[:MOST_ALARMS]
    ]
    more = len(found) - MOST_ALARMS
    if more > 0:
        items.append(f"<li>and {more} more: <code>dgmmis logs {escape(record.path)}</code></li>")
    return f'<ul role="status">{"".join(items)}</ul>' if items else ""


def workers_html(record: RunRecord) -> str:
    """Write who computes."""
    pulse = record.pulse
    if pulse is None:
        why = "Nobody drives it now." if not record.is_driven else "Not known yet."
        return f"<table><caption>Workers</caption><tr><td>{why}</td></tr></table>"
    rows = [
        [
            one.name,
            f"{one.threads}",
            f"{one.tasks}",
            _memory(one.memory, one.memory_limit),
            "yes" if one.heard else "NO",
        ]
        for one in sorted(pulse.workers, key=lambda one: one.heard)[:MOST_WORKERS]
    ]
    more = len(pulse.workers) - MOST_WORKERS
    caption = f"Workers: {len(pulse.workers)}" + (f", of which {MOST_WORKERS} are listed" if more > 0 else "")
    return table_html(
        caption, ["worker", "threads", "in hand", "memory", "heard of"], rows, numbers=(1, 2, 3)
    )


def _memory(used: int | None, limit: int | None) -> str:
    if used is None:
        return UNKNOWN
    return bytes_words(used) + (f" of {bytes_words(limit)}" if limit else "")


def facts_html(record: RunRecord) -> str:
    """Write counts that tell of troubles, and where things lie."""
    quarantined = UNKNOWN if record.quarantined is None else count_words(record.quarantined)
    if record.quarantined:
        quarantined += (
            f" ({share_words(record.quarantined / (record.quarantined + record.n_rows))} of the source)"
        )
    deaths = record.pulse.deaths if record.pulse else (record.last.deaths if record.last else 0)
    rows = [
        ["attempts", f"{record.attempts}"],
        ["segments sent out again", f"{record.retries}"],
        ["workers that died", f"{deaths}"],
        ["rows in quarantine", quarantined],
        ["one pass reads", f"{bytes_words(record.pass_bytes)} in {count_words(record.n_chunks)} chunks"],
        ["finding the start took", duration_words(record.started)],
        ["passes allowed", f"{record.max_passes:,}"],
        ["driver", record.driver or UNKNOWN],
        ["catalogue", record.catalog],
        ["run folder", record.path],
        ["read at", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.moment))],
    ]
    table = table_html("Retries (of the last attempt), quarantine, places", [], rows)
    return f'<div class="facts">{table}</div>'


def table_html(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    raw: Sequence[int] = (),
) -> str:
    """Write a table; the columns in `raw` are HTML already."""

    def cell(tag: str, j: int, text: str) -> str:
        kind = ' class="n"' if j in numbers else ""
        return f"<{tag}{kind}>{text if j in raw and tag == 'td' else escape(text)}</{tag}>"

    head = "".join(cell("th", j, name) for j, name in enumerate(columns))
    body = "".join(f"<tr>{''.join(cell('td', j, text) for j, text in enumerate(line))}</tr>" for line in rows)
    return f"<table><caption>{escape(caption)}</caption>{f'<tr>{head}</tr>' if head else ''}{body}</table>"
