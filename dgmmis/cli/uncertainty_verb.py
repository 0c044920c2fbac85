"""uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgmmis.cli.function_paths import opened_run
from dgmmis.cli.machines import using_cluster
from dgmmis.cli.option_groups import MachineOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, MovedCatalog, Overwrite, Quiet, Run, Trust
from dgmmis.cli.printing import print_json, print_pairs, print_table
from dgmmis.errors import AlreadyExists

if TYPE_CHECKING:
    from dgmmis.uncertainties import Uncertainty

__all__ = ["uncertainty_verb"]


@grouped
def uncertainty_verb(
    run: Run,
    *,
    method: Annotated[str, typer.Option(help="information, sandwich or bootstrap.")] = "information",
    replicates: Annotated[int, typer.Option(help="Of the bootstrap.")] = 100,
    resampling_seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    sample_rows: Annotated[
        int | None, typer.Option(help="Score so many rows of the random sample instead of all.")
    ] = None,
    catalog: MovedCatalog = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="OUT.npz: errors and their covariance.")
    ] = None,
    overwrite: Overwrite = False,
    machines: MachineOptions,
    tls: TlsOptions,
    trust: Trust = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say how well a run's parameters are known."""
    from dgmmis.assessment import uncertainty
    from dgmmis.progress import counting

    if output is not None and output.exists() and not overwrite:
        raise AlreadyExists(f"{output} exists. Name another place, or allow it with --overwrite.")
    opened = opened_run(run, trust)
    with (
        using_cluster(machines, tls) as client,
        counting(f"errors of {opened.path.name}", quiet=quiet or as_json) as progress,
    ):
        found = uncertainty(
            opened,
            method=method,  # type: ignore[arg-type]
            sample_rows=sample_rows,
            replicates=replicates,
            resampling_seed=resampling_seed,
            client=client,
            catalog=catalog,
            progress=progress,
        )
    if output is not None:
        found.save(output)
    _show(found, run, output, as_json)


def _show(found: Uncertainty, run: str, output: Path | None, as_json: bool) -> None:
    saved = {} if output is None else {"output": str(output)}
    if as_json:
        print_json({"run": str(run), **found.describe(), **saved})
        return
    pairs = {
        "run": run,
        "method": found.method,
        "parameters": found.n_parameters,
        "rows scored": f"{found.rows_used:,} of {found.rows:,}",
        "condition": f"{found.condition:.3g}",
    }
    if found.imputation_error:
        pairs["imputed points"] = f"add {found.imputation_error:.2g} standard errors (root-mean-square)"
    print_pairs({**pairs, **saved})
    for note in found.notes:
        typer.echo(f"note: {note}")
    rows = [
        [
            "background" if entry.component is None else entry.component,
            entry.parameter,
            f"{entry.value:.6g}",
            f"{entry.error:.2g}",
            entry.unit,
        ]
        for entry in found.table()
    ]
    print_table(["component", "parameter", "value", "error", "unit"], rows)
