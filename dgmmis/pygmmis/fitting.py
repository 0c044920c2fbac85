"""pyGMMis' fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis import api
from dgmmis.fit_result import FitResult, Scan
from dgmmis.observer import SilentObserver
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.pygmmis.gmm import GMM
from dgmmis.pygmmis.neighborhoods import neighborhoods
from dgmmis.pygmmis.request import understand, write_back
from dgmmis.pygmmis.settings import require_settings
from dgmmis.pygmmis.uniform_background import Background

__all__ = ["FREE_UPDATES", "ROWS_OF_TOL", "fit"]

ROWS_OF_TOL = 100
"""More rows than these do not loosen the tolerance: what is left to gain is judged in total nats."""

FREE_UPDATES = 1
"""No fit converges before it has made more updates than these, whatever the tolerance."""

logger = logging.getLogger("dgmmis.pygmmis")


def fit(
    gmm: GMM,
    data: ArrayLike,
    covar: ArrayLike | None = None,
    R: ArrayLike | None = None,
    init_method: str = "random",
    w: float = 0.0,
    cutoff: float | None = None,
    sel_callback: Callable[[Array], Any] | None = None,
    oversampling: float | None = None,
    covar_callback: Callable[[Array], Any] | None = None,
    background: Background | None = None,
    tol: float = 1e-3,
    miniter: int = 1,
    maxiter: int = 1000,
    frozen: Iterable[int] | Mapping[str, ArrayLike] | None = None,
    split_n_merge: int = False,
    rng: Any = np.random,
) -> tuple[float, list[NDArray[np.intp]]]:
    """Fit a mixture to rows by exact expectation maximization; `gmm` and `background` are changed in place.

    Parameters
    ----------
    gmm : GMM
    data : (N, D)
        NaN means not observed (missing at random), marginalised exactly.
    covar : (N, D, D) or (D, D), optional
        Noise covariance of the rows.
    R : (N, d, D) or (d, D), optional
        Projections: x_i = R_i t_i + noise.
    init_method : {"random", "minmax", "kmeans", "none"}
        None keeps the components as they are; frozen parameters that were set are always kept.
    w : float
        Minimum dispersion in the features' units, see `covariance_prior`.
    cutoff : float, optional
        Size of the neighbourhoods that are returned [sigma].  Every row counts for every component regardless.
    sel_callback : callable (N, D) -> (N,), optional
        Chance that a row with these noisy values is observed.
    oversampling : float, optional
        Impute by this many fresh random points per row in every pass.  Default: fixed Sobol points, as many as keep
        their error below 0.1 standard errors of the parameters.
    covar_callback : callable (N, D) -> (N, D, D) or (D, D), optional
        Noise of the parent population, where it differs from a `covar` that all rows share; else it is not needed.
    background : Background, optional
    tol : float
        Stop when further passes are predicted to add less than this to the mean log-likelihood, and less than
        100 tol nats to the total.
    miniter, maxiter : int
        Parameter updates at least and at most.
    frozen : list, or dict with any of "amp", "mean", "covar", optional
        Components whose parameter stays.  A list is for mean and covariance.
    split_n_merge : int
        Attempts to leave a local optimum by splitting a component and merging two others.
    rng
        Any kind that `as_generator` takes.

    Returns
    -------
    logL : float
        Mean log-likelihood of the rows under the returned model [nats]; under a selection the conditional one.
    U : list of K arrays
        Numbers of the rows within `cutoff` of each component.

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError, CollapsedComponent, ImputationLimit
        As `dgmmis.fit`.
    """
    require_settings(
        w=w,
        cutoff=cutoff,
        tol=tol,
        miniter=miniter,
        maxiter=maxiter,
        split_n_merge=split_n_merge,
        background=background,
    )
    asked = understand(
        gmm,
        data,
        covar,
        R,
        init_method,
        w,
        sel_callback,
        oversampling,
        covar_callback,
        background,
        frozen,
        rng,
    )
    tolerance = tol * min(len(asked.rows), ROWS_OF_TOL)
    run = _Run(asked.rows.values, asked.settings, tolerance, miniter, maxiter, int(split_n_merge))
    best = run.from_start(asked.start)
    write_back(best.population, gmm, background)
    _log_outcome(best, background)
    return best.mean_log_likelihood, neighborhoods(best.mixture, asked.rows.samples(checked=True), cutoff)


@dataclass(frozen=True)
class _Run:
    """A fit that can be started from several populations."""

    values: Array
    settings: Mapping[str, Any]
    tolerance: float
    miniter: int
    maxiter: int
    attempts: int

    def from_start(self, population: Population) -> FitResult:
        """Fit from one of them."""
        least = min(self.miniter, self.maxiter)
        if least > FREE_UPDATES:
            population = self._leg(population, 0.0, least, 0).population
        else:
            least = 0
        return self._leg(population, self.tolerance, self.maxiter - least, self.attempts)

    def _leg(self, population: Population, tolerance: float, updates: int, attempts: int) -> FitResult:
        return api.fit(
            self.values,
            initial=population,
            tolerance=tolerance,
            max_passes=updates,
            split_merge=attempts,
            method="em",
            observer=_Log(),
            **self.settings,
        )


def _log_outcome(result: FitResult, background: Background | None) -> None:
    """Log how a fit ended."""
    logger.info(result.reason)
    if background is not None and result.background is not None:
        logger.info("background amplitude %.4f", background.amp)
    if result.completion is not None:
        logger.info(
            "completeness %.4f +- %.4f by %d imputed points",
            result.completeness,
            result.completeness_error,
            result.completion.n_points,
        )


class _Log(SilentObserver):
    """Log a line per pass, as pyGMMis does."""

    def on_pass(self, scan: Scan, log_likelihoods: tuple[float, ...], rows: int) -> None:
        """Log pass number, rows, mean log-likelihood and what is left to gain."""
        if scan.number == 0:
            logger.info("ITER\tSAMPLES\tLOG_L\tTO_GAIN")
        logger.info("%d\t%d\t%.6f\t%.3g", scan.number, rows, scan.mean_log_likelihood, scan.predicted_gain)
        for event in scan.events:
            logger.info(event)
