"""A fit where it ended: its statistics there, and coordinates around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dgmmis.coordinates import Chart
from dgmmis.errors import InvalidSetting
from dgmmis.imputation import Imputed
from dgmmis.information import prior_score
from dgmmis.iterate import Problem
from dgmmis.observation import Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.task import Passes, Task

__all__ = ["Fitted", "Optimum", "at_optimum", "objective_gradient"]


class RowsToSample(Protocol):
    """The rows of a fit."""

    @property
    def n_rows(self) -> int:
        """N."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names."""

    @property
    def units(self) -> tuple[str, ...]:
        """Units."""

    def read_pilot(self, n_rows: int) -> Rows:
        """At most `n_rows` rows, drawn at random."""


@dataclass(frozen=True)
class Fitted:
    """A fit and its rows.

    Attributes
    ----------
    population : Population
    task : Task
    rows : RowsToSample
    passes : Passes
    problem : Problem
    sample : Samples
        That `set_up` took.
    reference : Reference, optional
        Of the imputed points under a selection.
    """

    population: Population
    task: Task
    rows: RowsToSample
    passes: Passes
    problem: Problem
    sample: Samples
    reference: Reference | None = None

    def statistics_at(self, population: Population) -> tuple[Statistics, Imputed | None]:
        """Statistics of all rows, observed and not, on points that do not move."""
        observed, imputation = self.problem.summarize(population), self.problem.imputation
        if imputation is None:
            return observed, None
        assert self.reference is not None
        imputed = imputation.impute(population, self.reference)
        return imputation.together(observed, imputed), imputed


@dataclass(frozen=True)
class Optimum:
    """The statistics of a fit where it ended, and coordinates around it.

    Attributes
    ----------
    statistics : Statistics
    imputed : Imputed or None
    chart : Chart
    """

    statistics: Statistics
    imputed: Imputed | None
    chart: Chart

    @property
    def gradient(self) -> Array:
        """Of the objective (p,): nearly 0."""
        return objective_gradient(self.chart, self.chart.origin, self.statistics)


def at_optimum(fitted: Fitted) -> Optimum:
    """Look at all rows once where the fit ended.

    Raises
    ------
    InvalidSetting
        If a covariance that the fit may move is singular.
    """
    statistics, imputed = fitted.statistics_at(fitted.population)
    chart = Chart.at(fitted.population, statistics, fitted.problem.constraints)
    if not chart.is_regular:
        raise InvalidSetting(
            "a covariance that the fit may move is singular, and has no errors: fit with a floor, or freeze it."
        )
    return Optimum(statistics, imputed, chart)


def objective_gradient(chart: Chart, population: Population, statistics: Statistics) -> Array:
    """Gradient (p,) of the log-likelihood and the log-prior at a population whose statistics are these."""
    prior = prior_score(population, chart.constraints)
    return chart.gradient(population, statistics) + chart.gradient(population, prior)
