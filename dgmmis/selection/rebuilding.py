"""Build a selection again from its description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dgmmis.errors import SelectionError
from dgmmis.packed import Array
from dgmmis.selection.algebra import Complement, Intersection, Selection, Union
from dgmmis.selection.callback import Callback, as_selection
from dgmmis.selection.description import Description, read_array
from dgmmis.selection.maps import CompletenessMap, HealpixMap
from dgmmis.selection.shapes import Ball, Box, HalfSpace, Polygon, open_faces

__all__ = ["from_description"]

Arrays = Mapping[str, Array]


def from_description(description: Mapping[str, Any], arrays: Arrays | None = None) -> Selection:
    """Build the selection that `Selection.describe` described.

    Parameters
    ----------
    description : dict
    arrays : mapping of str to array, optional
        What `Selection.to_arrays` gave, for maps whose numbers are not in the description.

    Raises
    ------
    SelectionError
        If it is no description, an array is not there or another, or a function cannot be imported or
        is no longer the one that was described.
    """
    try:
        build = BUILDERS[str(description["kind"])]
        return build(dict(description), arrays or {})
    except SelectionError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SelectionError(
            f"this is no description of a selection ({type(error).__name__}: {error}): {repr(description)[:300]}. "
            f"Expected one of the kinds {sorted(BUILDERS)}.",
            value=description,
        ) from error


def _box(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    return Box(open_faces(said["low"], -np.inf), open_faces(said["high"], np.inf), said["features"])


def _ball(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    return Ball(said["center"], said["radius"], said["features"])


def _half_space(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    return HalfSpace(said["normal"], said["offset"], said["features"])


def _polygon(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    return Polygon(said["vertices"], said["features"])


def _completeness_map(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    axes = [read_array(axis, arrays) for axis in said["axes"]]
    return CompletenessMap(axes, read_array(said["values"], arrays), said["features"], said["outside"])


def _healpix_map(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    magnitudes, completeness = (read_array(said[name], arrays) for name in ("magnitudes", "completeness"))
    return HealpixMap(
        said["nside"], magnitudes, completeness, said["features"], said["order"], said["outside"]
    )


def _callback(said: Mapping[str, Any], arrays: Arrays) -> Selection:
    reference = said["reference"]
    if reference is None:
        raise SelectionError(
            f"the selection was a local function or a lambda (name {said['name']!r}), which a description cannot "
            "bring back: give the same function again.",
            array="selection",
        )
    found = as_selection(reference)
    if not isinstance(found, Callback):
        raise SelectionError(
            f"{reference!r} was a function and is a {type(found).__name__} now.", value=reference
        )
    callback = Callback(found.function, said["features"], said["name"], reference)
    if callback.description(0)["source_sha256"] != said["source_sha256"]:
        raise SelectionError(
            f"the source of the selection {reference!r} is not the one that was described: it was changed since. "
            "Restore it, or begin a new run.",
            value=reference,
        )
    return callback


def _parts(said: Mapping[str, Any], arrays: Arrays) -> tuple[Selection, ...]:
    return tuple(from_description(part, arrays) for part in said["parts"])


BUILDERS: dict[str, Callable[[Description, Arrays], Selection]] = {
    "Box": _box,
    "Ball": _ball,
    "HalfSpace": _half_space,
    "Polygon": _polygon,
    "CompletenessMap": _completeness_map,
    "HealpixMap": _healpix_map,
    "Callback": _callback,
    "Intersection": lambda said, arrays: Intersection(_parts(said, arrays)),
    "Union": lambda said, arrays: Union(_parts(said, arrays)),
    "Complement": lambda said, arrays: Complement(_parts(said, arrays)),
}
