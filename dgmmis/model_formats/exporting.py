"""From a model to a file of some format, and what that format cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dgmmis.errors import AlreadyExists, InvalidSetting
from dgmmis.model import Model
from dgmmis.model_formats.array_files import write_pygmmis, write_sklearn
from dgmmis.model_formats.fits_table import write_fits
from dgmmis.model_formats.xdgmm_text import write_xdgmm
from dgmmis.places import local_path
from dgmmis.samples import default_names
from dgmmis.whole_files import replacing

__all__ = ["FORMATS", "export_model", "format_of"]

OWN = "dgmmis"


@dataclass(frozen=True)
class Format:
    """A format of another program.

    Attributes
    ----------
    write : callable
    suffix : str
        "" if the suffix does not tell it from others.
    keeps : frozenset of str
        Of "names" and "units".
    """

    write: Callable[[Model, IO[bytes]], None]
    suffix: str = ""
    keeps: frozenset[str] = frozenset()


OTHERS: dict[str, Format] = {
    "pygmmis": Format(write_pygmmis),
    "xdgmm": Format(write_xdgmm, ".fit", frozenset({"names"})),
    "fits": Format(write_fits, ".fits", frozenset({"names", "units"})),
    "sklearn": Format(write_sklearn, "", frozenset({"names"})),
}
FORMATS = (OWN, *OTHERS)


def format_of(path: Path) -> str:
    """Tell the format that a name stands for: .npz is our own, .fits a table, .fit the text of XDGMM.

    Raises
    ------
    InvalidSetting
        If it stands for none.
    """
    if path.suffix.lower() == ".npz":
        return OWN
    for name, other in OTHERS.items():
        if other.suffix and path.suffix.lower() == other.suffix:
            return name
    raise InvalidSetting(
        f"the name {path.name} tells no format. Name one by --format (format=): {', '.join(FORMATS)}."
    )


def export_model(
    model: Model,
    path: str | Path,
    format: str | None = None,
    *,
    lossy: bool = False,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write a model for this program or another.

    Parameters
    ----------
    model : Model
    path : path
    format : {"dgmmis", "pygmmis", "xdgmm", "fits", "sklearn"}, optional
        By default as the suffix says: see `format_of`.
    lossy : bool
        Whether a background may be left out, without which the density is another.
    overwrite : bool
    provenance : mapping, optional
        Where the model comes from, as `provenance_of` says of a run.

    Returns
    -------
    list of str
        What the format could not hold and the file lacks, in words.

    Raises
    ------
    InvalidSetting
        If there is no such format, or the model has a background, which it cannot hold, and `lossy` is false.
    AlreadyExists
    DiskFull, StorageFailed
    """
    path = local_path(path)
    name = format_of(path) if format is None else format
    if name not in FORMATS:
        raise InvalidSetting(f"format is {format!r}; expected one of {', '.join(FORMATS)}.")
    if path.exists() and not overwrite:
        raise AlreadyExists(f"{path} exists. Name another file, or allow it with --overwrite.")
    if name == OWN:
        model.save(path, provenance=provenance)
        return []
    other = OTHERS[name]
    if model.backgrounds and not lossy:
        raise InvalidSetting(
            f"the format {name} holds no background, and without it the density is another. Export to {OWN}, or leave "
            "it out with --lossy (lossy=True)."
        )
    size = model.mixture.covariances.nbytes + model.mixture.means.nbytes + model.mixture.amplitudes.nbytes
    replacing(path, size, lambda file: other.write(model, file))
    return _losses(model, other, provenance)


def _losses(model: Model, format: Format, provenance: Mapping[str, Any] | None) -> list[str]:
    named = model.features != default_names(model.mixture.n_features)
    lost = {
        "the background": bool(model.backgrounds),
        "the selection of the data": model.selection is not None,
        "names of features": named and "names" not in format.keeps,
        "units": any(model.units) and "units" not in format.keeps,
        "the provenance of the fit": bool(provenance),
    }
    return [what for what, is_lost in lost.items() if is_lost]
