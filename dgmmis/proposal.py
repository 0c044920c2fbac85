"""A step that is proposed, from where a fit stands, and what is remembered of steps that broke their promise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dgmmis.coordinates import Chart, Place
from dgmmis.information import prior_score
from dgmmis.moment_lines import place_on_line
from dgmmis.observation import Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.secants import Secants

__all__ = ["Memory", "Proposal", "Standing"]


@dataclass(frozen=True)
class Standing:
    """Where a fit stands.

    Attributes
    ----------
    population : Population
    statistics : Statistics
        Of all rows there, observed and not.
    reference : Reference or None
        Of the imputed points, under a selection.
    """

    population: Population
    statistics: Statistics
    reference: Reference | None


@dataclass(frozen=True)
class Memory:
    """What steps that did not go as predicted taught, in one chart.

    Attributes
    ----------
    origin : Population
        Of the chart.
    counts : (K + J,)
        Rows that components and backgrounds hold there.
    at : (p,)
        Coordinates of where the fit stands.
    secants : Secants
    """

    origin: Population
    counts: Array
    at: Array
    secants: Secants


@dataclass(frozen=True)
class Proposal:
    """A step from where a fit stands.

    Attributes
    ----------
    chart : Chart
        Around where it stands, or where its memory began.
    at : (p,)
        Coordinates of where it stands.
    gradient : (p,)
        Of the objective there.
    step : (p,)
    slope : float
        Of the objective along the step [nats].
    promised : float
        What the step would gain if the information told the curvature along it [nats].
    predicted_gain : float
        What is still to be gained, by the information [total nats].
    straight : bool
        The step leads along a straight line of the moments, not of the chart's coordinates.
    """

    chart: Chart
    at: Array
    gradient: Array
    step: Array
    slope: float
    promised: float
    predicted_gain: float
    straight: bool = False

    def place(self) -> Place:
        """Return the population that the step leads to."""
        return (
            place_on_line(self.chart, self.step) if self.straight else self.chart.place(self.at + self.step)
        )

    def scaled(self, length: float) -> Proposal:
        """Return the proposal of a share of the step."""
        promised = length * self.slope - length**2 * (self.slope - self.promised)
        return replace(self, step=length * self.step, slope=length * self.slope, promised=promised)

    def remembered(self, memory: Memory | None, there: Standing) -> Memory:
        """Add to a memory how the gradient changed along the step that was made."""
        chart = self.chart
        moved = chart.coordinates(there.population) - self.at if self.straight else self.step
        statistics = there.statistics + prior_score(there.population, chart.constraints)
        secants = Secants.none(len(moved)) if memory is None else memory.secants
        secants = secants.with_pair(moved, self.gradient - chart.gradient(there.population, statistics))
        return Memory(chart.origin, chart.counts, self.at + moved, secants)
