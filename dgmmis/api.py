"""`dgmmis.fit` and `dgmmis.resume`: arrays or catalogues, with or without a cluster, with or without a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from dgmmis.assessment import GivenRows
from dgmmis.cluster.roster import means_of
from dgmmis.driver import drive
from dgmmis.errors import InvalidSetting, UnsafePlace
from dgmmis.expectation import NEGLIGIBLE
from dgmmis.fit_result import FitResult
from dgmmis.fit_settings import MAX_PASSES, TOLERANCE
from dgmmis.iterate import Limits
from dgmmis.location import Location, location_of
from dgmmis.noise import NoiseLike
from dgmmis.observer import Observer, watching
from dgmmis.places import local_path
from dgmmis.planning import require_room
from dgmmis.preparation import prepare_fit
from dgmmis.prior import Prior
from dgmmis.run_preparation import prepare_run
from dgmmis.starting_model import Initial
from dgmmis.store import Catalog
from dgmmis.task_settings import NoiseModel
from dgmmis.unkept_fit import fit_from, get_ready, passes_over

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["fit"]


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
    chunks, task = prepared.catalog, prepared.task
    folder = prepare_run(place, chunks, task, initial=prepared.initial, named=runs is None)
    return drive(
        folder,
        chunks,
        task,
        lambda watcher: passes_over(chunks, client, watcher, task),
        prepared.limits,
        budget=means_of(client),
        observer=observer,
    ).knowing(rows)


def _place(run: str | Location | None, runs: str | Path | None) -> Location | None:
    """Find where a run is to be kept, if anywhere: a folder, or the root of folders."""
    if run is not None and runs is not None:
        raise InvalidSetting("run names one folder and runs the root of many: give one of the two.")
    try:
        if runs is not None:
            return local_path(runs)
        return None if run is None else location_of(run)
    except UnsafePlace as error:
        raise UnsafePlace(f"{'run' if runs is None else 'runs'}: {error}") from error
