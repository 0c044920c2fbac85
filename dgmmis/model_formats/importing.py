"""From a file of some format, told by its content, to a model."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dgmmis.errors import InvalidData
from dgmmis.model import Model
from dgmmis.model_formats.array_files import PYGMMIS, SKLEARN, read_pygmmis, read_sklearn
from dgmmis.model_formats.fits_table import MAGIC, read_fits
from dgmmis.model_formats.xdgmm_text import FIRST_LINE, read_xdgmm
from dgmmis.places import local_path
from dgmmis.plain_files import open_plain, read_plain

__all__ = ["import_model"]

KNOWN = "dgmmis, pyGMMis and scikit-learn's arrays (.npz), XDGMM (text), a FITS table"
Reader = Callable[[bytes, Path], Model]


def import_model(
    path: str | Path, *, features: Sequence[str] = (), units: Sequence[str] = (), trust: Iterable[str] = ()
) -> Model:
    """Read a model that this program, pyGMMis or XDGMM wrote, or one of the tables and arrays of `export_model`.

    Parameters
    ----------
    path : path
        Its content tells its format, whatever its name.
    features, units : sequence of D str, optional
        What the features are, where the file does not say, or instead.
    trust : iterable of str
        As in `Model.load`.

    Raises
    ------
    InvalidData
        If it is no model of any of these formats.
    FeatureMismatch
        If the names are not D different ones.
    """
    path = local_path(path)
    reader = _reader_of(path)
    model = Model.load(path, trust=trust) if reader is None else reader(read_plain(path), path)
    if not features and not units:
        return model
    return replace(model, features=tuple(features) or model.features, units=tuple(units) or model.units)


def _reader_of(path: Path) -> Reader | None:
    """Choose by the first bytes, and of archives by the arrays in them; None: it is our own, or none."""
    try:
        with open_plain(path) as file:
            begins = file.read(len(FIRST_LINE))
            if begins.startswith(MAGIC):
                return read_fits
            if begins == FIRST_LINE.encode():
                return read_xdgmm
            file.seek(0)
            if begins.startswith(b"PK"):
                return _reader_of_archive(file.read())
    except FileNotFoundError as error:
        raise InvalidData(
            f"{path} does not exist. Give a run folder, or the path of a saved model.", array=str(path)
        ) from error
    except OSError as error:
        raise InvalidData(
            f"{path} cannot be read: {error}. Give the path of a saved model.", array=str(path)
        ) from error

    raise InvalidData(
        f"{path} is not a saved model: it begins like none of {KNOWN}. Save the model as one of these.",
        array=str(path),
    )


def _reader_of_archive(content: bytes) -> Reader | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None  # Model.load says what is wrong with it
    if "header" in names:
        return None
    if names >= set(PYGMMIS):
        return read_pygmmis
    return read_sklearn if names >= set(SKLEARN) else None
