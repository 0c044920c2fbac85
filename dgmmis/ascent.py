"""Steps up the likelihood by scoring: the gradient of all rows, divided by the information that a sample of them holds.

Expectation maximization divides by the information of complete data, which is too much wherever components overlap or
noise blurs them: there it creeps.  The outer products of the scores of single rows estimate the information of what
was observed (Berndt, Hall, Hall & Hausman 1974): with n rows, in every direction to about sqrt(p / n) of itself.
They are taken anew at every population the fit stands at, from a random sample, so that a step costs one pass over
all rows and some work on the sample.  Where the sample is less than all rows, it also tells how far a step can be
trusted before a pass is spent on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np

from dgmmis.block_matrix import BlockMatrix
from dgmmis.class_scores import ClassScores
from dgmmis.confined_step import Information
from dgmmis.constraints import Constraints
from dgmmis.coordinates import Chart
from dgmmis.covariance_edge import next_to_singular
from dgmmis.density_curvature import HermiteMoments, density_curvature
from dgmmis.errors import DgmmisError
from dgmmis.freedom import Freedom, counts_of
from dgmmis.imputation import Imputed
from dgmmis.imputed_passes import Imputation
from dgmmis.information import prior_score
from dgmmis.maximization import maximize
from dgmmis.moment_lines import place_on_line
from dgmmis.observation import Reference
from dgmmis.observed_hessian import Hessian
from dgmmis.outer_products import OuterProducts, Scorer, outer_products
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.proposal import Memory, Proposal, Standing
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.step_reach import within_coordinates, within_observed
from dgmmis.typical_noise import typical_noise

__all__ = ["MOST_CURVED", "MOST_PARAMETERS", "MOST_TOGETHER", "AllRows", "Ascent", "sample_rows"]

LEAST_ROWS = 5_000
ROWS_PER_PARAMETER = 100
COARSE_ROWS_PER_PARAMETER = 30
SHARE_OF_ROWS = 50
"""The sample holds at least one row in so many, so that its information is as good as a catalogue can use."""

LEAST_PRODUCTS = 2.5e8
"""Multiplications of outer products that cost less than more passes: a few small catalogues are taken whole."""

MOST_PRODUCTS = 4e10
"""Multiplications of outer products at most, where the rows per parameter do not ask for more."""

MOST_TOGETHER = 2_500
"""With more parameters only the information within each component is used."""

MOST_PARAMETERS = 20_000
"""With more, the sample's scores would cost more than the passes they save."""

UNKNOWN = 0.01
"""Times (p / n)^2, of what rows of known components would tell of a coordinate: so much the outer products of n rows
cannot tell from nothing."""

DAMPINGS = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Shares of what rows of known components would tell of each coordinate that are tried on the sample; with 1 a step is
as short as expectation maximization's would be if no component overlapped another."""

AS_PREDICTED = 0.8
"""Share of the predicted gain with which a step needs no damping."""

SETTLED = 0.125
"""Predicted gain of all rows [nats per parameter] below which a step is not tried on the sample: it leads no farther
than half a standard error, over which all rows' information says more than the curvature of a sample."""

CHECKED_AT = 1.0
"""Predicted gain [nats] below which what pairs of steps say is compared with fresh information."""

MOST_CURVED = 600
"""With more parameters the Hessian would cost more than it saves."""

CURVED_AT = 0.05
"""Predicted gain [nats per parameter] below which the Hessian is looked at: farther off steps by it may lead where the
likelihood has no bound, or to an optimum that others left behind."""

NEAR = 2.0
"""A population is near where a step gains less than so many nats per parameter in a sample's own log-likelihood."""


