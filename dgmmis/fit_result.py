"""What a fit returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from dgmmis.background import BackgroundLike
from dgmmis.error_estimates import Wanted
from dgmmis.errors import InvalidSetting
from dgmmis.imputed_passes import Completion
from dgmmis.iterate import Limits, Pass, stopping_reason
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.population import Population
from dgmmis.prior import Prior
from dgmmis.starts import Start
from dgmmis.uncertainties import Method, Uncertainty

__all__ = ["FitResult", "Scan"]


@dataclass(frozen=True)
class Scan:
    """One line of a fit's history.

    Attributes
    ----------
    number : int
        Parameter updates made before this scan of the data.
    log_likelihood : float
        Of the mixture scanned [total nats].
    mean_log_likelihood : float
        Per unit of row weight.
    gain : float
        Over the scan before; infinity at the first.
    predicted_gain : float
        What further passes would still add [total nats].
    events : tuple of str
        What a person should know.
    completeness : float or None
        Share of the complete sample that was observed; None without a selection, or if its pass was lost.
    evaluated : float or None
        Share of the rows times components whose density was computed; None if its pass was lost.
    left_out : float or None
        Bound on what the others would change in the log-likelihood [total nats]; None if its pass was lost.
    """

    number: int
    log_likelihood: float
    mean_log_likelihood: float
    gain: float
    predicted_gain: float
    events: tuple[str, ...]
    completeness: float | None = None
    evaluated: float | None = None
    left_out: float | None = None

    @classmethod
    def of(cls, scan: Pass) -> Scan:
        """Keep of a pass what a person reads."""
        statistics = scan.statistics
        return cls(
            scan.number,
            statistics.log_likelihood,
            statistics.mean_log_likelihood,
            scan.gain,
            scan.predicted_gain,
            scan.events,
            None if scan.completion is None else scan.completion.completeness,
            statistics.pairs / (statistics.rows * len(statistics.zeroth)) if statistics.rows else None,
            statistics.left_out,
        )


@dataclass(frozen=True)
class FitResult:
    """The fitted mixture and how it was reached.  Not converging is a value here, not an error.

    Attributes
    ----------
    model : Model
    log_likelihood : float
        ln p of all rows under the returned mixture [total nats].
    mean_log_likelihood : float
        The same per unit of row weight.
    converged : bool
        The predicted remaining gain fell below the tolerance.
    reason : str
        Why the fit stopped, in words, and what to do if it did not converge.
    n_passes : int
        Scans of the data.
    history : tuple of Scan
        One per scan.
    start : Start or None
        How the starting mixture was found; None if it was given.
    backgrounds : tuple of BackgroundLike
        With their fitted amplitudes; the mixture's sum to 1 without them.
    completion : Completion or None
        How the unobserved rows were imputed, if rows were selected.
    prior : Prior or None
        That the fit was made with.
    objective : float
        Log-likelihood plus logarithm of the prior [total nats]: what the fit climbed.
    skew : tuple of str
        Workers whose versions or processors were not the driver's, and in what, if that was allowed.  Empty: the
        result has the same bits wherever the driver's numerics fingerprint is the same.
    rows : callable or None
        Looks at the rows again, for `uncertainty`: it holds what `fit` was given, not a copy.  A pickled result has
        none.
    """

    model: Model
    log_likelihood: float
    mean_log_likelihood: float
    converged: bool
    reason: str
    n_passes: int
    history: tuple[Scan, ...]
    start: Start | None = None
    backgrounds: tuple[BackgroundLike, ...] = ()
    completion: Completion | None = None
    prior: Prior | None = None
    objective: float = float("nan")
    skew: tuple[str, ...] = ()
    rows: Callable[[FitResult, Wanted, Any], Uncertainty] | None = field(
        default=None, compare=False, repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "rows": None}

    def knowing(self, rows: Callable[[FitResult, Wanted, Any], Uncertainty]) -> FitResult:
        """Return the result with what looks at its rows again."""
        return replace(self, rows=rows)

    def uncertainty(
        self,
        *,
        method: Method = "information",
        sample_rows: int | None = None,
        replicates: int = 100,
        resampling_seed: int = 0,
        client: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Uncertainty:
        """Estimate how well the parameters are known; parameters as of `dgmmis.uncertainty`.

        Raises
        ------
        InvalidSetting
            For settings that cannot be meant; or if the result was pickled and does not know its rows any more.
        InvalidData
            If the rows were changed since the fit.
        """
        wanted = Wanted.of(
            method, sample_rows=sample_rows, replicates=replicates, seed=resampling_seed, progress=progress
        )
        return self.assessed(wanted, client)

    def assessed(self, wanted: Wanted, client: Any = None) -> Uncertainty:
        """Estimate what is wanted on the rows that the result knows; raises as `uncertainty` does."""
        if self.rows is None:
            raise InvalidSetting(
                "this result does not know its rows any more, as it was pickled: give them to "
                "dgmmis.uncertainty(result, values, noise=..., selection=...) as they were given to fit."
            )
        return self.rows(self, wanted, client)

    @property
    def background(self) -> BackgroundLike | None:
        """The background, or the first of several."""
        return self.backgrounds[0] if self.backgrounds else None

    @property
    def population(self) -> Population:
        """Mixture and backgrounds."""
        return Population(self.model.mixture, self.backgrounds)

    @property
    def completeness(self) -> float:
        """Share of the complete sample that was observed (mean Z); 1 without a selection."""
        return self.completion.completeness if self.completion else 1.0

    @property
    def completeness_error(self) -> float:
        """Monte-Carlo standard error of `completeness`."""
        return self.completion.completeness_error if self.completion else 0.0

    @property
    def log_likelihood_error(self) -> float:
        """Monte-Carlo standard error of `log_likelihood` [total nats]."""
        return self.completion.log_likelihood_error if self.completion else 0.0

    @property
    def mixture(self) -> Mixture:
        """The fitted mixture."""
        return self.model.mixture

    @classmethod
    def of(
        cls,
        last: Pass,
        history: Sequence[Scan],
        model: Model,
        tolerance: float,
        start: Start | None,
        prior: Prior | None = None,
    ) -> FitResult:
        """Sum up a fit that ended with pass `last`."""
        return cls(
            model,
            last.statistics.log_likelihood,
            last.statistics.mean_log_likelihood,
            last.reason == "converged",
            reason_in_words(last, tolerance),
            len(history),
            tuple(history),
            start,
            last.population.backgrounds,
            last.completion,
            prior,
            last.objectives[-1],
        )


def reason_in_words(last: Pass, tolerance: float) -> str:
    """Say why a fit stopped after pass `last`."""
    if last.reason == "converged":
        return (
            f"converged: predicted remaining gain {last.predicted_gain:.3g} nats <= tolerance {tolerance:g}"
        )
    unbound = Limits(tolerance, last.number + 1)
    if last.reason == "max_passes" and stopping_reason(last, unbound) == "converged":
        return (
            "max_passes: used up before the rounds of split and merge were through; this fit has converged, and no "
            "trial has beaten it so far. Raise max_passes to go on"
        )
    if last.reason == "max_passes":
        known = isfinite(last.predicted_gain)
        left = f"{last.predicted_gain:.3g} nats" if known else "an unknown amount"
        return (
            f"max_passes: stopped after {last.number} updates with {left} predicted to be gained; raise "
            "max_passes to go on"
        )
    return "interrupted"
