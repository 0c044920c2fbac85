"""The history of a run, pass by pass, from its checkpoints."""

from __future__ import annotations

from dgmmis.convergence import predicted_gain
from dgmmis.errors import CorruptCheckpoint
from dgmmis.fit_result import Scan
from dgmmis.iterate import Pass
from dgmmis.runs import RunFolder
from dgmmis.runs.checkpoint import Checkpoint

__all__ = ["history_of"]


def history_of(run: RunFolder, latest: Checkpoint | None) -> list[Scan]:
    """Read the history of all passes up to a checkpoint, which tells itself of those that were lost."""
    if latest is None:
        return []
    return [_stored_scan(run, latest.scan, number) for number in range(latest.scan.number + 1)]


def _stored_scan(run: RunFolder, last: Pass, number: int) -> Scan:
    try:
        scan = run.read_checkpoint(number).scan
        if scan.log_likelihoods != last.log_likelihoods[: number + 1]:
            raise CorruptCheckpoint(f"checkpoint {number} of {run.path} is of another run.")
        return Scan.of(scan)
    except (FileNotFoundError, CorruptCheckpoint):
        value = last.log_likelihoods[number]
        return Scan(
            number,
            value,
            value / last.statistics.weight,
            value - last.log_likelihoods[number - 1] if number else float("inf"),
            predicted_gain(last.objectives[: number + 1], last.statistics.scale),
            (),
        )
