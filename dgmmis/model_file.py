"""Models as files: one `.npz` that NumPy reads without pickle."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.density_background import background_from_description
from dgmmis.errors import DgmmisError, InvalidData, MissingLibrary, SelectionError, UntrustedFunction
from dgmmis.packed import Array
from dgmmis.plain_arrays import read_arrays
from dgmmis.plain_files import as_json, read_plain
from dgmmis.selection import Selection, from_description
from dgmmis.trust import NOBODY, Trust, remember
from dgmmis.whole_files import replacing

__all__ = [
    "FORMAT",
    "UNREADABLE",
    "describe_selection",
    "read_backgrounds",
    "read_header",
    "read_model",
    "read_selection",
    "write_arrays",
    "write_model",
]

FORMAT = "dgmmis model 2"
READABLE = ("dgmmis model 1", FORMAT)

# What zipfile, zlib, numpy and json raise for files that were cut off, altered or never were models.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)

WAY_OUT = "Give the path of a file that Model.save wrote, or save the model again."


def write_model(path: Path, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a model's header and arrays; an older file is replaced when the new one is whole."""
    text = write_arrays(path, FORMAT, header, arrays)
    if _names_functions(header):
        remember(text.encode())


def write_arrays(path: Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    """Write arrays and a header whose `format` is `kind`, and return that header.

    An older file is replaced when the new one is whole.

    Raises
    ------
    DiskFull, StorageFailed
        If the disk does not take it; an older file stays.
    """
    text = json.dumps({"format": kind, **header}, allow_nan=False)
    stored: dict[str, Any] = {"header": np.array(text), **arrays}
    replacing(path, sum(array.nbytes for array in stored.values()), lambda file: np.savez(file, **stored))
    return text


def _names_functions(header: Mapping[str, Any]) -> bool:
    kinds = {"Callback", "density"}
    return any(f'"kind": "{kind}"' in json.dumps(header) for kind in kinds)


def read_model(path: Path, names: Iterable[str] = ()) -> tuple[dict[str, Any], dict[str, Array], Trust]:
    """Read header and arrays, and say which of the functions that the header names may be imported.

    Parameters
    ----------
    path : Path
    names : iterable of str
        Functions that the caller names.

    Raises
    ------
    InvalidData
        If the file is no such model, or one of a format that this version does not read.
    """
    try:
        arrays = read_arrays(read_plain(path))
        text = str(arrays.pop("header"))
        header = as_json(text)
        missing = {"amplitudes", "means", "covariances"} - set(arrays)
        if missing:
            raise LookupError(f"it has no {', '.join(sorted(missing))}")
    except UNREADABLE as error:
        raise InvalidData(f"{path} is not a saved model: {error}. {WAY_OUT}", array=str(path)) from error
    read_header(header, path)
    return header, arrays, Trust.in_file(text.encode(), names)


def read_header(header: object, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check a header; return the features and their units."""
    if not isinstance(header, dict):
        raise InvalidData(f"{path} is not a saved model: its header is no object. {WAY_OUT}", array=str(path))
    if header.get("format") not in READABLE:
        raise InvalidData(
            f"{path} is a model of format {header.get('format')!r}; this version reads {' and '.join(READABLE)}.",
            array=str(path),
        )
    features, units = header.get("features"), header.get("units")
    if not _are_texts(features) or not _are_texts(units):
        raise InvalidData(
            f"the model {path} does not name its features and units. {WAY_OUT}", array=str(path)
        )
    return tuple(features), tuple(units)


def _are_texts(names: object) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def read_backgrounds(
    header: Mapping[str, Any], path: Path, trust: Trust = NOBODY
) -> tuple[BackgroundLike, ...]:
    """Build the backgrounds that a header describes."""
    described = header.get("backgrounds", [])
    if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
        raise InvalidData(
            f"the model {path} has backgrounds {described!r}; expected a list.", array=str(path)
        )
    try:
        return tuple(background_from_description(one, trust) for one in described)
    except DgmmisError as error:
        raise InvalidData(
            f"the model {path} has an unusable background: {error} {WAY_OUT}", array=str(path)
        ) from error


def describe_selection(selection: Selection | None, note: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Describe a selection for a header, and give the arrays it needs.

    A selection that cannot be built again from its description, as one of a lambda, is named only: a model
    that is read from such a file has none, and says so.
    """
    if selection is None:
        return {"selection": None, "selection_note": note}, {}
    try:
        selection.require_importable()
        described = selection.describe()
    except SelectionError as error:
        return {"selection": None, "selection_note": f"the selection was not stored: {error}"}, {}
    arrays = {f"selection_{key}": array for key, array in selection.to_arrays().items()}
    return {"selection": described}, arrays


def read_selection(
    header: Mapping[str, Any], arrays: Mapping[str, Array], trust: Trust = NOBODY
) -> tuple[Selection | None, str]:
    """Build the selection that a header describes; where that is impossible, None and the reason."""
    described = header.get("selection")
    if described is None:
        return None, str(header.get("selection_note", ""))
    prefix = "selection_"
    of_selection = {
        name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
    }
    try:
        return from_description(described, of_selection, trust=trust), ""
    except (SelectionError, MissingLibrary, UntrustedFunction) as error:
        return None, f"the stored selection cannot be used here: {error}"
