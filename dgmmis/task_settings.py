"""The observation model as a user states it, checked and put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.background import as_backgrounds
from dgmmis.constraints import Constraints
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.prior import Prior
from dgmmis.selecting import Selecting
from dgmmis.selection import as_selection
from dgmmis.task import N_STARTS, Task

__all__ = ["build_selecting", "build_task", "initial_population"]

LARGEST_SHARE = 1e-3
"""Above this, what is left out would shift parameters by more than their errors in large catalogues."""

NoiseModel = ArrayLike | Callable[[Array], Array] | None


def build_task(
    n_components: int,
    n_features: int,
    *,
    frozen: Mapping[str, ArrayLike] | None,
    covariance_type: str,
    floor: ArrayLike | None,
    prior: Prior | str | None,
    background: object,
    selecting: Selecting | None,
    seed: int,
    pruning: float,
    split_merge: int = 0,
    method: str = "auto",
    carried: int = 1,
) -> Task:
    """Check the parts of an observation model; D are the mixture's features.

    Raises
    ------
    InvalidSetting
        Naming the setting, its value, and what it may be.
    """
    if not (prior is None or isinstance(prior, Prior) or (isinstance(prior, str) and prior == "auto")):
        raise InvalidSetting(f"prior is {prior!r}; expected 'auto', None or a Prior.")
    constraints = Constraints.of(
        n_components,
        n_features,
        frozen=frozen,
        covariance_type=covariance_type,
        floor=floor,
        prior=prior if isinstance(prior, Prior) else None,
    )
    backgrounds = as_backgrounds(background, n_features)
    _require_share(pruning)
    _require_rounds(split_merge)
    _require_carried(carried)
    return Task(
        int(n_components),
        constraints,
        backgrounds,
        selecting,
        int(seed),
        float(pruning),
        int(split_merge),
        method,
        int(carried),
    )


def _require_share(pruning: object) -> None:
    """Refuse a pruning that is no small share."""
    if not isinstance(pruning, float | int) or isinstance(pruning, bool) or not 0 <= pruning <= LARGEST_SHARE:
        raise InvalidSetting(
            f"pruning is {pruning!r}; expected the share of a row's density that components left out may hold, from 0 "
            f"(none is left out) to {LARGEST_SHARE:g}."
        )


def _require_carried(carried: object) -> None:
    """Refuse a number of optima that cannot be carried to all rows."""
    if not isinstance(carried, int | np.integer) or isinstance(carried, bool) or not 1 <= carried <= N_STARTS:
        raise InvalidSetting(
            f"carried is {carried!r}; expected how many distinct optima of the random sample are compared on all rows, "
            f"from 1 to {N_STARTS}."
        )


def _require_rounds(split_merge: object) -> None:
    if not isinstance(split_merge, Integral) or isinstance(split_merge, bool) or split_merge < 0:
        raise InvalidSetting(
            f"split_merge is {split_merge!r}; expected a whole number of rounds, 0 for none."
        )


def build_selecting(
    selection: object,
    names: Sequence[str],
    *,
    covariate_names: Sequence[str] = (),
    before_noise: bool,
    noise_model: NoiseModel,
    projection: Array | None,
    oversampling: float | None,
    seed: int,
) -> Selecting | None:
    """Bind a selection to the columns of the rows.

    Raises
    ------
    InvalidSetting, SelectionError
    """
    if selection is None:
        _require_unset(
            before_noise=before_noise,
            noise_model=noise_model,
            oversampling=oversampling,
            covariates=tuple(covariate_names) or None,
        )
        return None
    if projection is not None and (projection.ndim == 3 or before_noise):
        raise InvalidSetting(
            "a selection of projected rows needs one projection (d, D) that all rows share, and acts on the noisy "
            "projected values: with a projection row by row each row would have a completeness of its own."
        )
    if oversampling is not None and not (isinstance(oversampling, Real) and 0 < oversampling < math.inf):
        raise InvalidSetting(f"oversampling is {oversampling!r}; expected points per observed row > 0.")
    bound = as_selection(selection).bind(tuple(names), tuple(covariate_names))
    if callable(noise_model) and len(bound.covariates):
        raise InvalidSetting(
            "a noise_model that depends on the position cannot be combined with a selection that looks at covariates: "
            "give one covariance (D, D), or leave it out."
        )
    if before_noise and noise_model is not None:
        raise InvalidSetting(
            "noise_model says with which noise the parent population was selected; with before_noise=True the "
            "selection acts on noise-free values. Leave one of the two out."
        )
    parent = noise_model if callable(noise_model) else _shared_noise(noise_model, len(names))
    each = None if oversampling is None else float(oversampling)
    return Selecting(bound, before_noise, parent, projection, int(seed), each)


def _shared_noise(noise: ArrayLike | None, n_columns: int) -> Array | None:
    if noise is None:
        return None
    try:
        shared = Noise.shared(noise)
        shared.require_rows(1, n_columns)
    except InvalidData as error:
        raise InvalidSetting(
            f"noise_model must be one covariance ({n_columns}, {n_columns}) of the parent population, or a function of "
            f"the position: {error}"
        ) from error
    return np.asarray(shared.covariances(1, n_columns)[0])


def _require_unset(**settings: object) -> None:
    for name, value in settings.items():
        if value is not None and value is not False:
            raise InvalidSetting(f"{name} says how rows were selected: give the selection too.")


def initial_population(initial: Mixture | Population | None, task: Task) -> Population | None:
    """Give a start the backgrounds of the task; of a population's own, only free amplitudes are kept.

    Raises
    ------
    InvalidSetting
        If their numbers differ, or an amplitude lies outside the limits that were asked for.
    """
    if initial is None:
        return None
    if isinstance(initial, Mixture):
        return Population(initial, task.backgrounds)
    if len(initial.backgrounds) != len(task.backgrounds):
        raise InvalidSetting(
            f"initial has {len(initial.backgrounds)} backgrounds, the fit {len(task.backgrounds)}: give the same."
        )
    backgrounds = tuple(
        asked if asked.fixed else asked.with_amplitude(began.amplitude)
        for asked, began in zip(task.backgrounds, initial.backgrounds, strict=True)
    )
    return Population(initial.mixture, backgrounds)
