"""One model of a comparison: its fits, its criteria, its score on rows that it has not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dgmmis.model import Model

__all__ = ["Compared", "Fitted", "criteria", "label_of"]

UNKNOWN = math.nan


def label_of(n_components: int, covariance_type: str) -> str:
    """Name a model among those compared."""
    return f"K={n_components} {covariance_type}"


def criteria(
    log_likelihood: float, n_parameters: int, weight: float, entropy: float
) -> tuple[float, float, float]:
    """Give BIC (Schwarz 1978), AIC (Akaike 1974) and ICL (Biernacki, Celeux & Govaert 2000): the lowest wins.

    Parameters
    ----------
    log_likelihood : float
        L, of all rows [total nats].
    n_parameters : int
        p, free ones.
    weight : float
        Sum of the row weights: the rows, where each weighs 1.
    entropy : float
        E = -sum_i s_i sum_k q_ik ln q_ik [nats].

    Returns
    -------
    float, float, float
        -2 L + p ln(weight);  -2 L + 2 p;  BIC + 2 E.
    """
    bic = -2 * log_likelihood + n_parameters * math.log(weight)
    return bic, -2 * log_likelihood + 2 * n_parameters, bic + 2 * entropy


@dataclass(frozen=True)
class Fitted:
    """One model of a comparison as its fits left it.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    n_parameters : int
        Free ones.
    model : Model
        Fitted to all rows.
    log_likelihood : float
        Of all rows [total nats].
    converged : bool
        The fit to all rows reached its tolerance.
    reason : str
        Why that fit stopped.
    n_passes : int
        Scans it made.
    starts : tuple of float
        Mean log-likelihoods of the starts on the random sample [nats]; NaN for those that failed.
    fold_passes : tuple of int
        Scans of the fit without each fold.
    folds_converged : bool
        All of these fits reached their tolerance.
    chance_error : float
        Standard error of the cross-validated log-likelihood from the Monte-Carlo errors of ln Z [total nats].
    leak : float
        Estimate of what its cross-validated log-likelihood owes to its fits having begun at the optimum of all rows
        [total nats]: at most half a nat if they converged.
    note : str
        What else a person should know: the fit without some fold failed, the comparison ended early.
    """

    n_components: int
    covariance_type: str
    n_parameters: int
    model: Model
    log_likelihood: float
    converged: bool
    reason: str
    n_passes: int
    starts: tuple[float, ...]
    fold_passes: tuple[int, ...] = ()
    folds_converged: bool = True
    chance_error: float = 0.0
    leak: float = 0.0
    note: str = ""

    @property
    def label(self) -> str:
        """Its name among those compared."""
        return label_of(self.n_components, self.covariance_type)


@dataclass(frozen=True)
class Compared:
    """One model with its criteria, all in nats in total; BIC, AIC and ICL are lower for better models.

    Attributes
    ----------
    fitted : Fitted
    bic, aic, icl : float
        As `criteria` gives them.
    entropy : float
        Of the responsibilities.
    cross_validated : float
        Sum over rows of the weighted held-out log density; NaN without folds.  Higher is better.
    cross_validated_error : float
        Its standard error over rows.
    difference : float
        `cross_validated` less that of the best model: at most 0, but for models whose fits did not converge and
        are flattered by where they began.
    difference_error : float
        Standard error of the difference, taken row by row: the rows' common scatter drops out.
    stacking_weight : float
        Share of the model in the mixture of models that predicts left-out rows best.
    """

    fitted: Fitted
    bic: float
    aic: float
    icl: float
    entropy: float
    cross_validated: float = UNKNOWN
    cross_validated_error: float = UNKNOWN
    difference: float = UNKNOWN
    difference_error: float = UNKNOWN
    stacking_weight: float = UNKNOWN

    @property
    def model(self) -> Model:
        """Fitted to all rows."""
        return self.fitted.model

    @property
    def label(self) -> str:
        """Its name among those compared."""
        return self.fitted.label

    @property
    def converged(self) -> bool:
        """Whether all its fits reached their tolerance."""
        return self.fitted.converged and self.fitted.folds_converged

    def describe(self) -> dict[str, Any]:
        """Write everything but the model in plain Python that turns into JSON."""
        fitted = self.fitted
        return {
            "label": self.label,
            "n_components": fitted.n_components,
            "covariance_type": fitted.covariance_type,
            "n_parameters": fitted.n_parameters,
            "log_likelihood": fitted.log_likelihood,
            "bic": self.bic,
            "aic": self.aic,
            "icl": self.icl,
            "entropy": self.entropy,
            "cross_validated": self.cross_validated,
            "cross_validated_error": self.cross_validated_error,
            "difference": self.difference,
            "difference_error": self.difference_error,
            "stacking_weight": self.stacking_weight,
            "converged": self.converged,
            "reason": fitted.reason,
            "n_passes": fitted.n_passes,
            "fold_passes": list(fitted.fold_passes),
            "folds_converged": fitted.folds_converged,
            "chance_error": fitted.chance_error,
            "leak": fitted.leak,
            "starts": list(fitted.starts),
            "note": fitted.note,
        }
