"""The parts of scikit-learn that the estimator uses; no other module imports it."""

from __future__ import annotations

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

__all__ = [
    "BaseEstimator",
    "ConvergenceWarning",
    "DensityMixin",
    "SklearnMixture",
    "Tags",
    "check_is_fitted",
    "check_random_state",
    "check_scalar",
    "validate_data",
]
