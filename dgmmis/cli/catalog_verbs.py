"""ingest, append, describe, verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgmmis.cli.description_text import print_description
from dgmmis.cli.options import AsJson, Catalog, Quiet
from dgmmis.cli.printing import print_json
from dgmmis.errors import CorruptCheckpoint, InvalidSetting

if TYPE_CHECKING:
    from dgmmis.location import Location

__all__ = ["append_verb", "describe_verb", "ingest_verb", "verify_verb"]


def ingest_verb(
    source: Annotated[
        Path, typer.Argument(help="FITS, Parquet (file or folder), HATS, HDF5, CSV, .npy or .npz.")
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DEST.zarr", help="Catalogue to make: a path, or s3://...")
    ],
    features: Annotated[str, typer.Option(help="Features of the model, separated by commas.")],
    error: Annotated[
        list[str] | None,
        typer.Option(
            help='Standard errors: "{}_error" for all features, or FEATURE=COLUMN, or FEATURE=0.02.'
        ),
    ] = None,
    corr: Annotated[
        str | None, typer.Option(help='Correlation columns, e.g. "{}_{}_corr"; pairs without one are 0.')
    ] = None,
    jitter: Annotated[
        list[str] | None, typer.Option(help="FEATURE=0.01: added in quadrature to that feature's errors.")
    ] = None,
    derive: Annotated[
        list[str] | None, typer.Option(help='Linear features, e.g. "color=bp-rp"; errors follow.')
    ] = None,
    row_id: Annotated[str | None, typer.Option("--id", help="Column that names the rows.")] = None,
    weights: Annotated[str | None, typer.Option(help="Column with row weights.")] = None,
    where: Annotated[
        str | None, typer.Option(help='Rows to take, a numexpr expression: "(g < 17) & (ruwe < 1.4)".')
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(help="COLUMN=UNIT, where the source does not say.")
    ] = None,
    missing_error: Annotated[
        str, typer.Option(help="A present feature without error: quarantine the row, or call it missing.")
    ] = "quarantine",
    chunk_rows: Annotated[int | None, typer.Option(help="Rows of a chunk; default: about 100,000.")] = None,
    order: Annotated[
        str,
        typer.Option(
            help="Put rows near together inside each chunk, or across the whole catalog: chunk or catalog."
        ),
    ] = "chunk",
    max_quarantined: Annotated[
        int | None, typer.Option(help="Give up when more rows than this cannot be used.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the catalogue at DEST.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check a table and store it as a catalogue: chunked, checksummed, bad rows set aside."""
    from dgmmis.ingestion import ingest
    from dgmmis.progress import counting

    with counting(f"ingesting {source.name}", quiet=quiet or as_json) as progress:
        catalog = ingest(
            source,
            destination,
            features=[name.strip() for name in features.split(",")],
            error=tuple(error or ()),
            corr=corr,
            jitter={name: _number(value) for name, value in _pairs(jitter, "--jitter").items()},
            derive=tuple(derive or ()),
            id=row_id,
            weights=weights,
            where=where,
            units=_pairs(unit, "--unit"),
            missing_error=missing_error,  # type: ignore[arg-type]
            chunk_rows=chunk_rows,
            order=order,  # type: ignore[arg-type]
            max_quarantined=max_quarantined,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print_json(catalog.describe())
        return
    typer.echo(
        f"{catalog.n_rows:,} rows of {', '.join(catalog.features)} in {catalog.n_chunks} chunks at {destination}; "
        f"{catalog.n_quarantined:,} rows quarantined"
    )
    for note in catalog.describe()["provenance"].get("notes", []):
        typer.echo(f"note: {note}")


def append_verb(
    catalog: Catalog,
    source: Annotated[
        Path, typer.Argument(help="FITS, Parquet (file or folder), HATS, HDF5, CSV, .npy or .npz.")
    ],
    unit: Annotated[
        list[str] | None, typer.Option(help="COLUMN=UNIT, where this source does not say.")
    ] = None,
    max_quarantined: Annotated[
        int | None, typer.Option(help="Give up when more of these rows than this cannot be used.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Add the rows of another source to a catalogue, by the settings of its ingest."""
    from dgmmis.ingestion import append
    from dgmmis.progress import counting

    with counting(f"appending {source.name}", quiet=quiet or as_json) as progress:
        grown = append(
            catalog, source, units=_pairs(unit, "--unit"), max_quarantined=max_quarantined, progress=progress
        )
    if as_json:
        print_json(grown.describe())
        return
    before = grown.as_of(grown.fingerprints[-2])
    typer.echo(
        f"{grown.part_rows[-1]:,} rows appended to {catalog}, {grown.n_quarantined - before.n_quarantined:,} "
        f"quarantined; now {grown.n_rows:,} rows in {grown.n_chunks} chunks"
    )
    for note in grown.describe()["provenance"]["appended"][-1]["notes"]:
        typer.echo(f"note: {note}")


def _pairs(items: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for item in items or ():
        name, sign, value = item.partition("=")
        if not sign or not name or not value:
            raise InvalidSetting(f"{option} {item!r} is not NAME=VALUE.")
        pairs[name] = value
    return pairs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidSetting(f"{text!r} is not a number.") from error


def describe_verb(catalog: Catalog, as_json: AsJson = False) -> None:
    """Show a catalogue's rows, features, missing patterns, noise health and quarantine."""
    from dgmmis.store import open_catalog

    description = open_catalog(catalog).describe()
    if as_json:
        print_json(description)
    else:
        print_description(description)


def verify_verb(
    place: Annotated[
        str,
        typer.Argument(metavar="CATALOG|RUNDIR", help="Catalogue or run folder: a path, or s3://..."),
    ],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Hash every stored file of a catalogue or of a run again."""
    from dgmmis.location import location_of
    from dgmmis.runs import is_run

    location = location_of(place)
    if is_run(location):
        _verify_run(location, as_json, quiet)
    else:
        _verify_catalog(location, as_json, quiet)


def _verify_run(run: Location, as_json: bool, quiet: bool) -> None:
    from dgmmis.progress import counting
    from dgmmis.runs import verify_run

    with counting(f"verifying {run.name}", quiet=quiet or as_json) as progress:
        checks = verify_run(run, progress)
    failed = [check for check in checks if not check.passed]
    if as_json:
        objects = [{"object": check.name, "passed": check.passed, "fault": check.fault} for check in checks]
        print_json({"verified": not failed, "run": str(run), "objects": objects})
    else:
        for check in checks:
            typer.echo(f"pass  {check.name}" if check.passed else f"FAIL  {check.name}: {check.fault}")
        typer.echo(f"{len(checks) - len(failed)} of {len(checks)} objects are what was written")
    if failed:
        raise typer.Exit(CorruptCheckpoint.exit_code)


def _verify_catalog(catalog: Location, as_json: bool, quiet: bool) -> None:
    from dgmmis.progress import counting
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    with counting(f"verifying {opened.path.name}", quiet=quiet or as_json) as progress:
        total = opened.verify(progress)
    if as_json:
        print_json({"verified": True, "files": total, "fingerprint": opened.fingerprint})
    else:
        typer.echo(f"{total} files are what was written; fingerprint {opened.fingerprint}")
