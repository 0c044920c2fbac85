"""`dgmmis.fit` as a scikit-learn estimator."""

from __future__ import annotations

import numbers
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.api import fit
from dgmmis.callbacks import PassTasks
from dgmmis.constraints import Constraints
from dgmmis.covariance_shapes import shorten
from dgmmis.estimator.fitted_mixture import FittedMixture, row_weights
from dgmmis.estimator.initial_mixture import Wanted
from dgmmis.estimator.library import (
    CallbackSupportMixin,
    ConvergenceWarning,
    check_scalar,
    validate_data,
    with_callbacks,
)
from dgmmis.fit_result import FitResult
from dgmmis.noise import NoiseLike
from dgmmis.prior import Prior
from dgmmis.task_settings import NoiseModel

__all__ = ["GaussianMixture"]


class GaussianMixture(CallbackSupportMixin, FittedMixture):  # type: ignore[misc]
    """Gaussian mixture of noisy, incomplete rows, with the interface of `sklearn.mixture.GaussianMixture`.

    X may hold NaN, which means not observed (missing at random).  Methods that take rows take their `noise`
    too: one covariance (D, D) for all rows, (N, D) variances, (N, D, D) covariances, or a `dgmmis.Noise`.
    `sample_weight` counts repetitions exactly.  Nothing is added to covariances (there is no `reg_covar`): a
    component that collapses raises `CollapsedComponent`, unless a `floor` or `prior` keeps it from that.

    Parameters
    ----------
    n_components : int
        K.
    covariance_type : {"full", "tied", "diag", "spherical"}
    tol : float
        Stop when further updates are predicted to add less than this to the log-likelihood of all rows [nats]:
        not a change per iteration, and not per row.  0 makes exactly `max_iter` updates.
    floor : float or (D,), optional
        Least dispersion of any component in any direction [the features' units].
    prior : Prior, "auto" or None
        None is maximum likelihood.
    background : Background, or several, optional
        Densities behind the mixture.  They add columns to `predict_proba`, and labels K, K + 1, ... to `predict`.
    selection : Selection or callable, optional
        Chance that a row was kept, as `dgmmis.fit` takes it.  The mixture is then that of the complete
        population, and so is `score_samples`.
    before_noise : bool
        The selection acts on the noise-free values.
    noise_model : (D, D) or callable, optional
        Noise of the parent population under a selection.
    method : {"auto", "em"}
        "em" makes the updates of expectation maximization, as scikit-learn does; "auto" needs fewer.
    max_iter : int
        Updates at most.
    random_state : int, RandomState or None
        Of the starts, and of `sample`.  With an int both give the same at every call.
    weights_init : (K,), optional
        Default 1/K if `means_init` is given.
    means_init : (K, D), optional
        Where to start; default: the best of several k-means++ starts.
    covariances_init, precisions_init : optional
        One of them, in the shape of `covariances_`.  Default: the variances of all rows if `means_init` is given.

    Attributes
    ----------
    weights_ : (K,)
        With the amplitudes of backgrounds they sum to 1.
    background_weights_ : (J,)
        Amplitudes of the backgrounds.
    means_ : (K, D)
    covariances_ : (K, D, D) for full, (D, D) for tied, (K, D) for diag, (K,) for spherical
    precisions_, precisions_cholesky_
        Inverses and their upper triangular roots, shaped like `covariances_`; `InvalidData` for a singular one.
    converged_ : bool
    n_iter_ : int
        Updates made.
    lower_bound_ : float
        Log-likelihood of the rows fitted, per unit of weight, under the parameters kept (scikit-learn's is that
        of the parameters one update before).
    n_features_in_ : int
    feature_names_in_ : (D,)
        If X had names of columns.
    result_ : FitResult
        Everything else: history, start, completeness, the `Model`.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 0.1,
        floor: ArrayLike | None = None,
        prior: Prior | str | None = None,
        background: object = None,
        selection: object = None,
        before_noise: bool = False,
        noise_model: NoiseModel = None,
        method: str = "auto",
        max_iter: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        covariances_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.floor = floor
        self.prior = prior
        self.background = background
        self.selection = selection
        self.before_noise = before_noise
        self.noise_model = noise_model
        self.method = method
        self.max_iter = max_iter
        self.random_state = random_state
        self.weights_init = weights_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.precisions_init = precisions_init

    @with_callbacks
    def fit(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None, noise: NoiseLike = None
    ) -> Self:
        """Fit the mixture to rows.

        Parameters
        ----------
        X : (N, D)
        y : ignored
        sample_weight : (N,), optional
            Repetitions, not negative; fractions are allowed.
        noise : None, (D, D), (N, D) variances, (N, D, D) or Noise

        Raises
        ------
        InvalidData, InvalidSetting
            Both are ValueError.
        CollapsedComponent
            If a component shrinks to nothing.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` updates were not enough.
        """
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        weights = None if sample_weight is None else row_weights(sample_weight, len(rows))
        constraints = self._checked()
        root = self._root_task()
        tasks = None if root is None else PassTasks(root, self)
        wanted = Wanted(self.weights_init, self.means_init, self.covariances_init, self.precisions_init)
        initial = None
        if not wanted.is_empty:
            initial = wanted.mixture(rows, weights, self.n_components, constraints)
        result = fit(
            rows,
            n_components=self.n_components,
            noise=noise,
            weights=weights,
            selection=self.selection,
            before_noise=self.before_noise,
            noise_model=self.noise_model,
            background=self.background,
            floor=self.floor,
            prior=self.prior,
            covariance_type=self.covariance_type,
            initial=initial,
            method=self.method,
            tolerance=self.tol,
            max_passes=self.max_iter,
            seed=self._seed(),
            features=tuple(getattr(self, "feature_names_in_", ())),
            observer=tasks,
        )
        self._keep(result, constraints)
        if tasks is not None:
            tasks.close()
            root.call_on_fit_task_end(estimator=self)
        return self

    def _root_task(self) -> Any:
        """Begin the task that stands for the whole fit; None if this scikit-learn knows no callbacks."""
        if not hasattr(self, "_init_callback_context"):
            return None
        root = self._init_callback_context(max_subtasks=None)
        root.call_on_fit_task_begin(estimator=self)
        return root

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None, noise: NoiseLike = None
    ) -> NDArray[np.intp]:
        """Fit the mixture and return each row's most probable component; parameters as of `fit`."""
        return self.fit(X, y, sample_weight, noise).predict(X, noise)

    def _keep(self, result: FitResult, constraints: Constraints) -> None:
        self.result_, self._constraints = result, constraints
        self.weights_ = result.population.amplitudes.copy()
        self.background_weights_ = result.population.background_amplitudes
        self.means_ = result.mixture.means.copy()
        self.covariances_ = shorten(result.mixture.covariances, constraints.covariance_type)
        self.converged_ = result.converged
        self.n_iter_ = result.history[-1].number
        self.lower_bound_ = result.mean_log_likelihood
        if self.tol > 0 and not result.converged:
            reason = result.reason.replace("max_passes", "max_iter")
            warnings.warn(reason, ConvergenceWarning, stacklevel=3)

    def _checked(self) -> Constraints:
        """Check the settings that scikit-learn gives names of its own."""
        check_scalar(self.n_components, "n_components", numbers.Integral, min_val=1)
        check_scalar(self.tol, "tol", numbers.Real, min_val=0)
        check_scalar(self.max_iter, "max_iter", numbers.Integral, min_val=1)
        return Constraints.of(self.n_components, self.n_features_in_, covariance_type=self.covariance_type)
