"""What features are called, and which one a caller means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dgmmis.errors import FeatureMismatch, UnitMismatch
from dgmmis.samples import default_names

__all__ = ["columns_of", "given_variances", "named_features", "require_same"]


def named_features(
    features: Sequence[str], units: Sequence[str], n_features: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of `n_features` features, filled in where none were given.

    Raises
    ------
    FeatureMismatch
        If they are no texts, their numbers do not fit, or a name is repeated.
    """
    names = _texts(features, "features") or default_names(n_features)
    their_units = _texts(units, "units") or ("",) * n_features
    if len(names) != n_features or len(their_units) != n_features or len(set(names)) != n_features:
        raise FeatureMismatch(
            f"there are {n_features} features, and names {names} with units {their_units} were given; give "
            f"{n_features} distinct names and {n_features} units, or leave them out."
        )
    return names, their_units


def _texts(given: object, what: str) -> tuple[str, ...]:
    """Several texts; one text is not taken for its letters."""
    if (
        not isinstance(given, Sequence)
        or isinstance(given, str)
        or not all(isinstance(t, str) for t in given)
    ):
        raise FeatureMismatch(
            f"{what} is {given!r}; expected one text for each column of values.", value=given
        )
    return tuple(str(text) for text in given)


def columns_of(asked: Iterable[str | int], features: tuple[str, ...]) -> list[int]:
    """Columns of the features that a caller names, or counts from 0.

    Raises
    ------
    FeatureMismatch
        If there is no such feature, one is asked for twice, or none at all.
    """
    if not isinstance(asked, Iterable) or isinstance(asked, str):
        raise FeatureMismatch(
            f"features {asked!r} were asked for; expected several of {', '.join(features)}."
        )
    columns = [_column(feature, features) for feature in asked]
    if not columns or len(set(columns)) != len(columns):
        raise FeatureMismatch(
            f"features {[features[j] for j in columns]} were asked for; expected one or more, each once, of "
            f"{', '.join(features)}."
        )
    return columns


def _column(feature: str | int, features: tuple[str, ...]) -> int:
    if isinstance(feature, str) and feature in features:
        return features.index(feature)
    if (
        isinstance(feature, int | np.integer)
        and not isinstance(feature, bool)
        and 0 <= feature < len(features)
    ):
        return int(feature)
    raise FeatureMismatch(
        f"there is no feature {feature!r}; expected one of {', '.join(features)}, or its number from 0 to "
        f"{len(features) - 1}.",
        column=feature if isinstance(feature, str | int) else None,
    )


def given_variances(
    noise: Mapping[str | int, float], columns: Sequence[int], features: tuple[str, ...]
) -> list[float]:
    """Variances (d,) of the features in `columns`; 0 for those that `noise` does not name.

    Raises
    ------
    FeatureMismatch
        If `noise` names a feature that is not among `columns`.
    """
    variances = dict.fromkeys(columns, 0.0)
    for feature, variance in noise.items():
        column = _column(feature, features)
        if column not in variances:
            raise FeatureMismatch(
                f"there is noise of feature {features[column]!r}, which is not given. Give its value too.",
                column=features[column],
            )
        variances[column] = float(variance)
    return list(variances.values())


def require_same(features: Sequence[tuple[str, ...]], units: Sequence[tuple[str, ...]]) -> None:
    """Raise unless models have the same features in the same units.

    Raises
    ------
    FeatureMismatch, UnitMismatch
    """
    for names in features:
        if names != features[0]:
            raise FeatureMismatch(
                f"models of features {', '.join(features[0])} and of {', '.join(names)} cannot be stacked; "
                "bring them into one order with marginal."
            )
    for their_units in units:
        if their_units != units[0]:
            raise UnitMismatch(
                f"models in units {units[0]} and {their_units} cannot be stacked; convert them with affine."
            )
