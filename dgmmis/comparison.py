"""How models of the same rows compare: criteria, cross-validation, and the weights of a stack of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dgmmis.compared_model import Compared, Fitted, criteria
from dgmmis.errors import InvalidSetting
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.scoring import Scores
from dgmmis.stacking import Stacking, stack_scores

__all__ = ["STACKING_ROWS", "Comparison", "compared", "difference_errors"]

STACKING_ROWS = 50_000
"""Held-out scores of about so many random rows, or of all, are kept to find the weights of the stack."""


@dataclass(frozen=True)
class Comparison:
    """Models of the same rows, side by side.

    Attributes
    ----------
    models : tuple of Compared
        In the order in which they were asked for.
    rows : int
        With at least one observed feature.
    weight : float
        Sum of their weights.
    folds : int
        0 without cross-validation.
    seed : int
        Of starts and folds.
    failures : tuple of (str, str)
        Labels of models of which no fit survived, and why.
    stacking : Stacking or None
    stacking_rows : int
        Rows that its weights were found on.
    difference_errors : (M, M)
        Standard error of the difference between each two models [total nats].
    """

    models: tuple[Compared, ...]
    rows: int
    weight: float
    folds: int
    seed: int
    failures: tuple[tuple[str, str], ...] = ()
    stacking: Stacking | None = None
    stacking_rows: int = 0
    difference_errors: Array | None = None

    @property
    def best(self) -> Compared:
        """The model with the largest cross-validated log-likelihood; without folds that with the lowest BIC.

        What a model may owe to where its fits began counts against it: one whose fits did not converge is the best
        only if it would be without that.
        """
        if not self.folds:
            return min(self.models, key=lambda one: one.bic)
        return self.models[
            _best([one.cross_validated for one in self.models], [one.fitted.leak for one in self.models])
        ]

    @property
    def simplest(self) -> Compared:
        """The model with the fewest parameters whose difference to the best is within its standard error."""
        best = self.best
        near = [one for one in self.models if -one.difference <= one.difference_error or one is best]
        return min(near, key=lambda one: one.fitted.n_parameters)

    def stack(self) -> Model:
        """Mix the models, fitted to all rows, with the weights that predict left-out rows best.

        Raises
        ------
        InvalidSetting
            Without cross-validation.
        """
        if self.stacking is None:
            raise InvalidSetting("the weights of a stack come from left-out rows: compare with folds=5.")
        kept = [one for one in self.models if one.stacking_weight > 0]
        return Model.stack([one.model for one in kept], [one.stacking_weight for one in kept])

    def describe(self) -> dict[str, Any]:
        """Write everything but the models in plain Python that turns into JSON."""
        return {
            "best": self.best.label,
            "simplest": self.simplest.label,
            "rows": self.rows,
            "weight": self.weight,
            "folds": self.folds,
            "seed": self.seed,
            "models": [one.describe() for one in self.models],
            "failures": [{"label": label, "error": error} for label, error in self.failures],
            "stacking_rows": self.stacking_rows,
            "stacking_gap": None if self.stacking is None else self.stacking.gap,
            "stacked_mean_log_density": None if self.stacking is None else self.stacking.mean_log_density,
            "difference_errors": (
                None if self.difference_errors is None else self.difference_errors.tolist()
            ),
        }

    def table(self) -> list[dict[str, str]]:
        """Give one row of text per model, the same columns in each."""
        return [self._line(one) for one in self.models]

    def _line(self, one: Compared) -> dict[str, str]:
        best = min(self.models, key=lambda other: other.bic)
        line = {
            "K": str(one.fitted.n_components),
            "covariance": one.fitted.covariance_type,
            "parameters": str(one.fitted.n_parameters),
            "ln L / row": f"{one.fitted.log_likelihood / self.weight:.6f}",
            "BIC - lowest": f"{one.bic - best.bic:.1f}",
            "AIC - lowest": f"{one.aic - min(other.aic for other in self.models):.1f}",
            "ICL - lowest": f"{one.icl - min(other.icl for other in self.models):.1f}",
        }
        if self.folds:
            known = not math.isnan(one.cross_validated)
            line |= {
                "CV - best": f"{one.difference:.1f} +- {one.difference_error:.1f}" if known else "unknown",
                "stack": f"{one.stacking_weight:.3f}" if known else "",
            }
        line["passes"] = "+".join(map(str, (one.fitted.n_passes, *one.fitted.fold_passes[:1])))
        return {**line, "": self._remark(one)}

    def _remark(self, one: Compared) -> str:
        remarks = [
            *(["best"] if one is self.best else []),
            *(["simplest within 1 s.e."] if one is self.simplest and one is not self.best else []),
            *([] if one.converged or one.fitted.note else ["not converged"]),
            *([one.fitted.note] if one.fitted.note else []),
        ]
        return ", ".join(remarks)


def compared(
    fitted: Sequence[Fitted],
    scores: Scores,
    *,
    scored: Sequence[bool],
    folds: int,
    seed: int,
    failures: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """Put a comparison together.

    Parameters
    ----------
    fitted : sequence of M Fitted
    scores : Scores
        Of the same models, in the same order.
    scored : sequence of M bool
        Whether the model has a fit without each fold; the scores of the others mean nothing.
    folds, seed : int
    failures : sequence of (label, error)
    """
    rows = [
        Compared(one, *criteria(one.log_likelihood, one.n_parameters, scores.weight, entropy), entropy)
        for one, entropy in zip(fitted, scores.entropies.tolist(), strict=True)
    ]
    whole = Comparison(tuple(rows), scores.rows, scores.weight, folds, seed, tuple(failures))
    which = np.flatnonzero(scored)
    if not folds or not len(which):
        return whole
    errors = difference_errors(scores, np.array([one.chance_error for one in fitted]))
    order = np.argsort(scores.sampled, kind="stable")
    stacking = stack_scores(scores.sampled_scores[which][:, order], scores.sampled_weights[order])
    own = _total_errors(scores.totals, scores.squares, scores.weight)
    best = int(which[_best(scores.totals[which].tolist(), [fitted[m].leak for m in which.tolist()])])
    for place, m in enumerate(which.tolist()):
        rows[m] = replace(
            rows[m],
            cross_validated=float(scores.totals[m]),
            cross_validated_error=float(np.hypot(own[m], fitted[m].chance_error)),
            difference=float(scores.totals[m] - scores.totals[best]),
            difference_error=float(errors[m, best]),
            stacking_weight=float(stacking.weights[place]),
        )
    return replace(
        whole,
        models=tuple(rows),
        stacking=stacking,
        stacking_rows=len(scores.sampled),
        difference_errors=errors,
    )


def _best(totals: Sequence[float], leaks: Sequence[float]) -> int:
    """Which model predicts left-out rows best, its leak taken off; NaN is the worst of all."""
    known = np.where(np.isnan(totals), -np.inf, totals)
    honest = known - np.array(leaks)
    return int(np.argmax(honest if np.isfinite(honest).any() else known))


def _total_errors(totals: Array, squares: Array, weight: float) -> Array:
    """Give standard errors of sums over rows whose weights repeat rows: sqrt(n / (n - 1) sum s (l - mean)^2)."""
    scatter = np.maximum(squares - totals**2 / weight, 0.0)
    return np.asarray(np.sqrt(scatter * weight / max(weight - 1, 1.0)))


def difference_errors(scores: Scores, chance_errors: Array) -> Array:
    """Give standard errors (M, M) of the differences between the sums of each two models."""
    totals = scores.totals[:, None] - scores.totals[None]
    errors = _total_errors(totals, scores.differences, scores.weight)
    both = np.hypot(chance_errors[:, None], chance_errors[None])
    return np.where(scores.differences > 0, np.hypot(errors, both), 0.0)
