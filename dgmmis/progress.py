"""Show a person what a long job is doing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dgmmis.convergence import passes_left
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass

__all__ = ["ComparisonDisplay", "FitDisplay", "comparison_display", "counting", "fit_display", "waiting"]

LINE_SECONDS = 30.0
"""Where lines cannot be redrawn, as in a file, one is written so often about what takes long."""


class Lines:
    """Progress for a file: a line now and then, so that what is short has none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = self._last = time.monotonic()

    def begin(self) -> None:
        """Begin to measure the time anew."""
        self._began = self._last = time.monotonic()

    def count(self, what: str, done: int, of: int | None) -> None:
        """Say how far it is, if the last line is old enough."""
        now = time.monotonic()
        if self._console.is_terminal or now - self._last < LINE_SECONDS:
            return
        self._last = now
        all_of_it = f" of {of:,}" if of else ""
        left = f", {_duration((now - self._began) * (of - done) / done)}" if of and done else ""
        self._console.print(f"{what}: {done:,}{all_of_it}{left}", markup=False, soft_wrap=True)


class FitDisplay:
    """An `Observer` with a bar for the pass under way and a line for the fit.

    On a terminal the lines are redrawn in place; into a file one line is written per stage and for a few
    of the passes.
    """

    def __init__(self, console: Console, progress: Progress, tolerance: float) -> None:
        self._console, self._progress, self._tolerance = console, progress, tolerance
        self._pass = progress.add_task("starting", total=None, detail="")
        self._began = time.monotonic()
        self._seconds: list[float] = []
        self._gains: list[float] = []
        self._lines, self._what = Lines(console), "starting"

    def on_stage(self, what: str) -> None:
        """Say what begins."""
        self._progress.update(self._pass, description="", detail="", total=None)
        self._began, self._what = time.monotonic(), what
        self._lines.begin()
        self._console.print(what, style="bold", markup=False, soft_wrap=True)

    def on_start_pass(self, scan: Pass) -> None:
        """Show a pass over the pilot sample."""
        statistics = scan.statistics
        detail = f"ln L/row {statistics.mean_log_likelihood:.6f}"
        self._progress.update(self._pass, description=f"sample pass {scan.number}", detail=detail)

    def on_segment(self, done: int, of: int) -> None:
        """Move the bar."""
        self._progress.update(self._pass, completed=done, total=of)
        self._lines.count(f"{self._what}, segments of this pass", done, of)

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Show a finished pass: log-likelihood, completeness, predicted gain, rows per second, time left."""
        now = time.monotonic()
        self._lines.begin()
        self._seconds = [*self._seconds[-19:], now - self._began]
        self._began = now
        seconds = sum(self._seconds) / len(self._seconds)
        self._gains = [*self._gains[-3:], scan.predicted_gain]
        left = passes_left(self._gains, self._tolerance) * seconds
        what = f"pass {scan.number}"
        detail = (
            f"ln L/row {scan.mean_log_likelihood:.6f}, {_kept(scan.completeness)}"
            f"to gain {_nats(scan.predicted_gain)}, {rows / max(seconds, 1e-9) / 1e6:.2f} M rows/s, {_duration(left)}"
        )
        self._progress.update(self._pass, description=what, detail=detail, completed=0)
        if not self._console.is_terminal and _worth_a_line(scan.number):
            self._console.print(f"{what}: {detail}", soft_wrap=True)
        for event in scan.events:
            self._console.print(event, style="yellow", markup=False, soft_wrap=True)


def _worth_a_line(number: int) -> bool:
    return number < 3 or number % 10 == 0


def _kept(completeness: float | None) -> str:
    return "" if completeness is None else f"completeness {completeness:.4f}, "


def _nats(value: float) -> str:
    return f"{value:.3g} nats" if math.isfinite(value) else "not known yet"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "time left not known yet"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"


class ComparisonDisplay:
    """A `Watcher` with a bar for the pass under way, and lines that tell how many fits still go on."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._lines, self._what = Lines(console), "starting"
        self._pass = progress.add_task("starting", total=None, detail="")

    def on_stage(self, what: str) -> None:
        """Say what begins."""
        self._progress.update(self._pass, description="", detail="", total=None)
        self._what = what
        self._lines.begin()
        self._console.print(what, style="bold", markup=False, soft_wrap=True)

    def on_segment(self, done: int, of: int) -> None:
        """Move the bar."""
        self._progress.update(self._pass, completed=done, total=of)
        self._lines.count(f"{self._what}, segments of this pass", done, of)

    def on_round(self, number: int, going: int, of: int) -> None:
        """Show how many fits go on."""
        if number < 0:
            return
        what, detail = f"pass {number}", f"{going} of {of} fits go on"
        self._progress.update(self._pass, description=what, detail=detail, completed=0)
        self._lines.begin()
        if not self._console.is_terminal and (_worth_a_line(number) or not going):
            self._console.print(f"{what}: {detail}", soft_wrap=True)


@contextmanager
def comparison_display(*, quiet: bool = False) -> Iterator[ComparisonDisplay]:
    """Show a comparison on standard error while the context lasts."""
    with _progress(quiet=quiet) as (console, progress):
        yield ComparisonDisplay(console, progress)


@contextmanager
def fit_display(tolerance: float, *, quiet: bool = False) -> Iterator[FitDisplay]:
    """Show a fit on standard error while the context lasts."""
    with _progress(quiet=quiet) as (console, progress):
        yield FitDisplay(console, progress, tolerance)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[tuple[Console, Progress]]:
    console = Console(stderr=True, quiet=quiet, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield console, progress


@contextmanager
def counting(what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar that counts, and the time left: yields a function of (done, of)."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    lines = Lines(console)

    def count(done: int, of: int | None) -> None:
        progress.update(task, completed=done, total=of)
        lines.count(what, done, of)

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield count


@contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show that something goes on whose length nobody knows."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    columns = (SpinnerColumn(), TextColumn(what, markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield
