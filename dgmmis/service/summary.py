"""What a person asks of a run, from what lies in its folder."""

from __future__ import annotations

import shlex
import time
from typing import Any

from dgmmis.runs import RunFolder

__all__ = ["ENDED", "how_to_go_on", "run_summary"]

ENDED = ("SUCCEEDED", "STOPPED", "FAILED", "CANCELLED")
"""States that nobody changes unless he is asked to."""


def run_summary(run: RunFolder) -> dict[str, Any]:
    """Sum a run up, for JSON; raises `CorruptCheckpoint` if its chain is broken."""
    state, latest, final = run.state(), run.latest(), run.final()
    standing = latest.scan.standing if latest else None
    budget = run.next_budget()
    return {
        "run": str(run.path),
        "state": state,
        "reason": _reason(run, state, final),
        "components": run.config["n_components"],
        "rows": run.data["rows"],
        "features": ",".join(run.data["features"]),
        "updates": latest.scan.number if latest else None,
        "log_likelihood": standing.statistics.log_likelihood if standing else None,
        "mean_log_likelihood": standing.statistics.mean_log_likelihood if standing else None,
        "predicted_gain": standing.predicted_gain if standing else None,
        "tolerance": budget.get("tolerance"),
        "max_passes": budget.get("max_passes"),
        "attempts": run.n_attempts(),
        "driver": run.holder() if state in ("RUNNING", "CANCELLING") else "",
        "quiet_seconds": _quiet_seconds(run),
        "catalog": run.data["path"],
        "go_on": how_to_go_on(run, state),
    }


def _reason(run: RunFolder, state: str, final: dict[str, Any] | None) -> str:
    if state in ("RUNNING", "CANCELLING"):
        return ""
    if state == "QUEUED":
        return "waits for a server" if run.is_waiting() else "prepared, and asked of no server"
    if final is not None:
        return str(final.get("reason", ""))
    events = run.trace()[-1:]
    return str(events[0]["reason"]) if events and "reason" in events[0] else ""


def _quiet_seconds(run: RunFolder) -> float | None:
    """Seconds since the run's log last grew, by the clocks of whoever wrote and of this machine."""
    events = run.trace()[-1:]
    return round(max(0.0, time.time() - events[0]["time"]), 1) if events else None


def how_to_go_on(run: RunFolder, state: str) -> str:
    """Give the command that goes on with a run in this state; empty if there is nothing to do."""
    where = shlex.quote(str(run.path))
    if state == "QUEUED" and run.is_waiting():
        return f"dgmmis serve --runs {shlex.quote(str(run.folder.parent))}"
    if state in ("QUEUED", "INTERRUPTED", "CANCELLED"):
        return f"dgmmis resume {where}"
    if state == "STOPPED":
        return f"dgmmis resume {where} --max-passes {2 * max(50, int(run.last_budget()['max_passes']))}"
    return ""
