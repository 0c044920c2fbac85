"""status, ls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dgmmis.cli.observation_text import observation_lines, observation_summary
from dgmmis.cli.options import AsJson, Run
from dgmmis.cli.printing import print_json, print_pairs, print_table
from dgmmis.cli.start_text import start_line, start_summary

if TYPE_CHECKING:
    from dgmmis.runs import RunFolder
    from dgmmis.starts import Start

__all__ = ["list_verb", "status_verb"]

Said = TypeVar("Said")


def status_verb(run: Run, as_json: AsJson = False) -> None:
    """Show a run's state, computed from what lies in its folder and from its lock."""
    from dgmmis.runs import open_run
    from dgmmis.service.summary import run_summary
    from dgmmis.trust import NOBODY

    opened = open_run(run, trust=NOBODY)
    summary, observation = run_summary(opened), _observation(opened)
    if as_json:
        print_json({**summary, **observation, "start": _start(opened, start_summary)})
    else:
        lines = observation_lines(observation) if observation else {}
        print_pairs({**summary, **lines, "start": _start(opened, start_line)})


def _start(run: RunFolder, tell: Callable[[Start], Said]) -> Said | str | None:
    """Tell how the start was found; a damaged one does not keep the rest from being shown."""
    from dgmmis.errors import CorruptCheckpoint

    try:
        start = run.read_start()
    except CorruptCheckpoint as error:
        return str(error)
    return None if start is None else tell(start)


def list_verb(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Folder with run folders.")] = ".",
    as_json: AsJson = False,
) -> None:
    """List the runs under a folder; exit code 5 if one of them cannot be read."""
    from dgmmis.errors import CorruptCheckpoint
    from dgmmis.service.root import summaries

    found, unreadable = summaries(root)
    if as_json:
        print_json({"runs": found, "unreadable": unreadable})
    else:
        columns = ["run", "state", "components", "rows", "updates", "mean_log_likelihood"]
        print_table(columns, [[summary[column] for column in columns] for summary in found])
        for broken in unreadable:
            typer.echo(f"cannot be read: {broken['run']}: {broken['reason']}", err=True)
    if unreadable:
        raise typer.Exit(CorruptCheckpoint.exit_code)


def _observation(run: RunFolder) -> dict[str, Any]:
    latest = run.latest()
    if latest is None:
        return {}
    standing = latest.scan.standing
    return observation_summary(standing.population, standing.completion, run.config.get("prior"))
