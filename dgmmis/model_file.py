"""Models as files: one `.npz` that NumPy reads without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.density_background import background_from_description
from dgmmis.disk_faults import naming_faults, sync_folder
from dgmmis.errors import DgmmisError, InvalidData, MissingLibrary, SelectionError
from dgmmis.npz_file import UNREADABLE, read_npz
from dgmmis.packed import Array
from dgmmis.selection import Selection, from_description

__all__ = [
    "FORMAT",
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


def write_model(path: Path, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a model's header and arrays; an older file is replaced when the new one is whole."""
    write_arrays(path, FORMAT, header, arrays)


def write_arrays(path: Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write arrays and a header whose `format` is `kind`; an older file is replaced when the new one is whole.

    Raises
    ------
    DiskFull, StorageFailed
        If the disk does not take it; an older file stays.
    """
    text = json.dumps({"format": kind, **header}, allow_nan=False)
    writing = path.with_name(f".{path.name}.writing")
    stored: dict[str, Any] = {"header": np.array(text), **arrays}
    with naming_faults(path, sum(array.nbytes for array in stored.values())):
        try:
            with open(writing, "wb") as file:
                np.savez(file, **stored)
                file.flush()
                os.fsync(file.fileno())
            writing.replace(path)
        finally:
            writing.unlink(missing_ok=True)
        sync_folder(path.parent)


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read header and arrays.

    Raises
    ------
    InvalidData
        If the file is no such model, or one of a format that this version does not read.
    """
    try:
        arrays = read_npz(path.read_bytes())
        header = json.loads(str(arrays.pop("header")))
        missing = {"amplitudes", "means", "covariances"} - set(arrays)
        if missing:
            raise LookupError(f"it has no {', '.join(sorted(missing))}")
    except UNREADABLE as error:
        raise InvalidData(f"{path} is not a saved model: {error}.", array=str(path)) from error
    read_header(header, path)
    return header, arrays


def read_header(header: object, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check a header; return the features and their units."""
    if not isinstance(header, dict):
        raise InvalidData(f"{path} is not a saved model: its header is no object.", array=str(path))
    if header.get("format") not in READABLE:
        raise InvalidData(
            f"{path} is a model of format {header.get('format')!r}; this version reads {' and '.join(READABLE)}.",
            array=str(path),
        )
    features, units = header.get("features"), header.get("units")
    if not _are_texts(features) or not _are_texts(units):
        raise InvalidData(f"the model {path} does not name its features and units.", array=str(path))
    return tuple(features), tuple(units)


def _are_texts(names: object) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def read_backgrounds(header: Mapping[str, Any], path: Path) -> tuple[BackgroundLike, ...]:
    """Build the backgrounds that a header describes."""
    described = header.get("backgrounds", [])
    if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
        raise InvalidData(
            f"the model {path} has backgrounds {described!r}; expected a list.", array=str(path)
        )
    try:
        return tuple(background_from_description(one) for one in described)
    except DgmmisError as error:
        raise InvalidData(f"the model {path} has an unusable background: {error}", array=str(path)) from error


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


def read_selection(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Selection | None, str]:
    """Build the selection that a header describes; where that is impossible, None and the reason."""
    described = header.get("selection")
    if described is None:
        return None, str(header.get("selection_note", ""))
    prefix = "selection_"
    of_selection = {
        name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
    }
    try:
        return from_description(described, of_selection), ""
    except (SelectionError, MissingLibrary) as error:
        return None, f"the stored selection cannot be used here: {error}"
