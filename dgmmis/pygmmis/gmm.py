"""pyGMMis' mixture object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.densities import component_log_densities
from dgmmis.errors import InvalidData
from dgmmis.mixture import Mixture
from dgmmis.model_file import UNREADABLE
from dgmmis.noise import Noise
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.pygmmis.neighborhoods import squared_distances
from dgmmis.pygmmis.random_streams import as_generator
from dgmmis.pygmmis.uniform_background import Background

__all__ = ["GMM", "as_mixture", "as_noise", "as_population", "copied"]

ARRAYS = ("amp", "mean", "covar")


class GMM:
    """K Gaussian components of D features, as three arrays that may be written to.

    Parameters
    ----------
    K, D : int

    Attributes
    ----------
    amp : (K,)
        Amplitudes; after a fit with a background they sum to 1 less the background's.
    mean : (K, D)
        NaN until set.
    covar : (K, D, D)
        NaN until set.
    """

    def __init__(self, K: int = 0, D: int = 0) -> None:
        self.amp: Array = np.zeros(K)
        self.mean: Array = np.full((K, D), np.nan)
        self.covar: Array = np.full((K, D, D), np.nan)

    @property
    def K(self) -> int:
        """Number of components."""
        return self.amp.size

    @property
    def D(self) -> int:
        """Number of features."""
        return int(self.mean.shape[1])

    def save(self, filename: str | Path, **kwargs: Any) -> None:
        """Write the arrays, and any others that are given, to a .npz file."""
        np.savez(filename, allow_pickle=False, amp=self.amp, mean=self.mean, covar=self.covar, **kwargs)

    def load(self, filename: str | Path) -> None:
        """Read what `save`, or pyGMMis, wrote; other arrays in the file are left alone.

        Raises
        ------
        InvalidData
            If the file is no .npz file with amp (K,), mean (K, D) and covar (K, D, D).
        """
        try:
            with np.load(filename, allow_pickle=False) as stored:
                amp, mean, covar = (as_numbers(stored[name], name) for name in ARRAYS)
        except UNREADABLE as error:
            raise InvalidData(
                f"{filename} is no file that GMM.save wrote: {error!r}. Save the mixture again.", array="amp"
            ) from error
        if mean.ndim != 2 or amp.shape != mean.shape[:1] or covar.shape != (*mean.shape, mean.shape[1]):
            raise InvalidData(
                f"{filename} holds amp {amp.shape}, mean {mean.shape} and covar {covar.shape}; expected (K,), (K, D) "
                "and (K, D, D).",
                array="covar",
            )
        self.amp, self.mean, self.covar = amp.copy(), mean.copy(), covar.copy()

    @staticmethod
    def from_file(filename: str | Path) -> GMM:
        """Make a mixture of a file; see `load`."""
        gmm = GMM()
        gmm.load(filename)
        return gmm

    def draw(self, size: int = 1, rng: Any = np.random) -> Array:
        """Draw noise-free rows (size, D); the amplitudes are taken relative to their sum."""
        return as_mixture(self).draw(size, as_generator(rng))

    def __call__(self, coords: ArrayLike, covar: ArrayLike | None = None, as_log: bool = False) -> Array:
        """Evaluate sum_k amp_k N(x | mean_k, covar_k + covar), or its logarithm; see `logL`."""
        log_density = self.logL(coords, covar)
        return log_density if as_log else np.exp(log_density)

    def logL(self, coords: ArrayLike, covar: ArrayLike | None = None) -> Array:
        """Evaluate ln sum_k amp_k N(x | mean_k, covar_k + covar) [nats].

        Parameters
        ----------
        coords : (N, D) or (D,)
            NaN means not observed: marginalised exactly.
        covar : (D, D) or (N, D, D), optional
            Noise covariance of the coordinates.

        Returns
        -------
        (N,), or (1,)
            With the amplitudes as they are: after a fit with a background, its share is not in it.
        """
        mixture = as_mixture(self)
        values = np.atleast_2d(as_numbers(coords, "coords"))
        log_density = mixture.log_density(values, as_noise(covar))
        return np.asarray(log_density + np.log(self.amp.sum()))

    def logL_k(
        self, k: int, coords: ArrayLike, covar: ArrayLike | None = None, chi2_only: bool = False
    ) -> Array:
        """Evaluate ln amp_k N(x | mean_k, covar_k + covar) of one component; parameters as in `logL`.

        Parameters
        ----------
        k : int
        coords, covar
        chi2_only : bool
            Only (x - mean_k)^T (covar_k + covar)^-1 (x - mean_k), over the observed features.

        Returns
        -------
        (N,), or (1,)
        """
        one = Mixture(np.ones(1), self.mean[k][None], self.covar[k][None])
        samples = one.samples(np.atleast_2d(as_numbers(coords, "coords")), as_noise(covar))
        if chi2_only:
            return squared_distances(one.means[0], one.covariances[0], samples)
        terms: Array = component_log_densities(self.amp[[k]], one.means, one.covariances, samples)[:, 0]
        return terms


def as_mixture(gmm: GMM) -> Mixture:
    """Return a mixture of the same components, amplitudes relative to their sum.

    Raises
    ------
    InvalidData
        If a component was never set, or is none.
    """
    total = float(np.sum(gmm.amp))
    if not total > 0:
        raise InvalidData(
            f"the amplitudes of the GMM sum to {total:g}: its components were never set. Fit it first, load it, or "
            "set amp, mean and covar.",
            array="amp",
            value=total,
        )
    with np.errstate(invalid="ignore"):  # an infinite amplitude is refused by name
        shares = gmm.amp / total
    return Mixture(shares, gmm.mean, gmm.covar)


def as_population(gmm: GMM, background: Background | None) -> Population:
    """Return the mixture with what lies behind it."""
    return Population(as_mixture(gmm), () if background is None else (background.fixed(),))


def as_noise(covar: ArrayLike | None) -> Noise:
    """Read a noise covariance (D, D) of all rows, or (N, D, D) of each.

    Raises
    ------
    InvalidData
        If it is neither.
    """
    if covar is None:
        return Noise.none()
    array = as_numbers(covar, "covar")
    return Noise.shared(array) if array.ndim == 2 else Noise.full(array)


def copied(gmm: GMM) -> GMM:
    """Copy a mixture."""
    copy = GMM()
    copy.amp, copy.mean, copy.covar = gmm.amp.copy(), gmm.mean.copy(), gmm.covar.copy()
    return copy
