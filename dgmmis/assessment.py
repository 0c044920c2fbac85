"""`dgmmis.uncertainty`: how well the parameters of a fit, or of a run, are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from dgmmis.chunk import ArrayChunks
from dgmmis.error_estimates import Wanted, estimate_errors
from dgmmis.errors import InvalidData, InvalidSetting, NotARun
from dgmmis.fit_result import FitResult
from dgmmis.imputed_passes import Completion
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.observer import SilentObserver
from dgmmis.optimum import Fitted, Optimum, at_optimum
from dgmmis.population import Population
from dgmmis.preparation import Prepared, prepare_fit, require_known
from dgmmis.runs import RunFolder, open_run
from dgmmis.store import Catalog, open_catalog
from dgmmis.task import Task, information_sample, look, set_up
from dgmmis.uncertainties import Method, Uncertainty
from dgmmis.unkept_fit import passes_over

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["GivenRows", "RowsOfRun", "uncertainty"]

SAME_LIKELIHOOD = 1e-7
"""Of rows that are the same but for rounding, per nat of the likelihood's scale."""

CHANCE = 6.0
"""Monte-Carlo errors by which the likelihood may differ where points were drawn with another seed."""


def uncertainty(
    fitted: FitResult | RunFolder | str | Location,
    values: ArrayLike | Catalog | str | Location | None = None,
    *,
    method: Method = "information",
    sample_rows: int | None = None,
    replicates: int = 100,
    resampling_seed: int = 0,
    client: Client | None = None,
    catalog: str | Location | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Uncertainty:
    """Estimate how well a fit's parameters are known.

    Parameters
    ----------
    fitted : FitResult, RunFolder or path of a run
    values : (N, D) array or catalogue, optional
        The rows of a `FitResult`, with the observation model as `fit` took it among the `settings`.  A result that
        was not pickled still knows both: leave them out.
    method : {"information", "sandwich", "bootstrap"}
        The inverse of the summed outer products of the rows' scores, weights counting repetitions; the same between
        two Hessians, right also if the model is not, and whatever the weights mean; or fits of resampled rows.
    sample_rows : int, optional
        Score this many rows of the random sample instead of all, and scale.  By default all are scored up to 300
        parameters, and 50 rows per parameter beyond.
    replicates, resampling_seed : int
        Of the bootstrap.
    client : distributed.Client, optional
        Map the passes over its workers.
    catalog : path, optional
        Where a run's catalogue lies now, if it was moved.
    progress : callable, optional
        Called with (steps done, steps in all) by the sandwich and the bootstrap.
    **settings
        As of `fit`, with `values` only: noise, weights, selection, background, frozen, prior, ...

    Returns
    -------
    Uncertainty

    Raises
    ------
    InvalidData
        If the rows are not those of the fit: their likelihood is another.
    InvalidSetting
        For settings that cannot be meant, or a result that does not know its rows.
    NotARun
        If there is no run, or one without a finished pass.
    """
    wanted = Wanted.of(
        method, sample_rows=sample_rows, replicates=replicates, seed=resampling_seed, progress=progress
    )
    if isinstance(fitted, FitResult):
        if catalog is not None:
            raise InvalidSetting(
                "catalog is where a run's rows lie now: give the rows of a result as values."
            )
        if values is not None:
            require_known(settings, "uncertainty")
            return GivenRows(values, settings)(fitted, wanted, client)
        _refuse(settings)
        return fitted.assessed(wanted, client)
    if values is not None:
        raise InvalidSetting("a run knows its rows: leave values out, or name a moved catalogue by catalog.")
    _refuse(settings)
    run = fitted if isinstance(fitted, RunFolder) else open_run(fitted)
    return _of_run(run, catalog, wanted, client)


def _refuse(settings: Mapping[str, Any]) -> None:
    if settings:
        raise InvalidSetting(
            f"{', '.join(sorted(settings))}: the fit knows its observation model; settings go with values only."
        )


@dataclass(frozen=True)
class GivenRows:
    """What `fit` was given, so that its result can look at the rows again: no copy of them.

    Attributes
    ----------
    values : array or catalogue
    settings : dict
        Of the observation model.
    """

    values: Any
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, prepared: Prepared, values: Any, settings: Mapping[str, Any]) -> GivenRows:
        """Keep what a fit was given: a catalogue and a start as they were found, not their paths."""
        chunks = prepared.chunks
        kept = chunks if isinstance(chunks, Catalog) else values
        return cls(kept, {**settings, "initial": prepared.initial})

    def __call__(self, result: FitResult, wanted: Wanted, client: Client | None) -> Uncertainty:
        """Estimate the result's uncertainties."""
        settings = {"initial": result.population, **self.settings}
        prepared = prepare_fit(
            self.values, n_components=result.mixture.n_components, limits=Limits(0, 0), **settings
        )
        ended = _Ended(result.population, result.log_likelihood, result.completion)
        return _assess(ended, prepared.chunks, prepared.task, wanted, client)


