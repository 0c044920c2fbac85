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
from dgmmis.trust import NOBODY, Trust

__all__ = ["from_description"]

Arrays = Mapping[str, Array]
Said = Mapping[str, Any]


def from_description(
    description: Mapping[str, Any], arrays: Arrays | None = None, *, trust: Trust = NOBODY
) -> Selection:
    """Build the selection that `Selection.describe` described.

    Parameters
    ----------
    description : dict
    arrays : mapping of str to array, optional
        What `Selection.to_arrays` gave, for maps whose numbers are not in the description.
    trust : Trust
        Which functions may be imported because the description names them; none by default.

    Raises
    ------
    UntrustedFunction
        If it names a function that is not among them.
    SelectionError
        If it is no description, an array is not there or another, or a function cannot be imported or
        is no longer the one that was described.
    """
    try:
        build = BUILDERS[str(description["kind"])]
        return build(dict(description), arrays or {}, trust)
    except SelectionError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SelectionError(
            f"this is no description of a selection ({type(error).__name__}: {error}): {repr(description)[:300]}. "
            f"Expected one of the kinds {sorted(BUILDERS)}.",
            value=description,
        ) from error


def _box(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    return Box(open_faces(said["low"], -np.inf), open_faces(said["high"], np.inf), said["features"])


def _ball(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    return Ball(said["center"], said["radius"], said["features"])


def _half_space(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    return HalfSpace(said["normal"], said["offset"], said["features"])


def _polygon(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    return Polygon(said["vertices"], said["features"])


def _completeness_map(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    axes = [read_array(axis, arrays) for axis in said["axes"]]
    return CompletenessMap(axes, read_array(said["values"], arrays), said["features"], said["outside"])


def _healpix_map(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    magnitudes, completeness = (read_array(said[name], arrays) for name in ("magnitudes", "completeness"))
    return HealpixMap(
        said["nside"], magnitudes, completeness, said["features"], said["order"], said["outside"]
    )


def _callback(said: Said, arrays: Arrays, trust: Trust) -> Selection:
    reference = said["reference"]
    if reference is None:
        raise SelectionError(
            f"the selection was a local function or a lambda (name {said['name']!r}), which a description cannot "
            "bring back: give the same function again.",
            array="selection",
        )
    found = as_selection(trust.require(reference, "the selection"))
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


def _parts(said: Said, arrays: Arrays, trust: Trust) -> tuple[Selection, ...]:
    return tuple(from_description(part, arrays, trust=trust) for part in said["parts"])


BUILDERS: dict[str, Callable[[Description, Arrays, Trust], Selection]] = {
    "Box": _box,
    "Ball": _ball,
    "HalfSpace": _half_space,
    "Polygon": _polygon,
    "CompletenessMap": _completeness_map,
    "HealpixMap": _healpix_map,
    "Callback": _callback,
    "Intersection": lambda said, arrays, trust: Intersection(_parts(said, arrays, trust)),
    "Union": lambda said, arrays, trust: Union(_parts(said, arrays, trust)),
    "Complement": lambda said, arrays, trust: Complement(_parts(said, arrays, trust)),
}
