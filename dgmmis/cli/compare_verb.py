"""compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgmmis.cli.machines import using_cluster
from dgmmis.cli.option_groups import MachineOptions, SightOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, Catalog, Floor, PriorName, Pruning, Quiet
from dgmmis.cli.printing import finite, print_json, print_table
from dgmmis.errors import InvalidSetting, MissingLibrary

if TYPE_CHECKING:
    from dgmmis.comparison import Comparison

__all__ = ["compare_verb"]


@grouped
def compare_verb(
    catalog: Catalog,
    *,
    components: Annotated[
        str, typer.Option("-K", "--components", help="Numbers of components, e.g. 4,8,16,32.")
    ],
    covariance: Annotated[
        str, typer.Option(help="Types of covariance: full, diagonal, tied, spherical; e.g. full,tied.")
    ] = "full",
    folds: Annotated[int, typer.Option(help="Of the cross-validation; 0 for none.")] = 5,
    restarts: Annotated[int, typer.Option(help="Starts of each model.")] = 8,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for table, figure and models; keeps every pass, so that a rerun goes on."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Of each fit: stop when passes would add less to ln L \\[total nats].")
    ] = 0.1,
    max_passes: Annotated[int, typer.Option(help="Parameter updates of each fit at most.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of starts and folds.")] = 0,
    sight: SightOptions,
    floor: Floor = None,
    prior: PriorName = "auto",
    pruning: Pruning = 1e-15,
    machines: MachineOptions,
    tls: TlsOptions,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Fit several mixtures to a catalogue in shared passes, and say which describes the rows best."""
    from dgmmis.cli.observation_options import floor_argument, prior_argument, sight_arguments
    from dgmmis.comparing import compare
    from dgmmis.places import local_path
    from dgmmis.progress import comparison_display
    from dgmmis.store import open_catalog

    numbers, kinds = _whole_numbers(components), covariance.split(",")
    output = None if output is None else local_path(output)
    opened = open_catalog(catalog)
    observation = {
        **sight_arguments(sight, opened),
        "floor": floor_argument(floor, opened.features),
        "prior": prior_argument(prior),
    }
    with (
        _telling_how_to_go_on(output),
        using_cluster(machines, tls) as client,
        comparison_display(quiet=quiet or as_json) as display,
    ):
        comparison = compare(
            opened,
            n_components=numbers,
            covariance_types=kinds,
            folds=folds,
            restarts=restarts,
            tolerance=tolerance,
            max_passes=max_passes,
            seed=seed,
            pruning=pruning,
            client=client,
            output=output,
            observer=display,
            **observation,
        )
    written = {} if output is None else _write(comparison, output)
    if as_json:
        print_json({**comparison.describe(), **written})
    else:
        _show(comparison, written)


@contextmanager
def _telling_how_to_go_on(output: Path | None) -> Iterator[None]:
    """Say what was kept when the user interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        kept = "the same command goes on" if output else "nothing was kept; --output DIR keeps every pass"
        typer.echo(f"interrupted; {kept}", err=True)
        raise


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(item) for item in text.split(",")]
    except ValueError as error:
        raise InvalidSetting(f"-K is {text!r}; expected numbers of components, e.g. -K 4,8,16.") from error


def _write(comparison: Comparison, output: Path) -> dict[str, Any]:
    """Write table, figure and models; say where each lies, or why there is none."""
    from dgmmis.comparing import file_name
    from dgmmis.plain_files import write_plain

    models = output / "models"
    models.mkdir(exist_ok=True)
    written: dict[str, Any] = {"table": str(output / "comparison.json"), "model_files": {}}
    for one in comparison.models:
        path = models / f"{file_name(one.fitted.n_components, one.fitted.covariance_type)}.npz"
        one.model.save(path)
        written["model_files"][one.label] = str(path)
    if comparison.stacking is not None:
        comparison.stack().save(models / "stack.npz")
        written["stack"] = str(models / "stack.npz")
    with write_plain(output / "comparison.json") as file:
        file.write(json.dumps(finite(comparison.describe()), indent=1).encode() + b"\n")
    try:
        from dgmmis.plots import as_png, draw_comparison

        with write_plain(output / "comparison.png") as figure:
            figure.write(as_png(draw_comparison(comparison)))
        written["figure"] = str(output / "comparison.png")
    except MissingLibrary as error:
        written["figure_missing"] = str(error)
    return written


def _show(comparison: Comparison, written: dict[str, Any]) -> None:
    lines = comparison.table()
    columns = list(lines[0])
    print_table(columns, [[line[column] for column in columns] for line in lines])
    for label, error in comparison.failures:
        typer.echo(f"{label}: no fit survived. {error}")
    if comparison.folds:
        errors = "errors are standard errors of the differences, row by row"
        typer.echo(f"{comparison.rows:,} rows in {comparison.folds} folds by hash of their id; {errors}")
    typer.echo(f"best: {comparison.best.label} by {'cross-validation' if comparison.folds else 'BIC'}")
    if comparison.stacking is not None:
        typer.echo(
            f"stack: weights from {comparison.stacking_rows:,} rows, known to {comparison.stacking.gap:.1g} nats"
        )
    for name in ("table", "figure", "figure_missing", "stack"):
        if name in written:
            typer.echo(f"{name.replace('_', ' ')}: {written[name]}")
    if written:
        typer.echo(f"models: {', '.join(written['model_files'].values())}")
