"""What is written of the attempts at a run: their budgets and traces, what is asked, how it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dgmmis.errors import CorruptCheckpoint
from dgmmis.runs.description import FIRST, read_record
from dgmmis.runs.kept_run import KeptRun
from dgmmis.runs.requests import NoRequests, Requests
from dgmmis.runs.sealed import SEAL, seal
from dgmmis.runs.trace import Trace

__all__ = ["FINAL", "AttemptRecords"]

FINAL = "final.json"
ATTEMPT = re.compile(r"[0-9]{4}\.json")


class AttemptRecords(KeptRun):
    """The attempts at a run, the last of which may have ended it."""

    @property
    def requests(self) -> Requests | NoRequests:
        """What is asked of this run."""
        return Requests(self.path) if isinstance(self.path, Path) else NoRequests(self.path)

    def is_waiting(self) -> bool:
        """Tell whether a request is not answered yet: no attempt began since it was put."""
        count = self.requests.count()
        answered = self.last_budget().get("requests", 0) if count else 0
        return count > (answered if isinstance(answered, int) else 0)

    def n_attempts(self) -> int:
        """How often this run was driven."""
        records = filter(ATTEMPT.fullmatch, self.place.names("attempts"))
        return max((int(name.removesuffix(".json")) for name in records), default=0)

    def begin_attempt(self, budget: Mapping[str, Any]) -> int:
        """Record a new attempt with its budget and return its number; it answers all requests, unless it says less."""
        number = self.n_attempts() + 1
        answered = {"requests": self.requests.count()}
        content = seal({**answered, **budget, "began": time.time(), "run": self._root})
        self.place.put_if_absent(f"attempts/{number:04d}.json", content)
        return number

    def budget(self, attempt: int) -> dict[str, Any]:
        """Tolerance, passes and means of an attempt, and when it began."""
        name = f"attempts/{attempt:04d}.json"
        way_out = f"Name its budgets: dgmmis resume {self.path} --tolerance T --max-passes N"
        return self._record(name, way_out, numbers=("tolerance", "max_passes", "began"))

    def last_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means of the last attempt; empty before the first."""
        number = self.n_attempts()
        return self.budget(number) if number else {}

    def next_budget(self) -> dict[str, Any]:
        """Tolerance, passes and means for the next attempt, and how many `requests` it answers.

        Those of the last request if it waits, else of the last attempt; empty if there is neither.
        """
        count = self.requests.count()
        budget = self.requests.read(count) if self.is_waiting() else self.last_budget()
        return {**budget, "requests": count}

    def open_trace(self, attempt: int) -> Trace:
        """Where that attempt logs."""
        return Trace(self.place, f"log/{attempt:04d}.jsonl")

    def trace(self) -> list[dict[str, Any]]:
        """All events of all attempts, in order."""
        return [
            {**event, "attempt": attempt}
            for attempt in range(1, self.n_attempts() + 1)
            for event in self.open_trace(attempt).read()
        ]

    def final(self) -> dict[str, Any] | None:
        """How the run ended, or None."""
        if not self.place.exists(FINAL):
            return None
        way_out = f"Have it written again: dgmmis resume {self.path}"
        record = self._record(FINAL, way_out, texts=("state", "reason"))
        if not isinstance(record.get("updates", -1), int):
            raise CorruptCheckpoint(
                f"{self.path}/{FINAL} does not tell after how many updates it ended. {way_out}"
            )
        return record

    def _record(
        self, name: str, way_out: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Read a record of this run: sealed, unless the run is of version 0.1.0."""
        sealed = SEAL in self.description
        record = read_record(self.place, name, numbers=numbers, texts=texts, sealed=sealed, way_out=way_out)
        if record.pop("run", self._root) != self._root:
            raise CorruptCheckpoint(
                f"{self.path}/{name} belongs to another run than the {FIRST} beside it. {way_out}"
            )
        return record

    def write_final(self, outcome: Mapping[str, Any]) -> None:
        """Record the end."""
        self.place.put_if_absent(FINAL, seal({**outcome, "run": self._root}))

    def reopen(self, attempt: int) -> None:
        """Set an earlier end aside because an attempt with a larger budget goes on from it."""
        if self.place.exists(FINAL):
            self.place.set_aside(FINAL, f"attempts/{attempt:04d}-superseded-final.json")
