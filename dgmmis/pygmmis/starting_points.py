"""pyGMMis' ways to set the components that a fit starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from dgmmis.packed import Array
from dgmmis.pygmmis.gmm import GMM
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.samples import as_values
from dgmmis.seeding import seeded_mixture

__all__ = ["initFromDataAtRandom", "initFromDataMinMax", "initFromKMeans"]


def initFromDataMinMax(
    gmm: GMM,
    data: ArrayLike,
    covar: ArrayLike | None = None,
    s: float | None = None,
    k: Any = None,
    rng: Any = np.random,
) -> None:
    """Set means anywhere in the box that the data span, amplitudes 1/K, covariances s^2 I.

    Parameters
    ----------
    gmm : GMM
        Changed in place.
    data : (N, D)
        NaN means not observed.
    covar
        Not used; taken as pyGMMis takes it.
    s : float, optional
        Dispersion; by default K balls of this radius have the volume of the box.
    k : index, list, mask or slice, optional
        Components to set; default all.
    rng
        Any kind that `as_generator` takes.
    """
    values, which = as_values(data), _components(gmm, k)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    means = low + (high - low) * as_generator(rng).random((len(which), gmm.D))
    _set_balls(gmm, which, means, _radius(values, gmm.K) if s is None else s)


def initFromDataAtRandom(
    gmm: GMM,
    data: ArrayLike,
    covar: ArrayLike | None = None,
    s: float | None = None,
    k: Any = None,
    rng: Any = np.random,
) -> None:
    """Set means at random rows plus Gaussian offsets of dispersion s, amplitudes 1/K, covariances s^2 I.

    A feature that the row lacks is taken from another random row.  Parameters as in `initFromDataMinMax`.
    """
    values, which, generator = as_values(data), _components(gmm, k), as_generator(rng)
    radius = _radius(values, gmm.K) if s is None else s
    means = values[generator.integers(len(values), size=len(which))]
    for feature, column in enumerate(values.T):
        missing = np.isnan(means[:, feature])
        if missing.any():
            means[missing, feature] = generator.choice(column[~np.isnan(column)], size=int(missing.sum()))
    means += radius * generator.standard_normal(means.shape)
    _set_balls(gmm, which, means, radius)


def initFromKMeans(gmm: GMM, data: ArrayLike, covar: ArrayLike | None = None, rng: Any = np.random) -> None:
    """Set the components to clusters found by k-means++ and ten Lloyd rounds, the same ones for the same rng.

    Distances are taken over observed features scaled to unit variance; each covariance is its cluster's, shrunk to
    that of all rows with D + 2 pseudo-counts.  Parameters as in `initFromDataMinMax`.
    """
    found = seeded_mixture(as_values(data), gmm.K, as_generator(rng))
    gmm.amp[:], gmm.mean[:], gmm.covar[:] = found.amplitudes, found.means, found.covariances


def _components(gmm: GMM, k: Any) -> Array:
    """Numbers of the components that `k` means."""
    return np.atleast_1d(np.arange(gmm.K)[slice(None) if k is None else k])


def _radius(values: Array, n_components: int) -> float:
    """Radius at which K balls have the volume of the box that the values span."""
    sides = np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
    n_features = len(sides)
    with np.errstate(divide="ignore"):
        log_volume = np.log(sides).sum() - np.log(n_components)
    return float(np.exp((log_volume + gammaln(n_features / 2 + 1)) / n_features) / np.sqrt(np.pi))


def _set_balls(gmm: GMM, which: Array, means: Array, radius: float) -> None:
    gmm.amp[which] = 1 / gmm.K
    gmm.mean[which] = means
    gmm.covar[which] = radius**2 * np.eye(gmm.D)
