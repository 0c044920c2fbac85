"""Imputation in the course of a fit: where its points are drawn, when anew, and how many are enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dgmmis.binning import binning_error
from dgmmis.constraints import Constraints
from dgmmis.errors import ImputationLimit
from dgmmis.imputation import Imputed
from dgmmis.information import Information, gradient, information, prior_score
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut

__all__ = ["POINTS", "Completion", "Imputation", "Impute"]

Impute = Callable[[Population, Reference], Imputed]
"""The statistics of the unobserved rows under a population, by points drawn at a reference."""

POINTS = 8192
"""Points per component to begin with, over all classes and replicates."""

MOST_POINTS = 2**24
"""Points of all components, classes and replicates at most: about a gigabyte."""

LEAST_BLOCK = 8
"""Points per component, class and replicate at least."""

WANTED_ERROR = 0.1
"""Largest imputation error of the score, in standard errors of the parameters."""

MOST_REFINEMENT = 16
"""The points grow by this factor at most at a time."""

LITTLE_OBSERVED = 0.05
"""A component with a smaller share of its mass observed is pointed out."""


@dataclass(frozen=True)
class Completion:
    """How a pass completed the observed rows.

    Attributes
    ----------
    reference : Reference
    since : int
        Pass from which this reference has served: only passes after it are comparable to the last bit.
    completeness, completeness_error : float
        Mean chance of being observed over the complete sample.
    log_likelihood_error : float
        Monte-Carlo standard error of the log-likelihood [total nats]; nearly all of it is an offset that models
        evaluated on the same points share.
    n_points : int
        Points evaluated.
    score_error : float
        Imputation error of the score, root-mean-square in standard errors of the parameters; NaN until known.
    binning_error : float
        Error of the log-likelihood from rows of nearly the same noise sharing one chance of being observed
        [total nats]; NaN until known.
    refinement : int
        The next pass draws this many times the points; 1 if they are enough.
    drawn : int
        Number of the points that were drawn last, though for a step that was not made.
    """

    reference: Reference
    since: int
    completeness: float
    completeness_error: float
    log_likelihood_error: float
    n_points: int
    score_error: float = float("nan")
    binning_error: float = float("nan")
    refinement: int = 1
    drawn: int = 0

    @classmethod
    def of(cls, reference: Reference, since: int, imputed: Imputed, observed: Statistics) -> Completion:
        """Keep what a person, or the next pass, needs of an imputation and of the observed rows."""
        return cls(
            reference,
            since,
            imputed.completeness,
            imputed.completeness_error,
            float(np.hypot(imputed.log_likelihood_error, observed.log_likelihood_error)),
            imputed.n_points,
            drawn=reference.refresh,
        )


@dataclass(frozen=True)
class Verdict:
    """What was found where the fit seemed to have converged.

    Attributes
    ----------
    completion : Completion
        With its score error and whether points must grow.
    predicted_gain : float
        What a Newton step would add [nats]: passes may creep where they seem to stand.
    alarms : tuple of str
        Components that the data hardly see.
    """

    completion: Completion
    predicted_gain: float
    alarms: tuple[str, ...]

    @property
    def events(self) -> tuple[str, ...]:
        """What a person should know."""
        if self.completion.refinement == 1:
            return (*self._too_few(), *self.alarms)
        grown = (
            f"imputed points times {self.completion.refinement}: they cost "
            f"{self.completion.score_error:.2g} standard errors"
        )
        return (grown, *self.alarms)

    def _too_few(self) -> tuple[str, ...]:
        error = self.completion.score_error
        return (
            (f"the imputed points are too few: they cost {error:.2g} standard errors",)
            if error > WANTED_ERROR
            else ()
        )


@dataclass(frozen=True)
class Imputation:
    """What a fit knows of its unobserved rows.

    Attributes
    ----------
    observation : Observation
    impute : callable
    log_selection : float
        Sum of s ln Omega over the observed rows [nats].
    sample : Samples
        A random sample of the rows, as `prepare` returned them, to take the information from.
    constraints : Constraints
    cut : Cut, optional
        The selection, as far as single rows are concerned.
    classes : RowClasses, optional
        How rows were put into classes.
    points : int
        Per component, to begin with.
    most_points : int
        In all, at most.
    succeeds : Reference, optional
        Of an earlier fit of the same rows: the first points are then drawn after it, and as many.
    """

    observation: Observation
    impute: Impute
    log_selection: float
    sample: Samples
    constraints: Constraints
    cut: Cut | None = None
    classes: RowClasses | None = None
    points: int = POINTS
    most_points: int = MOST_POINTS
    succeeds: Reference | None = None

    def first_reference(self, population: Population) -> Reference:
        """Draw the first points around `population`."""
        if self.succeeds is not None:
            return self.succeeds.moved_to(population)
        each = self.points / (REPLICATES * self.observation.classes.n_classes)
        if self.observation.oversampling is not None:
            sources = population.n_components + len(population.backgrounds)
            each = self.observation.oversampling * self.observation.weight
            each /= sources * REPLICATES * self.observation.classes.n_classes
        block = max(LEAST_BLOCK, 2 ** int(np.ceil(np.log2(each))))
        first = Reference(population, block)
        if first.n_points(self.observation) > self.most_points:
            raise ImputationLimit(
                f"{first.n_points(self.observation):,} imputed points were asked for, and {self.most_points:,} are "
                "allowed: lower oversampling, or leave it out."
            )
        return first

    def together(self, observed: Statistics, imputed: Imputed) -> Statistics:
        """Add the unobserved rows; the log-likelihood stays that of the observed ones."""
        total = observed + imputed.statistics
        return replace(
            total,
            rows=observed.rows,
            weight=observed.weight,
            log_likelihood=total.log_likelihood + self.log_selection,
        )

    def judge(
        self, population: Population, statistics: Statistics, completion: Completion, imputed: Imputed
    ) -> Verdict:
        """Tell whether what looks like the optimum is one, and whether the points are enough for it.

        Parameters
        ----------
        population : Population
        statistics : Statistics
            Of observed and unobserved rows together.
        completion : Completion
        imputed : Imputed

        Raises
        ------
        ImputationLimit
            If more points are needed than allowed.
        """
        matrix = information(
            population, self.sample, self.observation.weight, self.constraints, imputed.statistics, self.cut
        )
        score = statistics + prior_score(population, self.constraints)
        left = matrix.predicted_gain(gradient(population, score, self.constraints))
        error = self._score_error(matrix, imputed)
        refinement = 1
        if self.observation.oversampling is None and error > WANTED_ERROR:
            # scrambled Sobol points: the error falls faster than the square root, slower than the number
            wanted = 2.0 ** np.ceil(1.5 * np.log2(error / WANTED_ERROR))
            refinement = int(min(max(wanted, 2), MOST_REFINEMENT))
            self._require_room(completion, refinement, error)
        judged = replace(completion, score_error=error, refinement=refinement)
        return Verdict(judged, left, self._alarms(statistics, imputed))

    def with_binning_error(self, population: Population, completion: Completion) -> Completion:
        """Estimate, where a fit ends, what the classes of noise cost."""
        if self.cut is None:
            return completion
        error = binning_error(population, self.observation, self.classes, self.sample, self.cut)
        return replace(completion, binning_error=error)

    def _score_error(self, matrix: Information, imputed: Imputed) -> float:
        """Error of the parameters from the points, root-mean-square in their standard errors."""
        scores = np.array([gradient(matrix.population, one, self.constraints) for one in imputed.replicates])
        squares = [matrix.in_standard_errors(offset) ** 2 for offset in scores - scores.mean(axis=0)]
        return float(np.sqrt(np.sum(squares) / (REPLICATES * (REPLICATES - 1))))

    def _require_room(self, completion: Completion, refinement: int, error: float) -> None:
        n_points = completion.reference.n_points(self.observation) * refinement
        if n_points > self.most_points:
            raise ImputationLimit(
                f"the imputed points shift the parameters by {error:.2g} standard errors; {WANTED_ERROR:g} needs about "
                f"{n_points:,} points, and {self.most_points:,} are allowed. Use fewer components or a prior: a "
                "component that is hardly observed needs the most."
            )

    def _alarms(self, statistics: Statistics, imputed: Imputed) -> tuple[str, ...]:
        """Name components that the data hardly see."""
        observed = statistics.zeroth - imputed.statistics.zeroth
        share = observed / np.maximum(statistics.zeroth, np.finfo(float).tiny)
        return tuple(
            f"only {share[k]:.1%} of component {k} is observed: it is mostly extrapolation"
            for k in np.flatnonzero(share < LITTLE_OBSERVED).tolist()
        )