def sample_rows(n_rows: int, n_parameters: int, *, coarse: bool = False) -> int:
    """Rows whose scores give the information of a fit of p parameters to N rows; fewer where that may be coarse."""
    if coarse:
        return min(n_rows, max(LEAST_ROWS, COARSE_ROWS_PER_PARAMETER * n_parameters))
    cheap, affordable = (int(most / max(1, n_parameters) ** 2) for most in (LEAST_PRODUCTS, MOST_PRODUCTS))
    wanted = max(LEAST_ROWS, ROWS_PER_PARAMETER * n_parameters, cheap)
    return min(n_rows, max(wanted, min(n_rows // SHARE_OF_ROWS, affordable)))


class AllRows(Protocol):
    """Passes over all rows that make the Hessian: with a sample's outer products it would be none."""

    def score(self, scorer: Scorer) -> OuterProducts:
        """Outer products of the scores of all rows."""

    def curve(self, population: Population) -> HermiteMoments:
        """How the densities of all rows curve under a population."""


@dataclass(frozen=True)
class _Ground:
    """A chart, and the information of all rows at its origin.  `imputed` is what completed the rows there."""

    chart: Chart
    matrix: BlockMatrix
    imputed: Imputed | None


@dataclass(frozen=True)
class Ascent:
    """What a fit needs to climb by scoring.

    Attributes
    ----------
    sample : Samples
        Rows whose scores give the information, a random sample, as `prepare` returned them.
    n_rows : int
        N, of which it is a sample.
    constraints : Constraints
    threads : int
        For the scores; their bits do not depend on it.
    pilot : callable, optional
        Statistics of a larger random sample, to try steps on; None where the sample is all rows.
    imputation : Imputation, optional
        Of the unobserved rows.
    all_rows : AllRows, optional
        What makes the Hessian; None where that is not looked at.
    """

    sample: Samples
    n_rows: int
    constraints: Constraints
    threads: int = 1
    pilot: Callable[[Population], Statistics] | None = None
    imputation: Imputation | None = None
    all_rows: AllRows | None = None

    @cached_property
    def _latest(self) -> dict[str, Any]:
        """The last proposals and grounds, which are asked for again."""
        return {}

    @cached_property
    def _noise(self) -> Array:
        return typical_noise(self.sample)

    def propose(self, standing: Standing, memory: Memory | None) -> Proposal | None:
        """Propose a step; None where expectation maximization must go on.

        That is so where a limit or a floor begins or ceases to hold, nothing is free, a covariance is singular or not
        what the constraints allow, or there are too many parameters.

        Raises
        ------
        CollapsedComponent
            If expectation maximization finds a component collapsed here.
        """
        place = "fresh" if memory is None else "remembered"
        key = standing.population, standing.statistics, memory
        known, proposal = self._latest.get(place, ((None, None, None), None))
        if all(one is other for one, other in zip(key, known, strict=True)):
            return cast("Proposal | None", proposal)
        proposal = self._proposal(standing, memory)
        self._latest[place] = key, proposal
        return proposal

    def is_near(self, proposal: Proposal) -> bool:
        """Tell whether a step leads no farther than the errors of a fit to the sample alone."""
        per_row = proposal.predicted_gain / self.n_rows
        return per_row * self.sample.n_rows <= NEAR * proposal.chart.n_parameters

    def _proposal(self, standing: Standing, memory: Memory | None) -> Proposal | None:
        population, statistics = standing.population, standing.statistics
        origin = population if memory is None else memory.origin
        counts = counts_of(statistics) if memory is None else memory.counts
        freedom = Freedom.of(origin, counts, self.constraints)
        chart = Chart(origin, counts, self.constraints, freedom, self._noise)
        image = maximize(population, statistics, self.constraints)
        if not chart.is_regular or not 0 < chart.n_parameters <= MOST_PARAMETERS:
            return None  # in this order: what is not regular has no coordinates to count
        if Freedom.of(image, counts_of(statistics), self.constraints) != chart.freedom:
            return None
        if not chart.holds_origin:
            return None
        gradient = chart.gradient(population, statistics + prior_score(population, self.constraints))
        if memory is None:
            return self._scored(standing, chart, gradient)
        free = [k for owners, _ in freedom.covariances for k in owners]
        if next_to_singular(population.mixture.covariances[free]).any():
            return None  # pairs of steps know of no edge
        step = memory.secants.solve(gradient, self._divided(chart, standing))
        if step is None:
            return None
        whole = _slope(gradient, step)
        gain = whole / 2
        if gain <= CHECKED_AT:  # pairs know too little of the directions that they have not been
            fresh = self.propose(standing, None)
            gain = gain if fresh is None else max(gain, fresh.predicted_gain)
        step = within_coordinates(chart, step)
        slope = _slope(gradient, step)
        promised = slope * (1 - slope / (2 * whole)) if whole > 0 else 0.0
        return Proposal(chart, memory.at, gradient, step, slope, promised, gain)

    def _scored(self, standing: Standing, chart: Chart, gradient: Array) -> Proposal | None:
        """Propose a step by fresh information."""
        ground = self._ground(chart, standing.statistics.weight, standing.reference)
        step = _solved(ground, 0.0, gradient)
        if step is None:
            return None
        gain = _model_gain(ground.matrix, gradient, step)
        if gain <= max(CHECKED_AT, CURVED_AT * chart.n_parameters):
            curved = self._curved(ground, gradient)
            if curved is not None:
                return curved
        step = within_observed(ground.chart, step)
        if self.pilot is not None and gain > SETTLED * chart.n_parameters:
            step = self._trusted(standing, ground, gradient, step)
        promised = _model_gain(ground.matrix, gradient, step)
        slope = _slope(gradient, step)
        return Proposal(
            chart, np.zeros(chart.n_parameters), gradient, step, slope, promised, gain, straight=True
        )

    def _curved(self, ground: _Ground, gradient: Array) -> Proposal | None:
        """Propose a step by the Hessian of all rows; None where that is not to be had, or leads downwards."""
        chart = ground.chart
        if self.all_rows is None or chart.n_parameters > MOST_CURVED:
            return None
        curvature = density_curvature(chart, self.all_rows.curve(chart.origin))
        hessian = Hessian.of(chart, self._products(ground), curvature)
        information = None if hessian is None else Information.of(hessian.positive)
        if hessian is None or information is None:
            return None
        away = hessian.leading_away(gradient)
        asked = (gradient,) if np.array_equal(away, gradient) else (gradient, away)
        steps = [information.confined(some, chart) for some in asked]
        whole = [information.confined(some, chart, chart.brink) for some in asked]
        left = [hessian.gain(gradient, step) for step in whole if step is not None]
        known = [step for step in steps if step is not None]
        if not left or not known:
            return None
        step = within_observed(chart, max(known, key=lambda some: hessian.gain(gradient, some)))
        slope = _slope(gradient, step)
        if not slope > 0:
            return None
        predicted = max(*left, 0.0) / hessian.certainty
        promised = hessian.promised(gradient, step)
        at = np.zeros(chart.n_parameters)
        return Proposal(chart, at, gradient, step, slope, promised, predicted, straight=True)

    def _products(self, ground: _Ground) -> Array:
        """Outer products (p, p) of all rows: what they lack to be the Hessian is a difference, of the same rows."""
        if self.all_rows is None or self.sample.n_rows == self.n_rows:
            return ground.matrix.whole
        return self.all_rows.score(Scorer(ground.chart)).matrix.whole

    def _divided(self, chart: Chart, standing: Standing) -> Callable[[Array], Array | None]:
        """Make what divides a gradient by the information at a chart's origin."""
        ground = self._ground(chart, standing.statistics.weight, standing.reference)
        information = Information.of(ground.matrix)
        return lambda left: None if information is None else information.divide(left)

    def _ground(self, chart: Chart, weight: float, reference: Reference | None) -> _Ground:
        """Take the information at a chart's origin, unless it was the last to be taken."""
        for known in self._latest.get("grounds", ()):
            if known.chart.origin is chart.origin:
                return cast("_Ground", known)
        imputed = None
        if self.imputation is not None and reference is not None:
            imputed = self.imputation.impute(chart.origin, reference)
        ground = _Ground(chart, self._information(chart, weight, imputed), imputed)
        self._latest["grounds"] = (*self._latest.get("grounds", ())[-1:], ground)
        return ground

    def _information(self, chart: Chart, weight: float, imputed: Imputed | None) -> BlockMatrix:
        """Information of all rows and the prior; what is not known is a little of the complete data's."""
        cut = of_classes = None
        if self.imputation is not None and imputed is not None and self.imputation.cut is not None:
            cut = self.imputation.cut
            of_classes = ClassScores.of(
                chart, self.imputation.observation, imputed.sums, cut, self.imputation.classes
            )
        sums = outer_products(
            chart, self.sample, cut, of_classes, threads=self.threads, together=MOST_TOGETHER
        )
        says_nothing = not sums.weight > 0  # then the information of complete data must do
        matrix = sums.matrix.scaled(0.0 if says_nothing else weight / sums.weight)
        unknown = 1.0 if says_nothing else UNKNOWN * (chart.n_parameters / max(1, sums.rows)) ** 2
        for place, block in zip(matrix.places, matrix.blocks, strict=True):
            known = chart.prior_information[place] + unknown * chart.observed_information[place]
            block[np.diag_indices(len(block))] += known
        return matrix

    def _trusted(self, standing: Standing, ground: _Ground, gradient: Array, newton: Array) -> Array:
        """Damp a step as far as the sample shows that it is too long."""
        assert self.pilot is not None
        pilot = self.pilot(standing.population)
        if not pilot.weight > 0:
            return newton
        trial = _Trial(self, standing, ground.chart, gradient, pilot, ground.imputed)
        best, best_gain = newton, -np.inf
        for damping in DAMPINGS:
            step = newton if damping == 0 else _solved(ground, damping, gradient)
            if step is None:
                continue
            step = within_observed(ground.chart, step)
            gain = trial.gain(step)
            if gain > best_gain:
                best, best_gain = step, gain
            elif best_gain > 0:
                break
            if damping == 0 and gain >= AS_PREDICTED * _model_gain(ground.matrix, gradient, step):
                break
        return best


@dataclass(frozen=True)
class _Trial:
    """The objective of all rows as the sample sees it: the sample's, tilted to have the gradient of all rows."""

    ascent: Ascent
    standing: Standing
    chart: Chart
    gradient: Array
    pilot: Statistics
    imputed: Imputed | None

    @property
    def _scale(self) -> float:
        return self.standing.statistics.weight / self.pilot.weight

    @cached_property
    def _tilt(self) -> Array:
        population, constraints = self.standing.population, self.ascent.constraints
        said = self.pilot.scaled(self._scale)
        if self.imputed is not None:
            said = said + self.imputed.statistics
        return self.gradient - self.chart.gradient(population, said + prior_score(population, constraints))

    def gain(self, step: Array) -> float:
        """Gain of a step [total nats]; -inf where nothing can be said."""
        place, constraints = place_on_line(self.chart, step), self.ascent.constraints
        try:
            pilot = self.ascent.pilot(place.population) if self.ascent.pilot else self.pilot
            gain = self._scale * (pilot.log_likelihood - self.pilot.log_likelihood)
            if self.imputed is not None and self.ascent.imputation and self.standing.reference:
                there = self.ascent.imputation.impute(place.population, self.standing.reference)
                gain += there.statistics.log_likelihood - self.imputed.statistics.log_likelihood
        except DgmmisError:  # the population is none that rows can be judged by
            return -np.inf
        gain += constraints.log_prior(place.population) - constraints.log_prior(self.standing.population)
        gain += float(np.einsum("p,p->", self._tilt, step))
        return gain if np.isfinite(gain) else -np.inf


def _solved(ground: _Ground, damping: float, gradient: Array) -> Array | None:
    information = Information.of(ground.matrix, damping * ground.chart.observed_information)
    return None if information is None else information.confined(gradient, ground.chart)


def _slope(gradient: Array, step: Array) -> float:
    return float(np.einsum("p,p->", gradient, step))


def _model_gain(matrix: BlockMatrix, gradient: Array, step: Array) -> float:
    """Gain of a step if the objective were quadratic [nats]."""
    curved = 0.0
    for place, block in zip(matrix.places, matrix.blocks, strict=True):
        curved += float(np.einsum("p,pq,q->", step[place], block, step[place]))
    return _slope(gradient, step) - curved / 2
