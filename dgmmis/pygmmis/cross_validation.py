"""pyGMMis' cross-validation and stacking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidSetting
from dgmmis.held_out import held_out_log_density
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.projection import as_projection
from dgmmis.pygmmis.fitting import fit
from dgmmis.pygmmis.gmm import GMM, as_noise, as_population, copied
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.pygmmis.request import parent_noise
from dgmmis.pygmmis.shared_fits import fit_without_each_part, rows_of
from dgmmis.rows import Rows
from dgmmis.samples import as_values, default_names
from dgmmis.selecting import Selecting
from dgmmis.stacking import stack_scores
from dgmmis.task_settings import build_selecting

__all__ = ["cv_fit", "stack", "stack_fit"]


def cv_fit(gmm: GMM, data: ArrayLike, L: int = 10, **kwargs: Any) -> Array:
    """Predict every row by a fit to the other parts of the data.

    Row i is in part i modulo L.  Every fit starts from the same components and the same random numbers; `gmm` and
    the background stay as they are.  The fits share their passes over the rows, unless they split and merge.

    Parameters
    ----------
    gmm : GMM
    data : (N, D)
    L : int
        Parts.
    **kwargs
        Of `fit`.

    Returns
    -------
    (N,)
        ln p of each row under the fit without it [nats], the background included; under a selection
        ln p(x_i) + ln Omega(x_i) - ln Z(S_i).
    """
    values = as_values(data)
    if not 2 <= L <= len(values):
        raise InvalidSetting(f"L is {L!r}; expected a number of parts from 2 to the {len(values)} rows.")
    key = int(as_generator(kwargs.pop("rng", np.random)).integers(2**63))
    part, settings = np.arange(len(values)) % L, dict(kwargs)
    fitted = _fitted_apart if settings.get("split_n_merge") else _fitted_together
    scores = np.empty(len(values))
    for number, population in enumerate(fitted(gmm, values, L, key, settings)):
        rows, selecting = _observed(values[part == number], rows_of(settings, part == number))
        scores[part == number] = held_out_log_density(population, rows, selecting)
    return scores


def _fitted_together(
    gmm: GMM, values: Array, n_parts: int, key: int, settings: dict[str, Any]
) -> list[Population]:
    """Fit to the rows without each part, all fits sharing the passes."""
    settings.pop("split_n_merge", None)
    settings.pop("cutoff", None)  # of the neighbourhoods that `fit` returns
    _require_known(settings)
    return fit_without_each_part(gmm, values, n_parts, key, settings)


def _fitted_apart(
    gmm: GMM, values: Array, n_parts: int, key: int, settings: dict[str, Any]
) -> Iterator[Population]:
    """Fit to the rows without each part, one after the other: each splits and merges components of its own."""
    part = np.arange(len(values)) % n_parts
    for number in range(n_parts):
        trial, background = copied(gmm), copy(settings.get("background"))
        own = rows_of(settings | {"background": background}, part != number)
        fit(trial, values[part != number], rng=np.random.default_rng(key), **own)
        yield as_population(trial, background)


def _require_known(settings: Mapping[str, Any]) -> None:
    """Refuse what `fit` has no argument for."""
    unknown = set(settings) - set(signature(fit).parameters)
    if unknown:
        raise TypeError(f"fit() got an unexpected keyword argument {sorted(unknown)[0]!r}")


def stack(gmms: Sequence[GMM], weights: ArrayLike) -> GMM:
    """Mix mixtures: the components of all, amplitudes times the weights, divided by their sum.

    Parameters
    ----------
    gmms : sequence of M GMM
    weights : (M,)
    """
    shares = as_numbers(weights, "weights")
    if shares.shape != (len(gmms),) or not len(gmms):
        raise InvalidSetting(f"weights has shape {shares.shape} for {len(gmms)} models; expected one each.")
    stacked = GMM()
    amplitudes = np.concatenate([share * gmm.amp for share, gmm in zip(shares, gmms, strict=True)])
    stacked.amp = amplitudes / amplitudes.sum()
    stacked.mean = np.concatenate([gmm.mean for gmm in gmms])
    stacked.covar = np.concatenate([gmm.covar for gmm in gmms])
    return stacked


def stack_fit(
    gmms: Sequence[GMM],
    data: ArrayLike,
    kwargs: Sequence[Mapping[str, Any]],
    L: int = 10,
    tol: float = 1e-5,
    rng: Any = np.random,
) -> GMM:
    """Fit several mixtures, and stack them with the weights that predict left-out rows best.

    Parameters
    ----------
    gmms : sequence of M GMM
        Fitted in place to all rows.
    data : (N, D)
    kwargs : sequence of M dict
        Arguments of `fit` for each.
    L : int
        Parts of the cross-validation.
    tol : float
        Stop when no weights can add more than this to the mean log-likelihood of the left-out rows.
    rng
        For those that bring none of their own.
    """
    if len(gmms) != len(kwargs) or not len(gmms):
        raise InvalidSetting(
            f"{len(gmms)} models were given with {len(kwargs)} sets of arguments; expected one each."
        )
    generator = as_generator(rng)
    scores = []
    for gmm, given in zip(gmms, kwargs, strict=True):
        settings = {"rng": generator} | dict(given)
        scores.append(cv_fit(gmm, data, L=L, **settings))
        fit(gmm, data, **settings)
    return stack(gmms, stack_scores(np.array(scores), gap=tol).weights)


def _observed(values: Array, settings: Mapping[str, Any]) -> tuple[Rows, Selecting | None]:
    """Rows, and how they were selected, as `fit` would take them."""
    noise, projection = as_noise(settings.get("covar")), as_projection(settings.get("R"), *values.shape)
    rows = Rows(values, noise, None, projection)
    if settings.get("sel_callback") is None:
        return rows, None
    selecting = build_selecting(
        settings["sel_callback"],
        default_names(values.shape[1]),
        before_noise=False,
        noise_model=parent_noise(values, noise, settings.get("covar_callback")),
        projection=projection,
        oversampling=None,
        seed=0,
    )
    return rows, selecting
