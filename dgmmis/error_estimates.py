"""Estimators of a fit's uncertainties: outer products of scores, their sandwich with the Hessian, the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from dgmmis.block_matrix import BlockMatrix, Columns, Spectrum
from dgmmis.bootstrap import LEAST_REPLICATES, Resampling, bootstrap
from dgmmis.class_scores import ClassScores
from dgmmis.curvature import observed_information, prior_information
from dgmmis.error_notes import notes_of
from dgmmis.errors import InvalidSetting
from dgmmis.expectation import prepare
from dgmmis.local_pass import processors
from dgmmis.observation import REPLICATES
from dgmmis.optimum import Fitted, Optimum
from dgmmis.outer_products import OuterProducts, Scorer
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics
from dgmmis.spread import LinearSpread, Spread
from dgmmis.uncertainties import METHODS, Method, Uncertainty

__all__ = ["FULL_SCAN", "Wanted", "estimate_errors"]

FULL_SCAN = 300
"""With more parameters the outer products of all rows would cost more than tens of passes: N p^2."""

ROWS_PER_PARAMETER = 50
"""Of the random sample that is scored then; an information from n rows makes errors about p / (2 n) too large."""

LEAST_ROWS = 20_000

MOST_REPLICATES = 100_000


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes
    ----------
    method : {"information", "sandwich", "bootstrap"}
    sample_rows : int, optional
        Rows of the random sample that is scored instead of all; by default all are up to `FULL_SCAN` parameters,
        and a sample of 50 rows per parameter beyond.
    resampling : Resampling
    report : callable, optional
        Called with (steps done, steps in all) while passes are made.
    """

    method: Method = "information"
    sample_rows: int | None = None
    resampling: Resampling = field(default_factory=Resampling)
    report: Callable[[int, int], None] = lambda done, of: None

    @classmethod
    def of(
        cls,
        method: Method,
        *,
        sample_rows: int | None,
        replicates: int,
        seed: int,
        progress: Callable[[int, int], None] | None,
    ) -> Wanted:
        """Check what is asked for.

        Raises
        ------
        InvalidSetting
        """
        if not isinstance(method, str) or method not in METHODS:
            raise InvalidSetting(f"method is {method!r}; expected one of {', '.join(METHODS)}.")
        if sample_rows is not None:
            _require_whole("sample_rows", sample_rows, 2)
        _require_whole("replicates", replicates, LEAST_REPLICATES, MOST_REPLICATES)
        _require_whole("resampling_seed", seed, 0)
        report = progress or (lambda done, of: None)
        return cls(method, sample_rows, Resampling(replicates, seed), report)


def estimate_errors(fitted: Fitted, optimum: Optimum, wanted: Wanted) -> Uncertainty:
    """Estimate how well a fit's parameters are known.

    Parameters
    ----------
    fitted : Fitted
    optimum : Optimum
        As `at_optimum` returned it.
    wanted : Wanted

    Raises
    ------
    InvalidSetting
        For a sandwich of more than `FULL_SCAN` parameters, or a bootstrap of which fewer than two replicates
        could be fitted.
    """
    chart = optimum.chart
    if wanted.method == "sandwich" and chart.n_parameters > FULL_SCAN:
        raise InvalidSetting(
            f"the sandwich takes two passes for each of {chart.n_parameters} parameters, and is offered up to "
            f"{FULL_SCAN}: ask for 'information' or 'bootstrap'."
        )
    products = _scored(fitted, optimum, wanted)
    if wanted.method == "sandwich":
        linear, spectrum = _sandwich(fitted, optimum, products, wanted)
        return _summed_up(fitted, optimum, products, Estimate("sandwich", linear, spectrum))
    matrix = products.matrix.scaled(optimum.statistics.weight / products.weight)
    spectrum = (matrix + prior_information(chart, matrix.places)).spectrum
    if wanted.method == "information":
        linear = LinearSpread(chart, spectrum.factor, spectrum.flat)
        return _summed_up(fitted, optimum, products, Estimate("information", linear, spectrum))
    replicates, notes = bootstrap(fitted, chart, spectrum, wanted.resampling, wanted.report)
    return _summed_up(fitted, optimum, products, Estimate("bootstrap", replicates, spectrum, notes))


@dataclass(frozen=True)
class Estimate:
    """What an estimator came to.

    Attributes
    ----------
    method : Method
    spread : Spread
    spectrum : Spectrum
        Of the information, or of the Hessian for the sandwich.
    notes : tuple of str
    """

    method: Method
    spread: Spread
    spectrum: Spectrum
    notes: tuple[str, ...] = ()


