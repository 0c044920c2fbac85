"""Numbers and objects that a caller of pyGMMis' names sets, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral

import numpy as np

from dgmmis.errors import InvalidSetting
from dgmmis.pygmmis.uniform_background import Background

__all__ = ["require_list", "require_settings"]


def require_settings(
    *,
    w: object,
    cutoff: object,
    tol: object,
    miniter: object,
    maxiter: object,
    split_n_merge: object,
    background: object,
) -> None:
    """Refuse settings that cannot be meant, by `InvalidSetting`."""
    for name, number in (("w", w), ("tol", tol), ("cutoff", cutoff)):
        if name == "cutoff" and number is None:
            continue
        if not _is_finite(number) or number < 0:  # type: ignore[operator]
            raise InvalidSetting(f"{name} is {number!r}; expected one finite number >= 0.")
    for name, count in (("miniter", miniter), ("maxiter", maxiter), ("split_n_merge", split_n_merge)):
        if not isinstance(count, Integral | bool) or count < 0:
            raise InvalidSetting(f"{name} is {count!r}; expected a whole number >= 0.")
    if background is not None and not isinstance(background, Background):
        raise InvalidSetting(f"background is {background!r}; expected a Background, or None for none.")


def require_list(frozen: object) -> None:
    """Refuse a `frozen` that is neither a dict nor a list of components, by `InvalidSetting`."""
    scalar = isinstance(frozen, str | bytes) or (isinstance(frozen, np.ndarray) and frozen.ndim == 0)
    if scalar or not isinstance(frozen, Mapping | Iterable):
        raise InvalidSetting(
            f"frozen is {frozen!r}; expected a list of components, or a dict of them by parameter."
        )


def _is_finite(number: object) -> bool:
    real = isinstance(number, int | float | np.integer | np.floating)
    return real and not isinstance(number, bool) and bool(np.isfinite(float(number)))  # type: ignore[arg-type]
