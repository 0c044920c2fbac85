"""`dgmmis.fit_restarts`: many starts, each fitted to all rows."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from dgmmis.assessment import GivenRows
from dgmmis.errors import DgmmisError, InvalidSetting
from dgmmis.fit_result import FitResult
from dgmmis.fit_settings import MAX_PASSES, TOLERANCE
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.observer import Observer, watching
from dgmmis.planning import require_room
from dgmmis.preparation import prepare_fit, require_known
from dgmmis.restarts import MOST_STARTS, Restarts, distinct
from dgmmis.short_fits import GOES_ON, short_fits
from dgmmis.starts import pilot_rows
from dgmmis.store import Catalog
from dgmmis.unkept_fit import fit_from, get_ready

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["fit_restarts"]


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