def _require_whole(name: str, value: object, least: int, most: float = np.inf) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        limit = "" if most == np.inf else f", and at most {most}"
        raise InvalidSetting(f"{name} is {value!r}; expected a whole number of at least {least}{limit}.")


def _scored(fitted: Fitted, optimum: Optimum, wanted: Wanted) -> OuterProducts:
    """Score all rows, or a random sample of them."""
    imputation, cut = fitted.problem.imputation, fitted.task.cut
    of_classes = None
    if imputation is not None and optimum.imputed is not None and cut is not None:
        of_classes = ClassScores.of(
            optimum.chart, imputation.observation, optimum.imputed.sums, cut, imputation.classes
        )
    scorer = Scorer(optimum.chart, cut, of_classes, squares=wanted.method == "sandwich")
    p, n_rows = optimum.chart.n_parameters, wanted.sample_rows
    if n_rows is None and p > FULL_SCAN:
        n_rows = max(LEAST_ROWS, ROWS_PER_PARAMETER * p)
    if n_rows is None or n_rows >= fitted.rows.n_rows:
        return fitted.passes.score(scorer)
    keep_noise = () if cut is None else cut.noise_columns
    sample = fitted.rows.read_pilot(n_rows).samples(checked=True, keep_noise=keep_noise)
    return scorer.score(prepare(fitted.population, sample, cut), threads=processors())


def _sandwich(
    fitted: Fitted, optimum: Optimum, products: OuterProducts, wanted: Wanted
) -> tuple[LinearSpread, Spectrum]:
    """H^-1 J H^-1 (Huber 1967; White 1982, Econometrica 50, 1), J scaled to all rows."""
    assert products.squared is not None
    chart, steps = optimum.chart, _Counter(2 * optimum.chart.n_parameters, wanted.report)

    def statistics_at(population: Population) -> Statistics:
        steps.count()
        return fitted.statistics_at(population)[0]

    hessian = BlockMatrix(products.matrix.places, (observed_information(chart, statistics_at),))
    spectrum = hessian.spectrum
    scale = optimum.statistics.weight / products.weight
    values, vectors = np.linalg.eigh(scale * products.squared.whole)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    inverse_root = spectrum.factor.whole
    factor = Columns.dense(inverse_root @ (inverse_root.T @ root))
    return LinearSpread(chart, factor, spectrum.flat), spectrum


def _summed_up(fitted: Fitted, optimum: Optimum, products: OuterProducts, estimate: Estimate) -> Uncertainty:
    chart, spectrum = optimum.chart, estimate.spectrum
    errors, n_blocks = estimate.spread.errors(), len(products.matrix.places)
    is_bootstrap = estimate.method == "bootstrap"
    notes = notes_of(
        errors,
        optimum,
        n_flat=0 if is_bootstrap else spectrum.flat.number,
        n_blocks=1 if is_bootstrap else n_blocks,
        gain=0.5 * float(np.sum(spectrum.factor.onto(optimum.gradient) ** 2)),
        rows_used=optimum.statistics.rows if is_bootstrap else products.rows,
    )
    return Uncertainty(
        chart.origin,
        estimate.method,
        errors,
        estimate.spread,
        chart.n_parameters,
        n_blocks,
        products.rows,
        optimum.statistics.rows,
        spectrum.condition,
        _imputation_error(optimum, spectrum),
        (*notes, *estimate.notes),
        *_names(fitted),
    )


def _imputation_error(optimum: Optimum, spectrum: Spectrum) -> float:
    """Shift of the parameters that the imputed points' scatter makes, root-mean-square in standard errors."""
    if optimum.imputed is None:
        return 0.0
    chart = optimum.chart
    scores = np.array([chart.gradient(chart.origin, one) for one in optimum.imputed.replicates])
    off = spectrum.factor.onto(scores - scores.mean(axis=0))
    return float(np.sqrt(np.sum(off**2) / (REPLICATES * (REPLICATES - 1)) / max(1, off.shape[1])))


def _names(fitted: Fitted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Features and units of the mixture; those of projected rows have no names."""
    d = fitted.population.n_features
    if len(fitted.rows.features) == d and fitted.sample.latent_features == fitted.sample.n_features:
        return fitted.rows.features, fitted.rows.units
    return tuple(f"x{j}" for j in range(d)), ("",) * d


class _Counter:
    """Counts steps and reports them."""

    def __init__(self, total: int, report: Callable[[int, int], None]) -> None:
        self._done, self._total, self._report = 0, total, report

    def count(self) -> None:
        self._done += 1
        self._report(self._done, self._total)
