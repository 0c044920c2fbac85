"""`dgmmis.fit` and `dgmmis.resume`: arrays or catalogues, with or without a cluster, with or without a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from dgmmis.assessment import GivenRows, RowsOfRun
from dgmmis.cluster.roster import known_workers
from dgmmis.driver import drive, prepare_run
from dgmmis.errors import DgmmisError, InvalidData, InvalidSetting
from dgmmis.expectation import NEGLIGIBLE
from dgmmis.fit_result import FitResult
from dgmmis.fit_settings import check_settings
from dgmmis.iterate import Limits
from dgmmis.local_pass import processors
from dgmmis.location import Location, location_of
from dgmmis.noise import NoiseLike
from dgmmis.observer import Observer, watching
from dgmmis.places import local_path
from dgmmis.planning import require_room
from dgmmis.preparation import Prepared, prepare_fit, require_known
from dgmmis.prior import Prior
from dgmmis.restarts import MOST_STARTS, Restarts, distinct
from dgmmis.runs import RunFolder, open_run
from dgmmis.short_fits import GOES_ON, short_fits
from dgmmis.starting_model import Initial
from dgmmis.starts import pilot_rows
from dgmmis.store import Catalog, open_catalog
from dgmmis.task_settings import NoiseModel
from dgmmis.unkept_fit import fit_from, get_ready, passes_over

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["fit", "fit_restarts", "go_on", "resume"]

TOLERANCE = 0.1
MAX_PASSES = 1000


def fit(
    values: ArrayLike | Catalog | str | Location,
    *,
    n_components: int,
    noise: NoiseLike = None,
    weights: ArrayLike | None = None,
    projection: ArrayLike | None = None,
    selection: object = None,
    before_noise: bool = False,
    noise_model: NoiseModel = None,
    covariates: Mapping[str, ArrayLike] | None = None,
    background: object = None,
    floor: ArrayLike | None = None,
    prior: Prior | str | None = "auto",
    covariance_type: str = "full",
    oversampling: float | None = None,
    initial: Initial | None = None,
    frozen: Mapping[str, ArrayLike] | None = None,
    method: str = "auto",
    pruning: float = NEGLIGIBLE,
    split_merge: int = 0,
    tolerance: float = TOLERANCE,
    max_passes: int = MAX_PASSES,
    seed: int = 0,
    carried: int = 1,
    client: Client | None = None,
    features: tuple[str, ...] = (),
    units: tuple[str, ...] = (),
    run: str | Location | None = None,
    runs: str | Path | None = None,
    observer: Observer | None = None,
) -> FitResult:
    """Fit a Gaussian mixture to noisy, incomplete rows by maximum likelihood, or by a posterior's maximum.

    Parameters
    ----------
    values : (N, D) array, or catalogue
        NaN means not observed (missing at random).  A catalogue is what `open_catalog` returns, or its path.
    n_components : int
        K.
    noise : None, (D, D), (N, D) variances, (N, D, D) covariances, or Noise
        Of an array's rows, in the features' units squared.  A catalogue carries its own.
    weights : (N,), optional
        Repetition weights of an array's rows.
    projection : (d, D) or (N, d, D), optional
        x_i = R_i t_i + noise: the rows of an array see the mixture's D features through R_i.
    selection : Selection or callable, optional
        Omega(x): the chance that a row with these (noisy) values was kept; a part of `dgmmis.selection`, or a
        callable (N, D) -> (N,), or "module:function".
    before_noise : bool
        The selection acts on the noise-free values.
    noise_model : (D, D) or callable (N, D) -> (N, D, D), optional
        Noise of the parent population, if known.  Default: the likelihood is conditional on each row's own
        noise.  A callable is an approximation: noise that depends on the position makes no mixture.
    covariates : dict of (N,), optional
        Columns of an array that the selection looks at by name and the mixture does not describe, such as the
        position on the sky; the likelihood is conditional on them.
    background : Background, or several, optional
        Densities behind the mixture.
    floor : float or (D,), optional
        Least dispersion of any component in any direction.
    prior : Prior, "auto" or None
        None is maximum likelihood.  "auto" acts only under a selection with few rows per parameter, and is
        reported as `FitResult.prior`.
    covariance_type : {"full", "diagonal", "tied", "spherical"}
    oversampling : float, optional
        Impute by this many fresh random points per observed row in every pass instead of fixed Sobol points:
        noisy, for comparison.
    initial : Mixture, Population, Model, FitResult, RunFolder or path, optional
        Where to start: also the path of a saved model, or of the run folder of an earlier fit, whose last pass
        counts.  A model brings the amplitudes of its backgrounds along; the backgrounds themselves, and the selection,
        are those given here.  Default: the best of several k-means++ starts on a random sample.
    frozen : dict, optional
        `{"amplitudes": [...], "means": [...], "covariances": [...]}`: components (indices, or K booleans)
        whose parameter stays as in `initial`.
    method : {"auto", "em"}
        "auto" climbs by steps of the gradient over the information that a sample of the rows holds, and needs few
        passes; "em" makes plain updates of expectation maximization.
    pruning : float
        Components are left out where they are certain to hold, all together, less than this share of a row's
        density.  The default is below the last digit of a double; 0 evaluates every component at every row.
    split_merge : int
        After convergence, at most so many rounds that split one component and merge two others, each kept only if
        the objective of all rows grows by more than the tolerance and its Monte-Carlo error.
    tolerance : float
        Stop when further passes are predicted to add less than this to the log-likelihood [total nats].
        0 never stops early: exactly `max_passes` updates are made.
    max_passes : int
        Parameter updates at most.
    seed : int
        Of the starts; the same seed and data give the same bits.
    carried : int
        Distinct optima of the random sample that are compared on all rows, one scan each, before the best goes on.
    client : distributed.Client, optional
        Map the passes over its workers.  The result has the same bits as without.
    features, units : tuple of str, optional
        Names and units of an array's features.
    run : path, optional
        Folder that keeps every pass of a catalogue's fit, so that `resume` goes on from any death.  The
        same settings on the same data continue the run that lies there.
    runs : path, optional
        A root instead: the folder below it gets its name from settings and data.
    observer : Observer, optional
        Told of every pass.

    Returns
    -------
    FitResult

    Raises
    ------
    InvalidData
        Naming array, row, column and value of what cannot be used.
    InvalidSetting
        For settings that cannot be meant.
    SelectionError
        Before the first pass: for a selection that cannot be used, or denies an observed row.
    ImputationLimit
        If the unobserved rows need more points than are allowed.
    CollapsedComponent
        If a component shrinks to nothing.
    ClusterLost
        If the cluster makes no progress any more.
    MemoryPlanExceeded
        Before the first pass: if it cannot fit into the memory of the workers or of this process.
    FeatureMismatch, UnitMismatch, NotARun
        If `initial` is a model of other features or units, or a folder that is no run.
    RunConflict, RunLocked
        If the run folder holds another run, or another process drives it.
    RunCancelled
        If the run was cancelled, before or meanwhile.
    """
    settings: dict[str, Any] = {
        "noise": noise,
        "weights": weights,
        "projection": projection,
        "selection": selection,
        "before_noise": before_noise,
        "noise_model": noise_model,
        "covariates": covariates,
        "background": background,
        "floor": floor,
        "prior": prior,
        "covariance_type": covariance_type,
        "oversampling": oversampling,
        "initial": initial,
        "frozen": frozen,
        "method": method,
        "pruning": pruning,
        "split_merge": split_merge,
        "seed": seed,
        "carried": carried,
        "features": features,
        "units": units,
    }
    limits, observer = Limits(tolerance, max_passes), watching(observer)
    prepared = prepare_fit(values, n_components=n_components, limits=limits, **settings)
    require_room(prepared, client)
    rows = GivenRows.of(prepared, values, settings)
    place = _place(run, runs)
    if place is None:
        return fit_from(prepared, get_ready(prepared, client, observer), observer).knowing(rows)
    chunks, task = prepared.chunks, prepared.task
    if not isinstance(chunks, Catalog):
        raise InvalidSetting("a run keeps the fit of a catalogue: ingest the array first (dgmmis.ingest).")
    folder = prepare_run(place, chunks, task, initial=prepared.initial, named=runs is None)
    return drive(
        folder,
        chunks,
        task,
        lambda watcher: passes_over(chunks, client, watcher, task),
        prepared.limits,
        budget=_means(client),
        observer=observer,
    ).knowing(rows)


def _place(run: str | Location | None, runs: str | Path | None) -> Location | None:
    """Find where a run is to be kept, if anywhere: a folder, or the root of folders."""
    if run is not None and runs is not None:
        raise InvalidSetting("run names one folder and runs the root of many: give one of the two.")
    if runs is not None:
        return local_path(runs)
    return None if run is None else location_of(run)


def resume(
    run: str | Location,
    *,
    tolerance: float | None = None,
    max_passes: int | None = None,
    client: Client | None = None,
    catalog: str | Location | None = None,
    observer: Observer | None = None,
    trust: Iterable[str] = (),
) -> FitResult:
    """Go on with a run from its last checkpoint: after any death, or with a larger budget.

    Parameters
    ----------
    run : path
        The run folder.
    tolerance, max_passes : optional
        Budgets of this attempt; by default those last asked for, or of the attempt before.
    client : distributed.Client, optional
    catalog : path, optional
        Where the catalogue lies now, if it was moved; its fingerprint must be the same.
    observer : Observer, optional
    trust : iterable of str, optional
        Functions "module:function" that the run names and that may be imported; those of a run that was begun from
        this account may be anyway.

    Raises
    ------
    UntrustedFunction
        If the run names another function: nothing of it is imported.
    RunCancelled
        If the run is cancelled meanwhile; a cancel from before is lifted.
    NotARun, RunLocked, CorruptCheckpoint
        If the folder is none, is driven by another process, or was damaged.
    InvalidData
        If the catalogue is not the one the run began on, or rows were appended to it since.
    MemoryPlanExceeded
        If it cannot fit into the memory there is; with more, it goes on.
    """
    return go_on(
        run,
        tolerance=tolerance,
        max_passes=max_passes,
        client=client,
        catalog=catalog,
        observer=observer,
        trust=trust,
    )


def go_on(
    run: str | Location,
    *,
    tolerance: float | None = None,
    max_passes: int | None = None,
    client: Client | None = None,
    catalog: str | Location | None = None,
    observer: Observer | None = None,
    trust: Iterable[str] = (),
    attempts: int | None = None,
) -> FitResult:
    """Go on with a run as `resume` does; or, with `attempts`, on behalf of a server that saw so many of them.

    Then nobody asked for this drive by name: a cancel is not lifted (`RunCancelled`), and if somebody drove the run
    since, it is left to him (`RunLocked`).
    """
    folder = open_run(run, trust=trust)
    chunks = open_catalog(catalog or folder.data["path"])
    _require_same_rows(folder, chunks)
    before = _budget_before(folder, tolerance, max_passes)
    limits = Limits(
        before.get("tolerance", TOLERANCE) if tolerance is None else tolerance,
        before.get("max_passes", MAX_PASSES) if max_passes is None else max_passes,
    )
    task = folder.task(chunks.features)
    check_settings(
        task.n_components,
        chunks.n_features,
        initial=None,
        frozen=None,
        method=folder.config["method"],
        limits=limits,
        seed=task.seed,
    )
    require_room(Prepared(chunks, task, None, limits), client, seek_start=folder.read_start() is None)
    watcher = watching(observer)
    return drive(
        folder,
        chunks,
        task,
        lambda heeding: passes_over(chunks, client, heeding, task),
        limits,
        budget={**_means(client), "requests": before["requests"]},
        observer=watcher,
        lift_cancel=attempts is None,
        attempts=attempts,
    ).knowing(RowsOfRun(folder, catalog))


def _budget_before(run: RunFolder, tolerance: float | None, max_passes: int | None) -> dict[str, Any]:
    """Look up the budgets of before unless all are given: then a damaged record of them does not matter."""
    if tolerance is None or max_passes is None:
        return run.next_budget()
    return {"requests": run.requests.count()}


def _require_same_rows(run: RunFolder, catalog: Catalog) -> None:
    """Refuse to go on with a run on other rows than those that it began on."""
    began = run.data["fingerprint"]
    if catalog.fingerprint == began:
        return
    if began in catalog.fingerprints:
        grown = catalog.n_rows - int(run.data["rows"])
        message = (
            f"{catalog.path} grew since the run began: {grown} rows were appended (its fingerprint is "
            f"{catalog.fingerprint[:16]}, was {began[:16]}). A run keeps to its rows. Fit all rows in a new run that "
            f"starts from this one: dgmmis fit {catalog.path} -K {run.config['n_components']} --run NEW --initial "
            f"{run.path}, with the other options of the first fit (in Python: initial={str(run.path)!r}); if this run "
            "has no finished pass yet, without --initial."
        )
    else:
        message = (
            f"{catalog.path} has fingerprint {catalog.fingerprint[:16]}, the run began on {began[:16]}. Name the "
            "original with --catalog, or start a new run."
        )
    raise InvalidData(message, array=str(catalog.path), value=catalog.fingerprint)


def _means(client: Client | None) -> dict[str, int]:
    """Describe what an attempt computes with, for its record."""
    if client is None:
        return {"workers": 0, "threads": processors()}
    workers = known_workers(client).values()
    return {"workers": len(workers), "threads": sum(worker["nthreads"] for worker in workers)}


def fit_restarts(
    values: ArrayLike | Catalog | str | Location,
    *,
    n_components: int,
    n_starts: int = 30,
    tolerance: float = TOLERANCE,
    max_passes: int = MAX_PASSES,
    seed: int = 0,
    client: Client | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> Restarts:
    """Fit from many starts and keep every distinct optimum.

    Parameters
    ----------
    values : (N, D) array, or catalogue
    n_components : int
        K.
    n_starts : int
        Seedings of the random sample, each fitted to convergence.
    tolerance, max_passes, seed, client, observer
        As of `fit`.
    **settings
        The observation model, as `fit` takes it: noise, weights, selection, background, prior, ...

    Returns
    -------
    Restarts
        `best`, and `stack()`: the average of the optima, each weighted by its likelihood.

    Raises
    ------
    DgmmisError
        As of `fit`; if no start survived, the error of the first.
    """
    require_known(settings, "fit_restarts")
    if not isinstance(n_starts, Integral) or isinstance(n_starts, bool) or not 1 <= n_starts <= MOST_STARTS:
        raise InvalidSetting(f"n_starts is {n_starts!r}; expected a whole number from 1 to {MOST_STARTS}.")
    if settings.get("initial") is not None or settings.get("frozen"):
        raise InvalidSetting(
            "fit_restarts seeds its starts itself: initial and frozen belong to `fit`, one start at a time."
        )
    if "carried" in settings:
        raise InvalidSetting("fit_restarts fits every start to all rows: carried belongs to `fit`.")
    limits = Limits(tolerance, max_passes)
    prepared = prepare_fit(values, n_components=n_components, limits=limits, seed=seed, **settings)
    require_room(prepared, client)
    rows = prepared.chunks.read_pilot(pilot_rows(n_components, prepared.chunks.latent_features))
    watcher = watching(observer)
    ready = get_ready(prepared, client, watcher)
    given = GivenRows.of(prepared, values, {**settings, "seed": seed})
    results: list[FitResult] = []
    failures: list[DgmmisError] = []
    for start in short_fits(rows, prepared.task, n_starts):
        try:
            if isinstance(start, DgmmisError):
                raise start
            begun = replace(prepared, initial=start.population)
            results.append(fit_from(begun, ready, watcher).knowing(given))
        except GOES_ON as error:
            failures.append(error)
    if not results:
        raise failures[0]
    return distinct(results)
