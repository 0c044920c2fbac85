"""pyGMMis' draw of rows as they are observed."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from dgmmis.drawn_rows import Drawn
from dgmmis.errors import InvalidSetting, SelectionError
from dgmmis.noise import NoiseLike
from dgmmis.observing import NoiseAt, ObservedPopulation, draw_complete
from dgmmis.packed import Array
from dgmmis.pygmmis.gmm import GMM, as_population
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.pygmmis.uniform_background import Background
from dgmmis.samples import default_names
from dgmmis.selection import as_selection

__all__ = ["covar_callback_default", "draw"]

CONFIDENCE = 0.68
"""Of the Poisson interval in which the number of rows must lie."""

ROUNDS = 100
MOST_ROWS = 10_000_000
ROWS_EACH = 1_000
"""Rows that are drawn before giving up: MOST_ROWS, and ROWS_EACH for each one that is wanted."""


def covar_callback_default(coords: ArrayLike, default: ArrayLike | None = None) -> Array:
    """Answer with the same noise covariance wherever it is asked for.

    Parameters
    ----------
    coords : (N, D)
    default : (D, D)
        The answer.

    Raises
    ------
    InvalidSetting
        If `default` is no (D, D).
    """
    n_features, answer = np.asarray(coords).shape[1], np.asarray(default)
    if answer.shape != (n_features, n_features):
        raise InvalidSetting(
            f"the default covariance has shape {answer.shape}; expected ({n_features}, {n_features})."
        )
    return answer


def draw(
    gmm: GMM,
    obs_size: int,
    sel_callback: Callable[[Array], Any] | None = None,
    invert_sel: bool = False,
    orig_size: int | None = None,
    covar_callback: Callable[[Array], Any] | None = None,
    background: Background | None = None,
    rng: Any = np.random,
) -> tuple[Array, Array | None, int]:
    """Draw rows from a mixture and its background, add noise, and select.

    Complete samples are drawn until about `obs_size` rows of one are selected: a number within the 68 per cent
    interval of a Poisson variate.  Without `sel_callback` all rows of one complete sample are returned.

    Parameters
    ----------
    gmm : GMM
    obs_size : int
        Rows that were, or would be, observed.
    sel_callback : callable (N, D) -> (N,), optional
        Chance that a row with these noisy values is observed.
    invert_sel : bool
        Return the rows of the same complete sample that are not observed.
    orig_size : int, optional
        Estimate of the complete sample's size; default `obs_size`.
    covar_callback : callable (N, D) -> (N, D, D) or (D, D), optional
        Noise covariance at noise-free positions; default none.
    background : Background, optional
    rng
        Any kind that `as_generator` takes.

    Returns
    -------
    sample : (n, D)
    covar_sample : (n, D, D), (D, D) or None
        Noise of the rows, None without `covar_callback`.
    N_orig : int
        Size of the complete sample.

    Raises
    ------
    SelectionError
        If the selection keeps too few rows of this model.
    InvalidSetting
        If there is nothing to invert.
    """
    if invert_sel and sel_callback is None:
        raise InvalidSetting("invert_sel asks for the rows that a selection drops: give sel_callback.")
    wanted = int(obs_size if orig_size is None else orig_size)
    chance = None if sel_callback is None else as_selection(sel_callback).bind(default_names(gmm.D)).evaluate
    observed = ObservedPopulation(as_population(gmm, background), chance)
    kept, dropped = _complete(observed, int(obs_size), wanted, covar_callback, as_generator(rng))
    chosen = dropped if invert_sel else kept
    return chosen.values, _covariances(chosen), kept.n_trials


def _complete(
    observed: ObservedPopulation,
    obs_size: int,
    orig_size: int,
    noise: NoiseLike | NoiseAt,
    rng: np.random.Generator,
) -> tuple[Drawn, Drawn]:
    """Draw complete samples until one has about `obs_size` observed rows."""
    if observed.selection is None or obs_size == 0:
        size = orig_size if observed.selection is None else 0
        return draw_complete(observed, size, rng, noise=noise)
    lower = chi2.ppf((1 - CONFIDENCE) / 2, 2 * obs_size) / 2
    upper = chi2.ppf((1 + CONFIDENCE) / 2, 2 * obs_size + 2) / 2
    limit, tried, seen = MOST_ROWS + ROWS_EACH * obs_size, 0, 0
    size = max(orig_size, 1)
    for _ in range(ROUNDS):
        if size > limit:
            break
        kept, dropped = draw_complete(observed, size, rng, noise=noise)
        if lower <= len(kept.values) <= upper:
            return kept, dropped
        tried, seen = tried + size, seen + len(kept.values)
        size = ceil(obs_size * tried / seen) if seen else 10 * size
    raise SelectionError(
        f"of {tried:,} rows drawn the selection kept {seen:,}: no complete sample of at most {limit:,} rows had about "
        f"{obs_size:,} observed ones. Check the selection's features and units, or ask for fewer rows.",
        array="selection",
        value=seen,
    )


def _covariances(drawn: Drawn) -> Array | None:
    if drawn.noise.kind == "none":
        return None
    if drawn.noise.kind == "shared":
        return drawn.noise.array
    return drawn.noise.covariances(*drawn.values.shape)
