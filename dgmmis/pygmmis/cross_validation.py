"""pyGMMis' cross-validation and stacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.errors import InvalidSetting
from dgmmis.held_out import held_out_log_density
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.projection import as_projection
from dgmmis.pygmmis.fitting import fit
from dgmmis.pygmmis.gmm import GMM, as_noise, as_population, copied
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.pygmmis.request import parent_noise
from dgmmis.rows import Rows
from dgmmis.samples import as_values, default_names
from dgmmis.selecting import Selecting
from dgmmis.stacking import stack_scores
from dgmmis.task_settings import build_selecting

__all__ = ["cv_fit", "stack", "stack_fit"]


def cv_fit(gmm: GMM, data: ArrayLike, L: int = 10, **kwargs: Any) -> Array:
    """Predict every row by a fit to the other parts of the data.

    Row i is in part i modulo L.  Every fit starts from the same components and the same random numbers; `gmm` and
    the background stay as they are.

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
    part = np.arange(len(values)) % L
    scores = np.empty(len(values))
    for number in range(L):
        held = part == number
        trial, background = copied(gmm), copy(kwargs.get("background"))
        settings = kwargs | {"background": background}
        fit(trial, values[~held], rng=np.random.default_rng(key), **_rows_of(settings, ~held))
        rows, selecting = _observed(values[held], _rows_of(settings, held))
        scores[held] = held_out_log_density(as_population(trial, background), rows, selecting)
    return scores


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


def _rows_of(settings: Mapping[str, Any], which: Array) -> dict[str, Any]:
    """Arguments of `fit` for some of the rows."""
    own = dict(settings)
    for name in ("covar", "R"):
        if own.get(name) is not None and np.ndim(own[name]) == 3:
            own[name] = np.asarray(own[name])[which]
    return own


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
