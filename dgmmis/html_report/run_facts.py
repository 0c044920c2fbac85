"""What a run folder says, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from dgmmis.errors import SelectionError, UntrustedFunction
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plots import Observing
from dgmmis.run_history import history_of
from dgmmis.runs import RunFolder
from dgmmis.runs.checkpoint import Checkpoint
from dgmmis.selection import Selection
from dgmmis.starts import Start

__all__ = ["RunFacts", "gather"]


@dataclass(frozen=True)
class RunFacts:
    """A run at one moment; it may be running.

    Attributes
    ----------
    run : RunFolder
    state : str
    latest : Checkpoint or None
        None before the first pass is done.
    start : Start or None
    events : list of dict
        The trace of all attempts.
    attempts : list of dict
        Budget of each attempt.
    """

    run: RunFolder
    state: str
    latest: Checkpoint | None
    start: Start | None
    events: list[dict[str, Any]]
    attempts: list[dict[str, Any]]

    @property
    def standing(self) -> Pass | None:
        """The pass whose population stands: the last one, unless it belongs to a trial that has not won."""
        return None if self.latest is None else self.latest.scan.standing

    @property
    def model(self) -> Model | None:
        """The model that stands after the last pass."""
        if self.standing is None:
            return None
        population = self.standing.population
        names, units = tuple(self.features), tuple(self.units)
        return Model(population.mixture, names, units, population.backgrounds, self.selection[0])

    @cached_property
    def selection(self) -> tuple[Selection | None, str]:
        """The selection, if there is one and it can be had here; else why not."""
        try:
            return self.run.selection, ""
        except (SelectionError, UntrustedFunction) as error:
            return None, str(error)

    @property
    def observing(self) -> Observing | None:
        """How the rows of the last pass were selected, if they were."""
        completion = None if self.standing is None else self.standing.completion
        if completion is None:
            return None
        return Observing(completion.completeness, bool(self.run.config["selection"]["before_noise"]))

    @property
    def features(self) -> list[str]:
        """Names of the features."""
        return [str(name) for name in self.run.data["features"]]

    @property
    def units(self) -> list[str]:
        """Their units, "" where unknown."""
        return [str(unit) for unit in self.run.data["units"]]

    @cached_property
    def history(self) -> list[Scan]:
        """All passes up to the last checkpoint."""
        return history_of(self.run, self.latest)

    @property
    def tolerance(self) -> float | None:
        """Tolerance of the last attempt [total nats]."""
        value = self.attempts[-1].get("tolerance") if self.attempts else None
        return None if value is None else float(value)

    @property
    def per(self) -> str:
        """What a mean log-likelihood is a mean over."""
        statistics = self.latest.scan.statistics if self.latest else None
        return "row" if statistics is None or statistics.weight == statistics.rows else "unit of weight"

    @property
    def passes(self) -> list[dict[str, Any]]:
        """What was logged of each pass."""
        return [event for event in self.events if event["event"] == "pass"]

    @property
    def amplitudes(self) -> dict[int, Array]:
        """Amplitudes in the whole by pass, as logged; a pass whose line was lost in a crash is absent."""
        return {
            int(event["number"]): (1 - sum(event.get("background", ()))) * np.array(event["amplitudes"])
            for event in self.passes
        }

    @property
    def seconds(self) -> float:
        """Time spent on finding the start and on passes over all rows."""
        return sum(float(event["seconds"]) for event in self.events if event["event"] in ("start", "pass"))

    @property
    def rows_per_second(self) -> float | None:
        """Rows that a pass went through per second, over all logged passes."""
        seconds = sum(float(event["seconds"]) for event in self.passes)
        rows = sum(float(event["seconds"]) * float(event["rows_per_second"]) for event in self.passes)
        return rows / seconds if seconds > 0 else None

    @property
    def resumed(self) -> list[int]:
        """Passes that were the first of a later attempt."""
        first: dict[int, int] = {}
        for event in self.passes:
            first.setdefault(int(event["attempt"]), int(event["number"]))
        return [number for number in first.values() if number > 0]

    @property
    def redrawn(self) -> list[int]:
        """Passes whose unobserved rows were imputed by other points than those of the pass before."""
        refreshes = {int(event["number"]): event.get("refresh") for event in self.passes}
        return [
            number
            for number, refresh in refreshes.items()
            if number > 0 and refreshes.get(number - 1, refresh) != refresh
        ]

    @property
    def notes(self) -> list[str]:
        """What a person should know of passes before the last one, the latest of them last."""
        return [f"pass {scan.number}: {event}" for scan in self.history[:-1] for event in scan.events]

    def attempt_rows(self) -> list[dict[str, str]]:
        """Write the attempts as a table: when each began, its means, its passes, its end."""
        rows = []
        for number, budget in enumerate(self.attempts, start=1):
            own = [event for event in self.events if event["attempt"] == number]
            began = datetime.fromtimestamp(float(budget["began"]), UTC)
            rows.append(
                {
                    "number": str(number),
                    "began": began.strftime("%Y-%m-%d %H:%M:%S UTC"),
                    "passes": str(sum(event["event"] == "pass" for event in own)),
                    "tolerance": f"{budget['tolerance']:g}",
                    "max_passes": str(budget["max_passes"]),
                    "means": _means(budget),
                    "end": self._end_of(number, own),
                }
            )
        return rows

    def _end_of(self, number: int, events: list[dict[str, Any]]) -> str:
        last = str(events[-1]["event"]) if events else ""
        if last in ("converged", "stopped"):
            return last
        if number < len(self.attempts):
            return "interrupted"
        return {"RUNNING": "running", "FAILED": "failed"}.get(self.state, "interrupted")


def gather(run: RunFolder) -> RunFacts:
    """Read a run folder; nothing in it is changed."""
    attempts = [run.budget(number) for number in range(1, run.n_attempts() + 1)]
    return RunFacts(run, run.state(), run.latest(), run.read_start(), run.trace(), attempts)


def _means(budget: dict[str, Any]) -> str:
    """Say with what an attempt computed; empty if that was not recorded."""
    workers, threads = budget.get("workers"), budget.get("threads")
    if not threads:
        return ""
    in_words = f"{threads} thread{'' if threads == 1 else 's'}"
    if not workers:
        return f"{in_words} of one process"
    return f"{workers} worker{'' if workers == 1 else 's'}, {in_words} in all"
