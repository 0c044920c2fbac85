"""What the options of `fit` say of how rows came to be observed, as arguments of `dgmmis.fit`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmmis.background import Background
from dgmmis.cli.function_paths import find_functions_here
from dgmmis.cli.option_groups import ObservationOptions, SightOptions
from dgmmis.errors import FeatureMismatch, InvalidSetting
from dgmmis.prior import InverseWishart, Prior
from dgmmis.selection import Box, Selection, as_selection

if TYPE_CHECKING:
    from dgmmis.store import Catalog

__all__ = ["fit_arguments", "floor_argument", "prior_argument", "sight_arguments"]

FROM_DATA = "data"
Interval = tuple[float, float]


def fit_arguments(options: ObservationOptions, catalog: Catalog) -> dict[str, Any]:
    """Give the arguments of `dgmmis.fit` that the options stand for.

    Raises
    ------
    InvalidSetting
        If an option cannot be read, naming it.
    FeatureMismatch, SelectionError
        If a feature does not exist, or a selection cannot be imported.
    """
    return {
        **sight_arguments(options, catalog),
        "floor": floor_argument(options.floor, catalog.features),
        "covariance_type": options.covariance_type,
        "prior": prior_argument(options.prior),
    }


def sight_arguments(options: SightOptions, catalog: Catalog) -> dict[str, Any]:
    """Give those that tell which rows were kept and what lies behind the mixture; errors as of `fit_arguments`."""
    selection = _selection(options)
    if selection is not None:
        selection.bind(catalog.features)  # refused before a cluster is started
    return {
        "selection": selection,
        "before_noise": options.before_noise,
        "background": _background(options, catalog),
    }


def _selection(options: SightOptions) -> Selection | None:
    if options.selection:
        find_functions_here()
    parts = [as_selection(options.selection)] if options.selection else []
    sides = _sides(options.keep or [], "--keep")
    if sides:
        low, high = zip(*sides.values(), strict=True)
        parts.append(Box(low, high, tuple(sides)))
    return parts[0] & parts[1] if len(parts) == 2 else next(iter(parts), None)


def _background(options: SightOptions, catalog: Catalog) -> Background | None:
    if options.background is None:
        if options.footprint:
            raise InvalidSetting(
                "--footprint is the box of a background: give its amplitude too, --background 0.1."
            )
        return None
    footprint = options.footprint or []
    sides = _sides([item for item in footprint if item != FROM_DATA], "--footprint")
    _require_features(sides, catalog.features, "--footprint")
    for name, (low, high) in sides.items():
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InvalidSetting(
                f"--footprint {name}={low:g}:{high:g} has an open end; a density needs a box."
            )
    lacking = [name for name in catalog.features if name not in sides]
    if lacking and FROM_DATA not in footprint:
        raise InvalidSetting(
            f"the background's box has no sides for {', '.join(lacking)}: give --footprint {lacking[0]}=LOW:HIGH, "
            "or --footprint data to take the range of the rows for what is not given."
        )
    sides |= _ranges(catalog, lacking)
    box = np.array([sides[name] for name in catalog.features]).T
    return Background((box[0], box[1]), amplitude=options.background)


def _ranges(catalog: Catalog, names: list[str]) -> dict[str, Interval]:
    """Give the ranges of the rows, as the catalogue recorded them."""
    if not names:
        return {}
    ranges = {feature["name"]: (feature["min"], feature["max"]) for feature in catalog.describe()["features"]}
    for name in names:
        if None in ranges[name]:
            raise InvalidSetting(
                f"no row observed {name}, so it has no range: give --footprint {name}=LOW:HIGH."
            )
    return {name: ranges[name] for name in names}


def floor_argument(items: list[str] | None, features: tuple[str, ...]) -> float | list[float] | None:
    """Read --floor: one number, or one for each feature."""
    if not items:
        return None
    if len(items) == 1 and "=" not in items[0]:
        return _number(items[0], "--floor")
    floors = {
        name: _number(value, "--floor") for name, value in _named(items, "--floor", "FEATURE=NUMBER").items()
    }
    _require_features(floors, features, "--floor")
    lacking = [name for name in features if name not in floors]
    if lacking:
        raise InvalidSetting(
            f"--floor is given for {', '.join(floors)} and not for {', '.join(lacking)}: name every feature, or give "
            "one number for all."
        )
    return [floors[name] for name in features]


def prior_argument(text: str) -> Prior | str | None:
    """Read --prior."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    name, sign, value = text.partition("=")
    if name != "bovy" or not sign:
        raise InvalidSetting(f"--prior is {text!r}; expected auto, none or bovy=W.")
    return Prior(covariances=InverseWishart.bovy(_number(value, "--prior bovy")))


def _require_features(given: dict[str, Any], features: tuple[str, ...], option: str) -> None:
    for name in given:
        if name not in features:
            raise FeatureMismatch(
                f"{option} names '{name}'; the catalogue's features are {', '.join(features)}.", column=name
            )


def _sides(items: list[str], option: str) -> dict[str, Interval]:
    """Read FEATURE=LOW:HIGH, open where an end is left out."""
    return {
        name: _interval(text, f"{option} {name}={text}")
        for name, text in _named(items, option, "FEATURE=LOW:HIGH").items()
    }


def _interval(text: str, what: str) -> Interval:
    low, colon, high = text.partition(":")
    if not colon or not (low.strip() or high.strip()):
        raise InvalidSetting(f"{what} is no interval: write LOW:HIGH, or LOW: or :HIGH with an open end.")
    interval = (
        _number(low, what) if low.strip() else -math.inf,
        _number(high, what) if high.strip() else math.inf,
    )
    if not interval[0] < interval[1]:
        raise InvalidSetting(f"{what} is empty: its low end must be below its high end.")
    return interval


def _named(items: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in items:
        name, sign, value = item.rpartition("=")
        if not sign or not name or not value:
            raise InvalidSetting(f"{option} {item!r} is not {form}; write it like that.")
        if name in pairs:
            raise InvalidSetting(f"{option} names '{name}' twice.")
        pairs[name] = value
    return pairs


def _number(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise InvalidSetting(f"{what}: {text!r} is not a number.") from error
    if math.isnan(number):
        raise InvalidSetting(f"{what}: NaN is not a number to compare with.")
    return number
