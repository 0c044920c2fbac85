"""A selection in words, from its description alone: nothing needs to be imported to read a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["in_words"]

Said = Mapping[str, Any]


def in_words(description: Said, names: Sequence[str]) -> str:
    """Write what `Selection.describe` gave for a person.

    Parameters
    ----------
    description : mapping
    names : sequence of str
        The data's features, for parts that count them or take all.

    Returns
    -------
    str
        Such as "0 ≤ parallax ≤ 0.5"; a part of an unknown kind is named by that.
    """
    kind = str(description.get("kind"))
    if kind in _JOINED:
        return _JOINED[kind].join(_enclosed(part, names) for part in description["parts"])
    if kind == "Complement":
        return f"not ({in_words(description['parts'][0], names)})"
    features = _features(description, names)
    if kind not in _PARTS:
        return f"{kind} of {', '.join(features)}"
    return _PARTS[kind](description, features)


def _enclosed(part: Said, names: Sequence[str]) -> str:
    text = in_words(part, names)
    return f"({text})" if part["kind"] in _JOINED else text


def _features(part: Said, names: Sequence[str]) -> list[str]:
    given = part.get("features")
    if given is None:
        return list(names)
    return [names[feature] if isinstance(feature, int) else str(feature) for feature in given]


def _box(part: Said, features: list[str]) -> str:
    sides = [
        (f"{low:g} ≤ " if low is not None else "") + name + (f" ≤ {high:g}" if high is not None else "")
        for low, name, high in zip(part["low"], features, part["high"], strict=True)
        if low is not None or high is not None
    ]
    return " and ".join(sides) or "everything"


def _ball(part: Said, features: list[str]) -> str:
    center = ", ".join(f"{number:g}" for number in part["center"])
    return f"within {part['radius']:g} of ({center}) in {', '.join(features)}"


def _half_space(part: Said, features: list[str]) -> str:
    terms = [
        f"{number:g} {name}" for number, name in zip(part["normal"], features, strict=True) if number != 0
    ]
    return f"{' + '.join(terms)} > {part['offset']:g}"


def _polygon(part: Said, features: list[str]) -> str:
    return f"inside a polygon of {len(part['vertices'])} corners in {' and '.join(features)}"


def _completeness_map(part: Said, features: list[str]) -> str:
    return f"by a map of completeness over {' and '.join(features)}"


def _healpix_map(part: Said, features: list[str]) -> str:
    return f"by a map of completeness on the sphere, by {' and '.join(features)}"


def _callback(part: Said, features: list[str]) -> str:
    name = part.get("name") or part.get("reference") or "a function without a name"
    return f"by {name} of {', '.join(features)}"


_JOINED = {"Intersection": " and ", "Union": " or "}
_PARTS: dict[str, Callable[[Said, list[str]], str]] = {
    "Box": _box,
    "Ball": _ball,
    "HalfSpace": _half_space,
    "Polygon": _polygon,
    "CompletenessMap": _completeness_map,
    "HealpixMap": _healpix_map,
    "Callback": _callback,
}
