"""apply, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dgmmis.cli.function_paths import opened_run
from dgmmis.cli.machines import using_cluster
from dgmmis.cli.option_groups import MachineOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, Catalog, Overwrite, Quiet, Run, Trust
from dgmmis.cli.printing import print_json
from dgmmis.errors import InvalidSetting

__all__ = ["apply_verb", "report_verb"]


@grouped
def apply_verb(
    run: Run,
    *,
    catalog: Catalog,
    output: Annotated[Path, typer.Option("-o", "--output", help="OUT.zarr, or OUT.parquet (a folder).")],
    top: Annotated[int, typer.Option(help="Most responsible components to name per row.")] = 3,
    order: Annotated[str, typer.Option(help="Of the rows: storage or source.")] = "storage",
    overwrite: Overwrite = False,
    machines: MachineOptions,
    tls: TlsOptions,
    trust: Trust = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write responsibilities, log-density and deconvolved posterior of every row."""
    from dgmmis.products import apply
    from dgmmis.progress import counting
    from dgmmis.store import open_catalog

    if order not in ("storage", "source"):
        raise InvalidSetting(f"--order is {order!r}; expected storage or source.")
    driven, opened = opened_run(run, trust), open_catalog(catalog)
    model = driven.model()
    with (
        using_cluster(machines, tls) as client,
        counting(f"applying {driven.path.name}", quiet=quiet or as_json) as progress,
    ):
        apply(
            model,
            opened,
            output,
            top=top,
            order=order,  # type: ignore[arg-type]
            overwrite=overwrite,
            client=client,
            progress=progress,
        )
    if as_json:
        print_json({"output": str(output), "rows": opened.n_rows})
    else:
        typer.echo(f"{opened.n_rows:,} rows written to {output}")


def report_verb(
    run: Run,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML page to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False,
    trust: Trust = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained page with the fit's pictures and numbers."""
    from dgmmis.html_report import write_report
    from dgmmis.progress import waiting

    with waiting(f"drawing the report of {run}", quiet=quiet or as_json):
        path = write_report(opened_run(run, trust), output, overwrite=overwrite)
    if as_json:
        print_json({"report": str(path)})
    else:
        typer.echo(f"report: {path}")
