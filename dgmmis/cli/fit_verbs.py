"""fit, resume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgmmis.cli.function_paths import opened_run, trusted_functions
from dgmmis.cli.machines import using_cluster
from dgmmis.cli.observation_text import observation_lines, observation_summary
from dgmmis.cli.option_groups import FitOptions, MachineOptions, ObservationOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, Catalog, MovedCatalog, Quiet, Trust
from dgmmis.cli.printing import print_json
from dgmmis.errors import InvalidSetting

if TYPE_CHECKING:
    from dgmmis.fit_result import FitResult
    from dgmmis.stopping import Stop
    from dgmmis.store import Catalog as OpenedCatalog

__all__ = ["fit_verb", "resume_verb", "stated_settings"]

MOST = 0.99
"""Share of densities computed from which on nothing is said of the others."""


@contextmanager
def stoppable(run: str) -> Iterator[Stop]:
    """Have SIGINT and SIGTERM stop the fit at a boundary, and say then how to go on."""
    from dgmmis.signal_stops import heeding_signals
    from dgmmis.stopping import Stop

    stop = Stop()
    with heeding_signals(stop, f"go on with: dgmmis resume {run}"):
        yield stop


def stated_settings(
    opened: OpenedCatalog, options: FitOptions, observation: ObservationOptions
) -> dict[str, Any]:
    """Give the settings of `dgmmis.fit` that the options of a verb stand for; budgets are none."""
    from dgmmis.cli.observation_options import fit_arguments
    from dgmmis.starting_model import starting_population

    trusted = trusted_functions(options.trust)
    return {
        **fit_arguments(observation, opened),
        "initial": starting_population(options.initial, opened.features, opened.units, trust=trusted),
        "n_components": options.n_components,
        "seed": options.seed,
        "pruning": options.pruning,
        "method": options.method,
        "split_merge": options.split_merge,
        "carried": options.carried,
    }


@grouped
def fit_verb(
    catalog: Catalog,
    options: FitOptions,
    observation: ObservationOptions,
    machines: MachineOptions,
    tls: TlsOptions,
    run: Annotated[
        str | None,
        typer.Option(help="Run folder, or s3://...: keeps every pass. The same settings continue it."),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Instead of --run: a root, under which the settings name the folder.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Fit a mixture to a catalogue; kill it at any moment and `resume`."""
    from dgmmis.api import fit
    from dgmmis.progress import fit_display
    from dgmmis.stopping import Heeding
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    settings = stated_settings(opened, options, observation)
    place = _place(opened, run, runs, settings)
    if not (quiet or as_json):
        _tell_of_cut(opened, settings)
    with (
        stoppable(place) as stop,
        using_cluster(machines, tls) as client,
        fit_display(options.tolerance, quiet=quiet or as_json) as display,
    ):
        result = fit(
            opened,
            **settings,
            tolerance=options.tolerance,
            max_passes=options.max_passes,
            client=client,
            run=place,
            observer=Heeding(display, stop),
        )
    _finish(place, result, as_json)


def _tell_of_cut(opened: OpenedCatalog, settings: dict[str, Any]) -> None:
    """Say of a catalogue that was cut when it was ingested that the fit is not told of it."""
    where = dict(opened.schema.provenance.get("options") or {}).get("where")  # type: ignore[call-overload]
    if where and settings.get("selection") is None:
        typer.echo(
            f"note: ingest kept rows by --where '{where}', and this fit describes what that left. If it cut through "
            "what you model, say so with --keep or --selection: docs/selection.md",
            err=True,
        )


def _place(opened: OpenedCatalog, run: str | None, runs: Path | None, settings: dict[str, Any]) -> str:
    """Find the run folder that the options name."""
    from dgmmis.service.submission import named_place

    if run is not None and runs is None:
        return run
    if runs is not None and run is None:
        return str(named_place(opened, runs, **settings))
    raise InvalidSetting(
        "give one of --run DIR, which is the run folder, and --runs ROOT, under which the settings name it."
    )


@grouped
def resume_verb(
    run: Annotated[str, typer.Argument(metavar="RUNDIR", help="Run folder of an earlier fit.")],
    *,
    tolerance: Annotated[float | None, typer.Option(help="Default: as before.")] = None,
    max_passes: Annotated[int | None, typer.Option(help="In all; default: as before.")] = None,
    catalog: MovedCatalog = None,
    machines: MachineOptions,
    tls: TlsOptions,
    trust: Trust = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Leave it to a server of its root, and return at once.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run from its last checkpoint, with the same bits as if it had never stopped."""
    from dgmmis.progress import fit_display
    from dgmmis.resuming import resume
    from dgmmis.stopping import Heeding

    if queue:
        _queue(run, tolerance, max_passes, (machines.cluster, catalog), as_json)
        return
    opened = opened_run(run, trust)
    if tolerance is None:
        tolerance = opened.next_budget().get("tolerance")
    with (
        stoppable(run) as stop,
        using_cluster(machines, tls) as client,
        fit_display(tolerance or 0, quiet=quiet or as_json) as display,
    ):
        result = resume(
            run,
            tolerance=tolerance,
            max_passes=max_passes,
            client=client,
            catalog=catalog,
            observer=Heeding(display, stop),
            trust=trust or (),
        )
    _finish(run, result, as_json)


def _queue(
    run: str,
    tolerance: float | None,
    max_passes: int | None,
    servers: tuple[str | None, str | None],
    as_json: bool,
) -> None:
    """Ask a server to go on with a run."""
    from dgmmis.places import local_path
    from dgmmis.service import Run

    if any(option is not None for option in servers):
        raise InvalidSetting(
            "with --queue the server decides on the cluster, and the catalogue must lie where it was."
        )
    queued = Run(local_path(run))
    queued.queue(tolerance=tolerance, max_passes=max_passes)
    if as_json:
        print_json({"run": run, "state": queued.state})
    else:
        typer.echo(f"{run} is {queued.state}")


def _finish(run: str, result: FitResult, as_json: bool) -> None:
    from dgmmis.runs import open_run

    model_path = open_run(run).write_model(result.model)
    summary: dict[str, Any] = {
        "run": run,
        "model": model_path,
        "converged": result.converged,
        "reason": result.reason,
        "n_passes": result.n_passes,
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
        "evaluated": result.history[-1].evaluated,
        "left_out": result.history[-1].left_out,
        "amplitudes": result.mixture.amplitudes.tolist(),
        "means": result.mixture.means.tolist(),
        "covariances": result.mixture.covariances.tolist(),
    }
    prior = None if result.prior is None else result.prior.describe()
    observation = observation_summary(result.population, result.completion, prior)
    summary |= observation
    if as_json:
        print_json(summary)
        return
    typer.echo(f"{result.reason}")
    typer.echo(
        f"ln L = {result.log_likelihood:.3f}, {result.mean_log_likelihood:.6f} per row, after {result.n_passes} passes"
    )
    for name, value in observation_lines(observation).items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    _tell_of_pruning(result)
    typer.echo(f"model: {model_path}")


def _tell_of_pruning(result: FitResult) -> None:
    """Say what was left out in the last pass, if it was more than a little."""
    last = result.history[-1]
    if last.evaluated is not None and last.left_out is not None and last.evaluated < MOST:
        typer.echo(
            f"{last.evaluated:.1%} of all densities computed; the others change ln L by less than {last.left_out:.1g}"
        )
