"""What a person should know of a run without being asked, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dgmmis.imputed_passes import WANTED_ERROR
from dgmmis.monitor.record import Alarm, PulseRecord, RunRecord
from dgmmis.monitor.words import count_words, duration_words, number_words, share_words

__all__ = ["alarms_of"]

OLD_PULSE = 30.0
"""Seconds without a pulse after which the driver counts as silent: it beats every 2."""
STILL = 60.0
"""Seconds without progress from which on a run may count as stalled."""
STILL_AT_START = 3600.0
"""The same where nothing is counted: finding a start may take so long."""
SLOW = 30.0
"""Seconds from which on a segment may count as slow."""
FACTOR = 10.0
"""... if that is also so many times what is usual."""
REDRAWN_OF, REDRAWN = 5, 4
"""Of so many last passes, so many with other points: the weights do not last."""
UNSURE = 0.1
"""Relative error of the completeness from which on the weights say little."""
MUCH_QUARANTINE = 0.01
LISTED = 6
WORST_FIRST = ("error", "warning", "note")


def alarms_of(record: RunRecord) -> tuple[Alarm, ...]:
    """List what a person should know, the worst first."""
    found = [
        *_of_state(record),
        *_of_pulse(record),
        *_of_components(record),
        *_of_imputation(record),
        *_of_rows(record),
        *_of_last_pass(record),
    ]
    return tuple(sorted(found, key=lambda alarm: WORST_FIRST.index(alarm.level)))


def _of_state(record: RunRecord) -> Iterator[Alarm]:
    told = not record.go_on or record.go_on in record.reason
    command = "" if told else f"Go on with it: {record.go_on}"
    if record.state == "UNREADABLE":
        yield Alarm(
            "error", record.problem, "What the driver holds in memory is not lost: do not stop it to look."
        )
    elif record.problem:
        yield Alarm("error", record.problem, f"See what else is damaged: dgmmis verify {record.path}")
    if record.state == "FAILED":
        yield Alarm(
            "error",
            _sentence(record.reason),
            "Change the settings, in a new run; or resume it once the reason is gone.",
        )
    if record.state == "INTERRUPTED":
        why = record.reason or "the process that drove it has died"
        yield Alarm("warning", _sentence(why), command)
    if record.state == "STOPPED":
        yield Alarm("warning", _sentence(record.reason), command)


def _of_pulse(record: RunRecord) -> Iterator[Alarm]:
    pulse = record.pulse
    if pulse is None:
        return
    if pulse.age > OLD_PULSE:
        yield Alarm(
            "error",
            f"Nothing was heard of the driver for {duration_words(pulse.age)}, though it holds the run.",
            f"It may be paused, or its disk or machine hangs. Look at {record.driver or 'its process'}; if you kill "
            f"it, go on with: dgmmis resume {record.path}",
        )
        return
    yield from _of_progress(record, pulse)
    silent = [worker.name for worker in pulse.workers if not worker.heard]
    if silent:
        yield Alarm(
            "warning",
            f"{len(silent)} of {len(pulse.workers)} workers give no sign of life: {_some(silent)}.",
            "Their segments are given to others. Look at their machines if it lasts.",
        )
    if pulse.deaths:
        yield Alarm(
            "warning",
            f"{pulse.deaths} worker{'s' if pulse.deaths > 1 else ''} died in this attempt.",
            "What they owed is computed by others. If it goes on: look at their logs, and give them more memory.",
        )
    elif pulse.resubmitted:
        yield Alarm("note", f"{pulse.resubmitted} segments were sent out again.", "Nothing is lost by that.")


def _of_progress(record: RunRecord, pulse: PulseRecord) -> Iterator[Alarm]:
    still, oldest = pulse.still_seconds + pulse.age, pulse.oldest
    usual = _usual_seconds(record, pulse)
    if oldest is not None and oldest.seconds > max(SLOW, FACTOR * usual):
        chunks = (
            f"chunk {oldest.first}"
            if oldest.first == oldest.last
            else f"chunks {oldest.first} to {oldest.last}"
        )
        yield Alarm(
            "warning",
            f"Slow: {chunks} have been on {oldest.worker} for {duration_words(oldest.seconds)}.",
            "Another worker is given them too. See whether that machine is busy, swaps, or reads from a slow disk.",
        )
    elif still > max(STILL if pulse.of else STILL_AT_START, FACTOR * usual):
        yield Alarm(
            "warning",
            f"No progress for {duration_words(still)} ({pulse.stage or 'beginning'}).",
            "A large chunk, a slow disk, or a function of yours may take that long; so does a cluster without workers.",
        )


def _usual_seconds(record: RunRecord, pulse: PulseRecord) -> float:
    """Seconds between two signs of progress, as the last passes had them."""
    parts = max(pulse.of, 1)
    seconds = record.pass_seconds
    return seconds / parts if seconds == seconds else 0.0


def _of_components(record: RunRecord) -> Iterator[Alarm]:
    if record.components is None:
        return
    counts = record.components.counts
    hungry = np.flatnonzero(counts < record.n_parameters).tolist()
    if hungry:
        named = [f"{k} ({number_words(float(counts[k]), 2)})" for k in hungry]
        noun = "Component" if len(hungry) == 1 else "Components"
        yield Alarm(
            "warning",
            f"{noun} starving, by effective rows: {_some(named)}; each has {record.n_parameters} numbers to fit.",
            "Fit fewer components, or hold them by --floor or --prior.",
        )


def _of_imputation(record: RunRecord) -> Iterator[Alarm]:
    last = record.last
    if not record.selected or last is None:
        return
    lately = record.passes[-REDRAWN_OF - 1 :]
    redrawn = sum(a.refresh != b.refresh for a, b in pairwise(lately))
    worst = last.completeness_error / last.completeness if last.completeness > 0 else 0.0
    if redrawn >= REDRAWN or worst > UNSURE:
        why = f"points drawn anew in {redrawn} of the last {len(lately) - 1} passes"
        if worst > UNSURE:
            why = f"the completeness {share_words(last.completeness)} is known to {share_words(worst)} of itself only"
        yield Alarm(
            "warning",
            f"The weights of the imputed points degenerate: {why}.",
            "A component runs to where the selection keeps nearly nothing. Fit fewer components, or use a prior.",
        )
    if last.score_error > WANTED_ERROR:
        yield Alarm(
            "warning",
            f"The imputed points cost {number_words(last.score_error, 2)} standard errors; {WANTED_ERROR:g} is wanted.",
            "While it runs, points are added by themselves. If it stopped there: resume with a larger --max-passes.",
        )


def _of_rows(record: RunRecord) -> Iterator[Alarm]:
    if not record.quarantined:
        return
    share = record.quarantined / (record.quarantined + record.n_rows)
    yield Alarm(
        "warning" if share > MUCH_QUARANTINE else "note",
        f"{count_words(record.quarantined)} rows ({share_words(share)}) could not be used and are in quarantine.",
        f"See why: dgmmis describe {record.catalog}; which: catalog.quarantined() in Python",
    )


def _of_last_pass(record: RunRecord) -> Iterator[Alarm]:
    if record.last is not None:
        for event in record.last.events[:LISTED]:
            yield Alarm("note", f"Pass {record.last.number}: {event}.")


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _some(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
