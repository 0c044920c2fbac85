"""How a fit's start was found, for JSON and for a person."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dgmmis.starts import Start

__all__ = ["start_line", "start_summary"]


def start_summary(start: Start) -> dict[str, Any]:
    """Sum up for JSON."""
    return {
        "pilot_rows": start.pilot_rows,
        "chosen": start.chosen,
        "pilot_passes": start.pilot_passes,
        "mean_log_likelihoods": start.mean_log_likelihoods,
        "carried": start.carried,
        "trials": [
            {
                "fate": trial.fate,
                "reason": trial.reason,
                "updates": max(len(trial.path) - 1 - len(trial.moved_at), 0),
                "moves": len(trial.moved_at),
                "optimum": trial.optimum,
                "path": trial.path,
            }
            for trial in start.trials
        ],
    }


def start_line(start: Start) -> str:
    """Write in one line what became of the starts."""
    if not start.mean_log_likelihoods:
        return "given"
    text = f"number {start.chosen} of {len(start.mean_log_likelihoods)}"
    fates = Counter(trial.fate for trial in start.trials)
    if fates:
        text += (
            f"; {fates['finished']} went the whole way, {fates['behind']} were left behind, "
            f"{fates['failed']} failed"
        )
    if start.trials and start.trials[start.chosen].moved_at:
        text += f"; components moved {len(start.trials[start.chosen].moved_at)} times"
    if start.carried:
        text += f"; the best on all rows of {len(start.carried)} optima"
    return text
