"""A plan as JSON, and as text for a person."""

from __future__ import annotations

from typing import Any

import typer

from dgmmis.cli.printing import print_pairs, print_table
from dgmmis.fit_plan import Line, Plan

__all__ = ["plan_summary", "print_plan"]

MIB = 2**20


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Give a plan as plain Python: bytes and seconds."""
    load, resources = plan.workload, plan.resources
    return {
        "rows": load.n_rows,
        "chunks": load.n_chunks,
        "components": load.n_components,
        "workers": resources.workers,
        "threads": resources.threads,
        "memory_limit": resources.memory_limit,
        "bytes_first_pass": plan.first_pass_bytes,
        "bytes_later_pass": plan.later_pass_bytes,
        "cached_share": plan.cached_share,
        "worker": {line.what: line.nbytes for line in plan.worker},
        "worker_peak": plan.worker_peak,
        "this_process": {line.what: line.nbytes for line in plan.here},
        "this_process_peak": plan.peak_here,
        "this_process_limit": resources.here,
        "most_points_bytes": load.most_points_bytes,
        "seconds_first_pass": plan.first_pass_seconds,
        "seconds_later_pass": plan.pass_seconds,
        "seconds_10_passes": plan.seconds(10),
        "seconds_100_passes": plan.seconds(100),
        "fits": plan.fits,
        "remedies": {remedy.knob: remedy.value for remedy in plan.remedies},
        "verdict": plan.verdict,
    }


def print_plan(plan: Plan) -> None:
    """Print a plan as tables, and a sentence whether it fits."""
    load = plan.workload
    print_pairs(
        {
            "rows": f"{load.n_rows:,} in {load.n_chunks:,} chunks of {load.chunk_rows:,}",
            "fit": f"{load.n_components} components, {load.n_features} features, {load.n_backgrounds} backgrounds",
            "computed by": _resources(plan),
            "first pass reads": f"{plan.first_pass_bytes / 1e6:,.1f} MB from disk",
            "further passes": f"{plan.later_pass_bytes / 1e6:,.1f} MB; "
            f"{plan.cached_share:.0%} of the chunks stay decoded",
        }
    )
    if plan.worker:
        _print_account("memory of a worker", plan.worker, plan.worker_peak)
    _print_account("memory of this process", plan.here, plan.peak_here)
    if load.most_points_bytes:
        most = load.most_points_bytes / MIB
        typer.echo(
            f"imputed points may grow to {most:,.0f} MiB over all processes, if their accuracy asks for it"
        )
    _print_times(plan)
    typer.echo("")
    typer.echo(plan.verdict)


def _resources(plan: Plan) -> str:
    resources = plan.resources
    if not resources.workers:
        return f"{resources.threads} threads of this process"
    limit = "no limit" if resources.memory_limit is None else f"{resources.memory_limit / MIB:,.0f} MiB each"
    return f"{resources.workers} workers of {resources.threads} threads, {limit}"


def _print_account(title: str, lines: tuple[Line, ...], peak: int) -> None:
    typer.echo("")
    rows = [[line.what, f"{line.nbytes / MIB:,.1f}"] for line in lines]
    print_table([title, "MiB"], [*rows, ["at most", f"{peak / MIB:,.1f}"]])


def _print_times(plan: Plan) -> None:
    if plan.calibration is None:
        return
    typer.echo("")
    times = [
        ("first pass", plan.first_pass_seconds),
        ("each further pass", plan.pass_seconds),
        ("10 passes", plan.seconds(10)),
        ("100 passes", plan.seconds(100)),
    ]
    rows = [[what, f"{seconds:,.2f}"] for what, seconds in times if seconds is not None]
    print_table([f"time, from {plan.calibration.rows:,} pilot rows", "s"], rows)
    typer.echo("How many passes a fit needs is not known before it; looking for a start comes on top.")
    if plan.workload.imputed is not None or plan.workload.n_backgrounds:
        typer.echo("Imputed points, and background densities in the first pass, come on top too.")
