"""What a fitted estimator says of rows."""

from __future__ import annotations

import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.constraints import Constraints
from dgmmis.covariance_shapes import invert_roots, root_precisions, shorten
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.estimator.library import (
    BaseEstimator,
    DensityMixin,
    Tags,
    check_is_fitted,
    check_random_state,
    check_scalar,
    validate_data,
)
from dgmmis.fit_result import FitResult
from dgmmis.noise import NoiseLike
from dgmmis.packed import Array
from dgmmis.samples import as_weights

__all__ = ["FittedMixture", "row_weights"]


class FittedMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Predictions, scores and draws of a mixture that was fitted; `GaussianMixture` adds the fit.

    Attributes
    ----------
    random_state : int, RandomState or None
        A setting; the other attributes exist after the fit.
    result_ : FitResult
    n_features_in_ : int
    """

    random_state: int | np.random.RandomState | None
    result_: FitResult
    n_features_in_: int
    _constraints: Constraints

    def predict_proba(self, X: ArrayLike, noise: NoiseLike = None) -> Array:
        """Pr(component | row), (N, K); each background adds a column.  Rows sum to 1."""
        rows = self._rows(X)
        model = self.result_.model
        probabilities = model.responsibilities(rows, noise)
        if not model.backgrounds:
            return probabilities
        samples = model.mixture.samples(rows, noise)
        behind = np.exp(model.population.background_terms(samples) - self._log_density(rows, noise)[:, None])
        return np.concatenate((probabilities, behind), axis=1)

    def predict(self, X: ArrayLike, noise: NoiseLike = None) -> NDArray[np.intp]:
        """Most probable component (N,) of each row; K + j for background j."""
        return np.asarray(self.predict_proba(X, noise).argmax(axis=1))

    def score_samples(self, X: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln p (N,) [nats] of each row's observed features, its noise included; 0 where nothing is observed."""
        return self._log_density(self._rows(X), noise)

    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None, noise: NoiseLike = None
    ) -> float:
        """Mean of `score_samples`, weighted by `sample_weight`.

        Raises
        ------
        InvalidSetting
            Under a selection: densities of the complete population do not score selected rows.
        """
        total, weight = self._log_likelihood(X, sample_weight, noise)
        return total / weight

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None, noise: NoiseLike = None) -> float:
        """Akaike's criterion, -2 ln L + 2 p; the lower the better.  Raises as `score`."""
        return -2 * self._log_likelihood(X, sample_weight, noise)[0] + 2 * self._n_parameters()

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None, noise: NoiseLike = None) -> float:
        """Schwarz's criterion, -2 ln L + p ln N, with N the sum of weights.  Raises as `score`."""
        total, weight = self._log_likelihood(X, sample_weight, noise)
        return -2 * total + self._n_parameters() * float(np.log(weight))

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.intp]]:
        """Draw noise-free rows of the complete population.

        Returns
        -------
        X : (n_samples, D)
        y : (n_samples,)
            Which component made each row; K + j for background j.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        rng = np.random.default_rng(self._seed())
        return self.result_.model.draw(int(n_samples), rng, return_labels=True)

    @property
    def precisions_cholesky_(self) -> Array:
        """Upper triangular roots U of the precisions, V^-1 = U U^T, shaped like `covariances_`."""
        return shorten(self._root_precisions(), self._constraints.covariance_type)

    @property
    def precisions_(self) -> Array:
        """Inverses of the covariances, shaped like `covariances_`."""
        return shorten(invert_roots(self._root_precisions()), self._constraints.covariance_type)

    def _root_precisions(self) -> Array:
        check_is_fitted(self)
        return root_precisions(self.result_.mixture.covariances)

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _rows(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows: Array = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return rows

    def _log_density(self, X: Array, noise: NoiseLike) -> Array:
        return self.result_.model.log_density(X, noise)

    def _log_likelihood(
        self, X: ArrayLike, sample_weight: ArrayLike | None, noise: NoiseLike
    ) -> tuple[float, float]:
        """ln L of rows, and the sum of their weights."""
        rows = self._rows(X)
        if self.result_.completion is not None:
            raise InvalidSetting(
                "rows that were selected are not scored by the density of the complete population. "
                "result_.log_likelihood is that of the rows fitted, under the condition that they were selected."
            )
        weights = np.ones(len(rows)) if sample_weight is None else row_weights(sample_weight, len(rows))
        return float(np.sum(weights * self._log_density(rows, noise))), float(weights.sum())

    def _n_parameters(self) -> int:
        mixture, backgrounds = self.result_.mixture, self.result_.backgrounds
        return self._constraints.n_parameters(mixture.n_components, mixture.n_features, backgrounds)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def row_weights(sample_weight: ArrayLike, n_rows: int) -> Array:
    """Sample weights (N,), refused by `InvalidData` unless they can be repetitions."""
    weights = as_weights(sample_weight, n_rows)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        row, value = int(bad[0]), float(weights[bad[0]])
        raise InvalidData(
            f"sample_weight of row {row} is {value:g}; expected a finite number of repetitions >= 0.",
            array="sample_weight",
            row=row,
            value=value,
        )
    if not weights.any():
        raise InvalidData(
            f"all {n_rows} sample weights are zero; give at least one row a weight above 0.",
            array="sample_weight",
        )
    return weights
