"""`GaussianMixture` with the interface of scikit-learn: pipelines, searches over parameters, cloning."""

from __future__ import annotations

from dgmmis.estimator.exchange import from_sklearn, to_sklearn
from dgmmis.estimator.gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture", "from_sklearn", "to_sklearn"]
