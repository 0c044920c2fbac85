"""The parts of scikit-learn that the estimator uses; no other module imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from dgmmis.errors import MissingLibrary

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as SklearnMixture
    from sklearn.utils import Tags, check_random_state, check_scalar
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingLibrary(
        f"dgmmis.estimator needs scikit-learn 1.6 or later, which cannot be imported ({error}). Install it: "
        'pip install "dgmmis[sklearn]". dgmmis.fit does the same work without it.'
    ) from error

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before scikit-learn 1.9 there is nobody who would call

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands where scikit-learn knows no callbacks."""

    _with_callbacks = None

__all__ = [
    "BaseEstimator",
    "CallbackSupportMixin",
    "ConvergenceWarning",
    "DensityMixin",
    "SklearnMixture",
    "Tags",
    "check_is_fitted",
    "check_random_state",
    "check_scalar",
    "validate_data",
    "with_callbacks",
]

Method = TypeVar("Method", bound=Callable[..., Any])


def with_callbacks(fit: Method) -> Method:
    """Have a method that fits tear its callbacks down, if this scikit-learn has any."""
    return fit if _with_callbacks is None else cast("Method", _with_callbacks(fit))
