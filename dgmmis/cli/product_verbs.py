"""apply, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dgmmis.cli.function_paths import opened_run
from dgmmis.cli.machines import using_cluster
from dgmmis.cli.option_groups import MachineOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, Catalog, MovedCatalog, Overwrite, Quiet, Run, Trust
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
    pdf: Annotated[Path | None, typer.Option(help="Write it as A4 pages of PDF, too.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder: write each figure there as PNG and PDF.")
    ] = None,
    errors: Annotated[
        str,
        typer.Option(
            help="Standard errors: auto estimates them if that takes seconds; none; or FILE.npz of `uncertainty -o`."
        ),
    ] = "auto",
    check_rows: Annotated[
        int, typer.Option(help="Rows that the model is checked against, at most; 0 leaves the check out.")
    ] = 50_000,
    seed: Annotated[int, typer.Option(help="Of the simulated catalogues.")] = 0,
    catalog: MovedCatalog = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    trust: Trust = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained page with the fit's pictures and numbers, and how well it describes the rows."""
    from dgmmis.html_report import Wanted, write_report
    from dgmmis.progress import waiting
    from dgmmis.store import open_catalog

    wanted = Wanted(check_rows, seed, errors)
    opened = opened_run(run, trust)
    with waiting(f"drawing the report of {run}", quiet=quiet or as_json):
        path = write_report(
            opened,
            output,
            overwrite=overwrite,
            catalog=None if catalog is None else open_catalog(catalog),
            pdf=pdf,
            figures=figures,
            wanted=wanted,
        )
    written = {"report": path, "pdf": pdf, "figures": figures}
    if as_json:
        print_json({name: str(place) for name, place in written.items() if place is not None})
        return
    for name, place in written.items():
        if place is not None:
            typer.echo(f"{name}: {place}")
