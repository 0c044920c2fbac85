"""What a caller of pyGMMis' `fit` asks for, in this package's terms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.frozen import Frozen
from dgmmis.latent_start import latent_values
from dgmmis.noise import Noise
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.prior import InverseWishart, Prior
from dgmmis.projection import as_projection
from dgmmis.pygmmis.gmm import GMM, as_mixture, as_noise, copied
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.pygmmis.settings import require_list
from dgmmis.pygmmis.starting_points import initFromDataAtRandom, initFromDataMinMax, initFromKMeans
from dgmmis.pygmmis.uniform_background import Background
from dgmmis.rows import Rows
from dgmmis.samples import as_values

__all__ = [
    "Request",
    "covariance_prior",
    "frozen_masks",
    "initialize",
    "parent_noise",
    "understand",
    "write_back",
]

KEYS = {"amp": "amplitudes", "mean": "means", "covar": "covariances"}
STARTS: dict[str, Callable[..., None]] = {
    "random": initFromDataAtRandom,
    "minmax": initFromDataMinMax,
    "kmeans": initFromKMeans,
}

logger = logging.getLogger("dgmmis.pygmmis")


def covariance_prior(w: float, n_rows: int, n_components: int) -> Prior | str:
    """Turn pyGMMis' minimum dispersion into the prior that leads to its update.

    V' = (A V_ml + w^2 (N/K + 1) I) / (A + 1): an inverse Wishart prior worth one row.  It is a lower bound on the
    dispersion only for components that hold N/K rows or fewer.

    Parameters
    ----------
    w : float
        In the features' units.
    n_rows : int
        N, the observed rows.
    n_components : int

    Returns
    -------
    Prior, or "auto" for w = 0
    """
    if not (np.isfinite(w) and w >= 0):
        raise InvalidSetting(f"w is {w!r}; expected a dispersion >= 0 in the features' units.")
    if w == 0:
        return "auto"
    return Prior(covariances=InverseWishart(w**2 * (n_rows / n_components + 1), pseudo_rows=1.0))


def frozen_masks(frozen: Iterable[int] | Mapping[str, ArrayLike] | None, n_components: int) -> Frozen:
    """Read `frozen`: a list freezes means and covariances, a dict each parameter by itself.

    Raises
    ------
    InvalidSetting
        For another key or index.
    """
    if frozen is None:
        return Frozen.of(None, n_components)
    require_list(frozen)
    if not isinstance(frozen, Mapping):
        which = list(frozen)
        return Frozen.of({"means": which, "covariances": which}, n_components)
    unknown = set(frozen) - set(KEYS)
    if unknown:
        raise InvalidSetting(f"frozen has keys {sorted(unknown)}; allowed are {', '.join(KEYS)}.")
    return Frozen.of({KEYS[key]: which for key, which in frozen.items()}, n_components)


def parent_noise(
    values: Array, covar: Noise, covar_callback: Callable[[Array], Any] | None
) -> ArrayLike | Callable[[Array], Array] | None:
    """Tell what a covariance callback says that the rows themselves do not.

    The likelihood is conditional on the noise of each row, so a callback is needed for none: it is asked only if all
    rows share one covariance, and kept only if its answers differ from that.
    """
    if covar_callback is None:
        return None
    if covar.kind == "none":
        logger.warning(
            "covar_callback is not used: data without covar are exact. Give covar if the data are noisy."
        )
        return None
    if covar.kind == "full" or covar.array is None:
        return None
    answer = _asked(covar_callback, values)
    if np.array_equal(np.broadcast_to(covar.array, answer.shape), answer):
        return None
    if answer.ndim == 2:
        return answer

    def noise_at(positions: Array) -> Array:
        found = _asked(covar_callback, positions)
        return np.broadcast_to(found, (len(positions), *found.shape[-2:]))

    return noise_at


def _asked(covar_callback: Callable[[Array], Any], positions: Array) -> Array:
    """Covariances (n, D, D) or (D, D) that a callback answers at positions (n, D)."""
    n, d = positions.shape
    try:
        given = covar_callback(positions)
    except Exception as error:
        raise InvalidData(
            f"covar_callback raised {error!r} for positions of shape {positions.shape}. It must return covariances "
            f"({n}, {d}, {d}) or ({d}, {d}).",
            array="covar_callback",
        ) from error
    answer = as_numbers(given, "what covar_callback answered")
    if answer.shape not in ((n, d, d), (d, d)):
        raise InvalidData(
            f"covar_callback answered shape {answer.shape} for positions of shape {positions.shape}; expected "
            f"({n}, {d}, {d}) or ({d}, {d}).",
            array="covar_callback",
        )
    return answer


def initialize(gmm: GMM, rows: Rows, method: str, frozen: Frozen, rng: np.random.Generator) -> None:
    """Set the components to start from; frozen parameters that were set before stay.

    Parameters
    ----------
    gmm : GMM
        Changed in place.
    rows : Rows
    method : {"random", "minmax", "kmeans", "none"}
    frozen : Frozen
    rng : numpy.random.Generator

    Raises
    ------
    InvalidSetting
        If there is no such method.
    InvalidData
        If the rows have other features than the mixture.
    """
    name = str(method).lower()
    if name not in (*STARTS, "none"):
        raise InvalidSetting(f"init_method is {method!r}; expected one of {', '.join(STARTS)} or none.")
    if rows.latent_features != gmm.D:
        raise InvalidData(
            f"the data have {rows.latent_features} features, or lead to as many; the GMM has {gmm.D}.",
            array="data",
        )
    if name == "none":
        return
    before = copied(gmm)
    values = rows.values if rows.projection is None else latent_values(rows)
    STARTS[name](gmm, values, rng=rng)
    _restore(gmm, before, frozen)


def _restore(gmm: GMM, before: GMM, frozen: Frozen) -> None:
    """Put frozen parameters back that were known before the start was made."""
    means = frozen.means & np.isfinite(before.mean).all(axis=1)
    covariances = frozen.covariances & np.isfinite(before.covar).all(axis=(1, 2))
    gmm.mean[means], gmm.covar[covariances] = before.mean[means], before.covar[covariances]
    known: NDArray[np.bool_] = frozen.amplitudes & (before.amp > 0)
    left = 1 - float(before.amp[known].sum())
    if not known.any() or not (left > 0 or known.all()):
        return
    gmm.amp[~known] *= left / gmm.amp[~known].sum() if not known.all() else 1.0
    gmm.amp[known] = before.amp[known]


@dataclass(frozen=True)
class Request:
    """A fit that was asked for, in this package's terms.

    Attributes
    ----------
    rows : Rows
    start : Population
        The components and background to start from.
    settings : dict
        Arguments of `dgmmis.fit` beside the rows' values and the start.
    frozen : Frozen
    """

    rows: Rows
    start: Population
    settings: Mapping[str, Any]
    frozen: Frozen


def understand(
    gmm: GMM,
    data: ArrayLike,
    covar: ArrayLike | None,
    R: ArrayLike | None,
    init_method: str,
    w: float,
    sel_callback: Callable[[Array], Any] | None,
    oversampling: float | None,
    covar_callback: Callable[[Array], Any] | None,
    background: Background | None,
    frozen: Iterable[int] | Mapping[str, ArrayLike] | None,
    rng: Any,
) -> Request:
    """Read the arguments of `fit`, and set the components of `gmm` to start from."""
    values, noise, generator = as_values(data), as_noise(covar), as_generator(rng)
    rows = Rows(values, noise, None, as_projection(R, *values.shape))
    masks = frozen_masks(frozen, gmm.K)
    initialize(gmm, rows, init_method, masks, generator)
    selected = (
        {}
        if sel_callback is None
        else {
            "selection": sel_callback,
            "noise_model": parent_noise(values, noise, covar_callback),
            "oversampling": oversampling,
        }
    )
    settings = {
        "n_components": gmm.K,
        "noise": noise,
        "projection": R,
        "background": None if background is None else background.adjustable(),
        "prior": covariance_prior(w, len(values), gmm.K),
        "frozen": masks.as_indices(),
        "seed": int(generator.integers(2**32)),
        **selected,
    }
    start = Population(as_mixture(gmm), () if background is None else (background.adjustable(),))
    return Request(rows, start, settings, masks)


def write_back(population: Population, gmm: GMM, background: Background | None) -> None:
    """Bring a fitted population home into a caller's objects."""
    gmm.amp[:], gmm.mean[:] = population.amplitudes, population.mixture.means
    gmm.covar[:] = population.mixture.covariances
    if background is not None and population.backgrounds:
        background.amp = population.backgrounds[0].amplitude
