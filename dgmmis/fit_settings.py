"""Settings of a fit, checked before anything is computed."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.iterate import Limits
from dgmmis.mixture import Mixture
from dgmmis.population import Population

__all__ = ["MAX_PASSES", "TOLERANCE", "check_settings"]

TOLERANCE = 0.1
"""Predicted gain of further passes [total nats] at which a fit stops, if nothing else is asked for."""
MAX_PASSES = 1000
"""Updates at most, if nothing else is asked for."""

METHODS = ("auto", "em")

MOST_COMPONENTS = 1_000_000
"""More than anybody could wait for: who asks for them meant something else."""


def check_settings(
    n_components: int,
    n_features: int,
    *,
    initial: Mixture | Population | None,
    frozen: Mapping[str, ArrayLike] | None,
    method: str,
    limits: Limits,
    seed: int,
) -> None:
    """Refuse settings that cannot be meant.

    Raises
    ------
    InvalidSetting
        Saying which setting, its value, and what it may be.
    InvalidData
        If the initial mixture has other components or features than asked for.
    """
    if not _is_whole(n_components) or not 1 <= n_components <= MOST_COMPONENTS:
        raise InvalidSetting(
            f"n_components is {n_components!r}; expected a whole number from 1 to {MOST_COMPONENTS}."
        )
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidSetting(f"method is {method!r}; expected one of {', '.join(METHODS)}.")
    if not _is_whole(seed) or seed < 0:
        raise InvalidSetting(f"seed is {seed}; expected a whole number >= 0.")
    _check_limits(limits)
    if initial is not None and not isinstance(initial, Mixture | Population):
        raise InvalidSetting(
            f"initial is a {type(initial).__name__}; expected a Mixture, Population or Model, the result of a fit, or "
            "the path of a run folder or of a saved model."
        )
    if initial is None and (len(frozen) > 0 if isinstance(frozen, Mapping) else frozen is not None):
        raise InvalidSetting(
            "frozen parameters stay as they start: give initial, the mixture that holds them."
        )
    if initial is not None and (initial.n_components, initial.n_features) != (n_components, n_features):
        raise InvalidData(
            f"initial has {initial.n_components} components of {initial.n_features} features; the fit asks for "
            f"{n_components} components, the data have {n_features} features. Ask for as many components as initial "
            "has, or leave it out.",
            array="initial",
        )


def _check_limits(limits: Limits) -> None:
    numeric = isinstance(limits.tolerance, int | float | np.integer | np.floating)
    if not (numeric and math.isfinite(limits.tolerance) and limits.tolerance >= 0):
        raise InvalidSetting(
            f"tolerance is {limits.tolerance!r}; expected nats >= 0 (0 runs all max_passes)."
        )
    if not _is_whole(limits.max_passes) or limits.max_passes < 0:
        raise InvalidSetting(f"max_passes is {limits.max_passes}; expected a whole number >= 0.")


def _is_whole(number: object) -> bool:
    try:
        operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        return False
    return not isinstance(number, bool)
