"""submit, serve, cancel, logs, gc."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dgmmis.cli.fit_verbs import stated_settings
from dgmmis.cli.machines import access_of
from dgmmis.cli.option_groups import FitOptions, ObservationOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, AsJsonLines, Catalog, MemoryLimit, Quiet, Threads, Workers
from dgmmis.cli.printing import finite, print_json, print_table

__all__ = ["cancel_verb", "gc_verb", "logs_verb", "serve_verb", "submit_verb"]

WORRIES = {"failed", "given up", "cluster lost", "storage failed", "unreadable"}
"""Events of a server that are told also if it is to be quiet."""
Run = Annotated[Path, typer.Argument(metavar="RUNDIR", help="Run folder.")]
Root = Annotated[Path, typer.Option(help="Root of runs; made if it is not there.")]


@grouped
def submit_verb(
    catalog: Catalog,
    runs: Root,
    options: FitOptions,
    observation: ObservationOptions,
    workers: Workers = None,
    threads: Annotated[int | None, typer.Option(help="Threads per worker.")] = None,
    memory_limit: Annotated[str | None, typer.Option(help='Memory of a worker, e.g. "1 GiB".')] = None,
    as_json: AsJson = False,
) -> None:
    """Put a fit into a root of runs, for `serve` to drive, and return at once; the same again is the same run."""
    from dgmmis.service import submit
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    run = submit(
        opened,
        runs=runs,
        tolerance=options.tolerance,
        max_passes=options.max_passes,
        workers=workers,
        threads=threads,
        memory_limit=memory_limit,
        **stated_settings(opened, options, observation),
    )
    if as_json:
        print_json({"run": str(run.path), "name": run.name, "state": run.state})
    else:
        typer.echo(f"{run.path} is {run.state}")
        if run.state == "QUEUED":
            typer.echo(
                f"a server drives it: dgmmis serve --runs {runs}, if none is running there yet", err=True
            )


@grouped
def serve_verb(
    runs: Root,
    tls: TlsOptions,
    cluster: Annotated[
        str,
        typer.Option(help="local: workers of its own for each run; or a scheduler, tcp://... or tls://..."),
    ] = "local",
    at_once: Annotated[int, typer.Option(help="Runs at a time.")] = 1,
    workers: Workers = None,
    threads: Threads = 1,
    memory_limit: MemoryLimit = "auto",
    drain: Annotated[bool, typer.Option("--drain", help="End when no run waits any more.")] = False,
    quiet: Quiet = False,
    as_json: AsJsonLines = False,
) -> None:
    """Drive the queued and interrupted runs of a root; SIGTERM stops it cleanly, and it may be started twice."""
    from dgmmis.service import Means, serve

    def tell(event: str, fields: dict[str, Any]) -> None:
        if quiet and event not in WORRIES:
            return
        record = {"time": time.time(), "event": event, **fields}
        typer.echo(json.dumps(finite(record)) if as_json else _line(record), err=True)

    means = Means(cluster, workers, threads, memory_limit, access_of(tls))
    serve(runs, means=means, at_once=at_once, drain=drain, tell=tell)


def cancel_verb(
    run: Run,
    wait: Annotated[float, typer.Option(help="Seconds to wait for its driver to stop.")] = 15.0,
    as_json: AsJson = False,
) -> None:
    """Stop a run wherever it is driven; its last checkpoint is kept. One that has ended stays as it is."""
    from dgmmis.service import cancel

    state = cancel(run, timeout=wait)
    if as_json:
        print_json({"run": str(run), "state": state})
    else:
        typer.echo(f"{run} is {state}")


def logs_verb(
    run: Run,
    to_come: Annotated[
        bool,
        typer.Option("-f", "--follow", help="Go on with what is still to come, until the run has ended."),
    ] = False,
    as_json: AsJsonLines = False,
) -> None:
    """Print what happened in all attempts of a run."""
    from dgmmis.runs import open_run
    from dgmmis.service.logs import follow
    from dgmmis.trust import NOBODY

    for event in follow(open_run(run, trust=NOBODY), until_ended=to_come):
        typer.echo(json.dumps(finite(event)) if as_json else _line(event))


def gc_verb(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder with run folders, or one of them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Remove checkpoints that nobody needs of runs that ended, and what deaths left behind."""
    from dgmmis.progress import waiting
    from dgmmis.service import collect_garbage

    with waiting(f"looking through {root}", quiet=quiet or as_json):
        collected = collect_garbage(root, dry_run=dry_run)
    if as_json:
        runs = [
            {"run": str(one.run), "files": one.files, "bytes": one.nbytes, "left": one.left}
            for one in collected
        ]
        print_json({"removed": not dry_run, "bytes": sum(one.nbytes for one in collected), "runs": runs})
        return
    print_table(
        ["run", "files", "bytes", "left alone"],
        [[one.run, len(one.files), f"{one.nbytes:,}", one.left or "-"] for one in collected],
    )
    typer.echo(f"{'would free' if dry_run else 'freed'} {sum(one.nbytes for one in collected):,} bytes")


def _line(record: dict[str, Any]) -> str:
    """Write an event in one line: when, what, and all that is a number or a short text."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["time"]))
    said = [
        f"{key}={_short(value)}"
        for key, value in record.items()
        if key not in ("time", "event") and isinstance(value, str | int | float) and value != ""
    ]
    return "  ".join([when, str(record["event"]), *said])


def _short(value: str | int | float) -> str:
    return f"{value:.10g}" if isinstance(value, float) else " ".join(str(value).split())
