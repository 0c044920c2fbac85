"""export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgmmis.cli.function_paths import opened_run, trusted_functions
from dgmmis.cli.options import AsJson, Overwrite, Trust
from dgmmis.cli.printing import print_json
from dgmmis.errors import AlreadyExists, InvalidSetting

if TYPE_CHECKING:
    from dgmmis.model import Model

__all__ = ["export_verb", "import_verb"]


def export_verb(
    model: Annotated[str, typer.Argument(metavar="RUNDIR|MODEL", help="Run folder, or a saved model.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write: .npz, .fits (table), .fit (XDGMM).")
    ],
    format: Annotated[
        str | None, typer.Option(help="dgmmis, pygmmis, xdgmm, fits or sklearn; default: by OUT's suffix.")
    ] = None,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Leave out a background that the format cannot hold.")
    ] = False,
    overwrite: Overwrite = False,
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Write the model of a run, or a saved one, for this program or another."""
    from dgmmis.model_formats import export_model, format_of

    opened, provenance = _opened(model, trust)
    name = format_of(output) if format is None else format
    lost = export_model(opened, output, name, lossy=lossy, overwrite=overwrite, provenance=provenance or None)
    if as_json:
        print_json({"output": str(output), "format": name, "lost": lost})
        return
    typer.echo(f"{opened.mixture.n_components} components written to {output}, format {name}")
    if lost:
        typer.echo(f"note: this format does not hold {', '.join(lost)}")


def import_verb(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Model of pyGMMis, XDGMM, ... or dgmmis.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model to write (.npz).")],
    features: Annotated[
        str | None, typer.Option(help="Names of its features, in order, separated by commas.")
    ] = None,
    unit: Annotated[list[str] | None, typer.Option(help="FEATURE=UNIT, once for each.")] = None,
    overwrite: Overwrite = False,
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Read a model of another program and save it as one of this, with names and units, to start from."""
    from dgmmis.model_formats import import_model, read_provenance
    from dgmmis.places import local_path

    names = tuple(name.strip() for name in features.split(",")) if features else ()
    read = import_model(source, features=names, trust=trusted_functions(trust))
    read = _with_units(read, unit or [])
    path = local_path(output)
    if path.exists() and not overwrite:
        raise AlreadyExists(f"{path} exists. Name another file, or allow it with --overwrite.")
    read.save(path, provenance={"imported_from": Path(source).name})
    if as_json:
        print_json(
            {"output": str(path), "features": read.features, "units": read.units, **read_provenance(path)}
        )
        return
    typer.echo(
        f"{read.mixture.n_components} components of {', '.join(read.features)} written to {path}; start from them "
        f"with: dgmmis fit CATALOG -K {read.mixture.n_components} --initial {path}"
    )


def _opened(place: str, trust: list[str] | None) -> tuple[Model, dict[str, Any]]:
    """Open a run's model and say where it comes from, or a file's."""
    from dgmmis.location import S3Url, location_of
    from dgmmis.model_formats import import_model, provenance_of, read_provenance

    location = location_of(place)
    if isinstance(location, S3Url) or location.is_dir():
        run = opened_run(place, trust)
        return run.model(), provenance_of(run)
    opened = import_model(location, trust=trusted_functions(trust))
    try:
        return opened, read_provenance(location)
    except ValueError:  # of another program, which says nothing of it
        return opened, {}


def _with_units(model: Model, given: list[str]) -> Model:
    from dataclasses import replace

    units = dict(zip(model.features, model.units, strict=True))
    for item in given:
        name, sign, unit = item.partition("=")
        if not sign or name not in units:
            raise InvalidSetting(
                f"--unit {item!r} is not FEATURE=UNIT with one of {', '.join(model.features)}."
            )
        units[name] = unit
    return replace(model, units=tuple(units.values())) if given else model
