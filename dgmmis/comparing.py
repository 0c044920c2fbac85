"""`dgmmis.compare`: several models of the same rows, fitted and scored in shared passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from dgmmis.comparison import Comparison
from dgmmis.comparison_driver import ComparisonDriver
from dgmmis.contest import SilentWatcher, Watcher
from dgmmis.errors import InvalidSetting
from dgmmis.fit_settings import MAX_PASSES, TOLERANCE
from dgmmis.folds import Folds
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.planning import require_room
from dgmmis.preparation import Prepared, prepare_fit, require_known
from dgmmis.prior import Prior
from dgmmis.restarts import MOST_STARTS
from dgmmis.runs.comparison_folder import ComparisonFolder, open_comparison
from dgmmis.runs.numerics import numerics_fingerprint
from dgmmis.runs.task_record import describe_task
from dgmmis.store import Catalog

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compare", "file_name"]

NOT_OURS = ("initial", "frozen", "n_components", "covariance_type", "run", "split_merge")
"""Settings of `fit` that make no sense for several models."""


def compare(
    values: ArrayLike | Catalog | str | Location,
    *,
    n_components: Sequence[int] = (4, 8, 16),
    covariance_types: Sequence[str] = ("full",),
    folds: int = 5,
    restarts: int = 8,
    tolerance: float = TOLERANCE,
    max_passes: int = MAX_PASSES,
    seed: int = 0,
    client: Client | None = None,
    output: str | Location | None = None,
    observer: Watcher | None = None,
    **settings: Any,
) -> Comparison:
    """Fit several mixtures to the same rows and compare them.

    Every pass reads each chunk once for all models, restarts and folds.  Starts are looked for on a random sample.
    Each model is fitted to all rows, and, from the optimum found there, to the rows without each fold.

    Parameters
    ----------
    values : (N, D) array, or catalogue
    n_components : sequence of int
        The numbers of components to compare.
    covariance_types : sequence of str
        Each is combined with each number.
    folds : int
        Of the cross-validation; 0 for none.  A row's fold follows from a hash of its id (of an array: its number).
    restarts : int
        Starts of each model.
    tolerance, max_passes
        Of each single fit, as of `fit`.
    seed : int
        Of starts and folds.
    client : distributed.Client, optional
        Map the passes over its workers.  The result has the same bits as without.
    output : path, optional
        Folder that keeps every pass of every fit of a catalogue: the same call goes on from any death, and one with
        more models, or a larger budget, computes only what is new.
    observer : Watcher, optional
        Told of stages and passes.
    **settings
        The observation model, as `fit` takes it: noise, weights, selection, background, prior, floor, ...

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError, MemoryPlanExceeded, ClusterLost
        As of `fit`.
    RunConflict, RunLocked
        If the output folder holds another comparison, or another process drives it.
    DgmmisError
        If no model could be fitted, what ended the first.
    """
    require_known(settings, "compare")
    _check(n_components, covariance_types, folds, restarts, settings)
    limits, watcher = Limits(tolerance, max_passes), SilentWatcher() if observer is None else observer
    if not isinstance(watcher, Watcher):
        raise InvalidSetting(
            f"observer is {observer!r}; expected an object with the methods of dgmmis.contest.SilentWatcher."
        )
    grid = _grid(values, n_components, covariance_types, limits, seed, settings)
    for prepared in grid.values():
        if folds > prepared.chunks.n_rows:
            raise InvalidSetting(
                f"folds is {folds!r}; expected at most one for each of the {prepared.chunks.n_rows} rows."
            )
        require_room(prepared, client)
    division = Folds(int(folds), int(seed)) if folds else None
    with _kept(output, grid, settings, folds, restarts) as folder:
        return ComparisonDriver(grid, division, limits, int(restarts), client, folder, watcher).drive()


def file_name(n_components: int, covariance_type: str) -> str:
    """Name a model's files."""
    return f"K{n_components}-{covariance_type}"


def _check(
    n_components: Sequence[int],
    covariance_types: Sequence[str],
    folds: int,
    restarts: int,
    settings: Mapping[str, Any],
) -> None:
    for name in NOT_OURS:
        if settings.get(name) is not None and not (name == "split_merge" and settings[name] == 0):
            raise InvalidSetting(
                f"{name} belongs to `fit`, one model at a time; compare takes n_components=(...), "
                "covariance_types=(...), and looks for its starts itself."
            )
    if not _is_whole(folds) or folds < 0 or folds == 1:
        raise InvalidSetting(f"folds is {folds!r}; expected 0 (no cross-validation) or at least 2.")
    if not _is_whole(restarts) or not 1 <= restarts <= MOST_STARTS:
        raise InvalidSetting(f"restarts is {restarts!r}; expected a whole number from 1 to {MOST_STARTS}.")
    for name, many in (("n_components", n_components), ("covariance_types", covariance_types)):
        if isinstance(many, str) or not isinstance(many, Sequence) or not len(many):
            raise InvalidSetting(
                f"{name} is {many!r}; expected several, for instance (4, 8, 16) or ('full',)."
            )
        if any(one in many[:i] for i, one in enumerate(many)):
            raise InvalidSetting(
                f"{name} is {tuple(many)!r}; each may be named once. Leave out what is repeated."
            )


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _grid(
    values: Any,
    n_components: Sequence[int],
    covariance_types: Sequence[str],
    limits: Limits,
    seed: int,
    settings: Mapping[str, Any],
) -> dict[str, Prepared]:
    """Prepare every model; an array is checked and cut once."""
    grid: dict[str, Prepared] = {}
    for kind in covariance_types:
        for number in n_components:
            rows = next(iter(grid.values())).chunks if grid else values
            prepared = prepare_fit(
                rows, n_components=number, covariance_type=kind, limits=limits, seed=seed, **settings
            )
            name = file_name(number, prepared.task.constraints.covariance_type)
            if name in grid:
                raise InvalidSetting(f"covariance_types names {kind!r} twice.")
            grid[name] = prepared
    return grid


@contextmanager
def _kept(
    output: str | Location | None,
    grid: Mapping[str, Prepared],
    settings: Mapping[str, Any],
    folds: int,
    restarts: int,
) -> Iterator[ComparisonFolder | None]:
    """Hold the folder that keeps what is computed, or nothing."""
    if output is None:
        yield None
        return
    prepared = next(iter(grid.values()))
    catalog = prepared.chunks
    if not isinstance(catalog, Catalog):
        raise InvalidSetting(
            "a folder keeps the comparison of a catalogue: ingest the array first (dgmmis.ingest)."
        )
    task = describe_task(prepared.task)
    prior = settings.get("prior", "auto")
    config = {
        **{
            name: said
            for name, said in task.items()
            if name not in ("n_components", "frozen", "covariance_type")
        },
        "prior": prior.describe() if isinstance(prior, Prior) else prior,
        "folds": int(folds),
        "restarts": int(restarts),
        "method": settings.get("method", "auto"),
    }
    data = {"path": str(catalog.path.resolve()), "fingerprint": catalog.fingerprint, "rows": catalog.n_rows}
    folder = open_comparison(output, config, data, numerics_fingerprint(), prepared.task.backgrounds)
    with folder.driven():
        yield folder