@dataclass(frozen=True)
class _Ended:
    """Where a fit ended."""

    population: Population
    log_likelihood: float
    completion: Completion | None


@dataclass(frozen=True)
class RowsOfRun:
    """The rows of a run, for the result of an attempt.

    Attributes
    ----------
    run : RunFolder
    catalog : path, optional
        Where the catalogue lies now, if it was moved.
    """

    run: RunFolder
    catalog: str | Location | None = None

    def __call__(self, result: FitResult, wanted: Wanted, client: Client | None) -> Uncertainty:
        """Estimate the result's uncertainties."""
        ended = _Ended(result.population, result.log_likelihood, result.completion)
        chunks = _catalog_of(self.run, self.catalog)
        task = self.run.task(chunks.features)
        return _assess(ended, chunks, task, wanted, client)


def _of_run(
    run: RunFolder, catalog: str | Location | None, wanted: Wanted, client: Client | None
) -> Uncertainty:
    latest = run.latest()
    if latest is None:
        raise NotARun(f"{run.path} has no finished pass yet: drive it with `dgmmis resume {run.path}`.")
    chunks = _catalog_of(run, catalog)
    scan = latest.scan
    task = run.task(chunks.features)
    ended = _Ended(scan.population, scan.statistics.log_likelihood, scan.completion)
    return _assess(ended, chunks, task, wanted, client)


def _catalog_of(run: RunFolder, moved_to: str | Location | None) -> Catalog:
    """Open the catalogue that a run began on, without the rows that were appended since."""
    catalog, began = open_catalog(moved_to or run.data["path"]), run.data["fingerprint"]
    if began not in catalog.fingerprints:
        raise InvalidData(
            f"{catalog.path} has fingerprint {catalog.fingerprint[:16]}, the run began on {began[:16]}. Name the "
            "original with catalog (--catalog).",
            array=str(catalog.path),
            value=catalog.fingerprint,
        )
    return catalog.as_of(began)


def _assess(
    ended: _Ended, chunks: ArrayChunks | Catalog, task: Task, wanted: Wanted, client: Client | None
) -> Uncertainty:
    population, completion = ended.population, ended.completion
    passes, sample = passes_over(chunks, client, SilentObserver(), task), information_sample(chunks, task)
    problem = set_up(passes, sample, task, population, look(passes, sample, task))
    reference = None
    if problem.imputation is not None:
        first = problem.imputation.first_reference
        reference = first(population) if completion is None else completion.reference
    fitted = Fitted(population, task, chunks, passes, problem, sample, reference)
    optimum = at_optimum(fitted)
    _require_same_rows(ended, optimum, task)
    return estimate_errors(fitted, optimum, wanted)


def _require_same_rows(ended: _Ended, optimum: Optimum, task: Task) -> None:
    """Refuse rows, or an observation model, under which the fit has another likelihood than it had."""
    if task.selecting is not None and callable(task.selecting.noise_model):
        return  # it was asked about where the fit began, and the likelihood depends on that
    statistics, before = optimum.statistics, ended.log_likelihood
    allowed = SAME_LIKELIHOOD * statistics.scale
    if optimum.imputed is not None:
        allowed += CHANCE * optimum.imputed.log_likelihood_error
    if not abs(statistics.log_likelihood - before) <= allowed:
        raise InvalidData(
            f"the log-likelihood of the fit is {before:.8g} nats, and on these rows {statistics.log_likelihood:.8g}: "
            "they are not what was fitted, or were changed since. Give the same rows, noise, weights, selection and "
            "background as to fit.",
            array="values",
            value=statistics.log_likelihood,
        )
