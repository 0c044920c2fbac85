"""From a run folder to a record, again and again: only what changed is read anew."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.errors import CorruptCheckpoint, DgmmisError
from dgmmis.iterate import Pass
from dgmmis.location import Location
from dgmmis.monitor.pulse_reading import PulseWatch
from dgmmis.monitor.record import NAN, Components, PassRecord, RunRecord
from dgmmis.monitor.trace_tail import TraceTail
from dgmmis.population import Population
from dgmmis.runs import RunFolder, open_run
from dgmmis.service.summary import how_to_go_on
from dgmmis.trust import NOBODY

__all__ = ["RunWatch"]

LOGGED = (
    "gain",
    "predicted_gain",
    "seconds",
    "rows_per_second",
    "bytes_per_second",
    "completeness",
    "completeness_error",
    "log_likelihood_error",
    "score_error",
    "imputed_points",
)
COUNTED = ("refresh", "workers", "resubmitted", "deaths")


class RunWatch:
    """One run, looked at as often as wished; nothing that it names is imported.

    Parameters
    ----------
    path : path, or address in an object store
    clock : callable
        Seconds, never set back: by it the age of a pulse is told, not by the clock of the driver's machine.
    """

    def __init__(self, path: str | Location, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path, clock
        self._run: RunFolder | None = None
        self._tail: TraceTail | None = None
        self._pulse: PulseWatch | None = None
        self._numbers: list[int] = []
        self._latest: Pass | None = None
        self._components: Components | None = None

    def look(self) -> RunRecord:
        """Read what is known now; a folder that cannot be read gives a record that says so."""
        try:
            return self._record()
        except (DgmmisError, OSError, ValueError, KeyError, TypeError) as error:
            self._run = None  # opened anew at the next look: it may be restored
            path = str(self.path)
            problem = str(error) or type(error).__name__
            return RunRecord(Path(path).name, path, time.time(), "UNREADABLE", problem=problem)

    def _record(self) -> RunRecord:
        run, tail, pulse = self._opened()
        state = run.state()
        events = tail.events()
        problem = self._read_checkpoint(run)
        final, budget, attempts = run.final() or {}, run.next_budget(), run.n_attempts()
        began: dict[str, Any] = next((event for event in reversed(events) if event["event"] == "began"), {})
        started = next((event["seconds"] for event in reversed(events) if event["event"] == "start"), NAN)
        driven = state in ("RUNNING", "CANCELLING")
        return RunRecord(
            Path(str(run.path)).name,
            str(run.path),
            time.time(),
            state,
            "" if driven else _reason(final, events),
            how_to_go_on(run, state),
            problem,
            int(run.config["n_components"]),
            int(run.data["rows"]),
            tuple(run.data["features"]),
            tuple(run.data["units"]),
            str(run.data["path"]),
            float(budget.get("tolerance", NAN)),
            int(budget.get("max_passes", 0)),
            attempts,
            run.holder() if driven else "",
            run.config.get("selection") is not None,
            _passes(events, self._latest),
            self._components,
            pulse.look(attempts) if driven else None,
            _count(began.get("quarantined")),
            _count(began.get("chunks")),
            _count(began.get("pass_bytes")),
            float(started),
        )

    def _opened(self) -> tuple[RunFolder, TraceTail, PulseWatch]:
        if self._run is None or self._tail is None or self._pulse is None:
            run = open_run(self.path, trust=NOBODY)
            self._run, self._tail, self._pulse = run, TraceTail(run), PulseWatch(run.place, self._clock)
            self._numbers, self._latest, self._components = [], None, None
        return self._run, self._tail, self._pulse

    def _read_checkpoint(self, run: RunFolder) -> str:
        """Read the last checkpoint if there is a new one, else the start; return what is wrong with the chain."""
        numbers = run.checkpoint_numbers()
        if numbers == self._numbers and self._components is not None:
            return ""
        try:
            latest = run.latest()
            if latest is not None:
                self._latest = latest.scan
                self._components = _standing(latest.scan)
            elif self._components is None and (start := run.read_start()) is not None:
                self._components = _at_start(start.population)
        except CorruptCheckpoint as error:
            return str(error)
        self._numbers = numbers
        if numbers and (latest is None or latest.scan.number < numbers[-1]):
            self._numbers = []
            return f"checkpoint {numbers[-1]} is damaged; its pass is made again when the run goes on"
        return ""


def _standing(scan: Pass) -> Components:
    standing = scan.standing
    return _components(scan.number, standing.population, standing.statistics.zeroth)


def _at_start(population: Population) -> Components:
    return _components(-1, population, np.full(population.n_components, NAN))


def _components(number: int, population: Population, counts: np.ndarray[Any, Any]) -> Components:
    mixture = population.mixture
    return Components(
        number,
        population.amplitudes,
        mixture.means,
        mixture.covariances,
        counts,
        population.background_amplitudes,
    )


def _reason(final: Mapping[str, Any], events: list[dict[str, Any]]) -> str:
    return str(final.get("reason", "")) or (str(events[-1].get("reason", "")) if events else "")


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _passes(events: list[dict[str, Any]], latest: Pass | None) -> tuple[PassRecord, ...]:
    """All passes: as logged, or as the last checkpoint remembers them where a line was lost."""
    found: dict[int, PassRecord] = {}
    if latest is not None:
        weight = latest.statistics.weight
        found = {n: PassRecord(n, one, one / weight) for n, one in enumerate(latest.log_likelihoods)}
    for event in events:
        if event["event"] == "pass":
            logged = _logged(event)
            found[logged.number] = logged
    return tuple(found[number] for number in sorted(found))


def _logged(event: Mapping[str, Any]) -> PassRecord:
    numbers: dict[str, Any] = {name: _number(event.get(name)) for name in LOGGED}
    numbers |= {name: _count(event.get(name)) or 0 for name in COUNTED}
    return PassRecord(
        int(event["number"]),
        _number(event.get("log_likelihood")),
        _number(event.get("mean_log_likelihood")),
        attempt=int(event["attempt"]),
        amplitudes=tuple(map(_number, event["amplitudes"])),
        backgrounds=tuple(map(_number, event.get("background") or ())),
        events=tuple(map(str, event.get("events") or ())),
        **numbers,
    )


def _number(value: object) -> float:
    """Read a number; what JSON lacks (infinity, NaN) was written as null."""
    return float(value) if isinstance(value, int | float) else NAN
