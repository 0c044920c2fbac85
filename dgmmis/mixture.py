"""The Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.densities import component_log_densities, log_densities, require_finite
from dgmmis.errors import InvalidData
from dgmmis.noise import LARGEST_VARIANCE, NoiseLike
from dgmmis.numeric_input import LARGEST, as_numbers
from dgmmis.packed import Array, is_positive_semidefinite, pack
from dgmmis.samples import Samples

__all__ = ["Mixture"]

AMPLITUDE_TOLERANCE = 1e-6
ROUNDING = 1e-12
SYMMETRY_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Mixture:
    """sum_k a_k N(m_k, V_k): K Gaussian components of D features.

    Amplitudes must sum to 1 within 1e-6; a deviation above 1e-12 is divided out.  Covariances must be
    symmetric within 1e-8 of the variances (the average with the transpose is kept) and positive
    semi-definite.  The arrays are copies and cannot be written to.

    Attributes
    ----------
    amplitudes : (K,)
    means : (K, D)           in the features' units
    covariances : (K, D, D)  in the features' units, squared

    Raises
    ------
    InvalidData
        If a shape does not fit, a number is not finite, amplitudes are negative or do not sum to 1, or
        a covariance is none; the component is named.
    """

    amplitudes: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        amplitudes = _finite(self.amplitudes, "amplitudes", 1)
        means = _finite(self.means, "means", 2)
        covariances = _finite(self.covariances, "covariances", 3)
        _require_shapes(amplitudes, means, covariances)
        for name, array in (
            ("amplitudes", _normalised(amplitudes)),
            ("means", means),
            ("covariances", _as_covariances(covariances)),
        ):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def n_components(self) -> int:
        """K."""
        return len(self.amplitudes)

    @property
    def n_features(self) -> int:
        """D."""
        return int(self.means.shape[1])

    def component_log_densities(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln a_k N(x_i | m_k, V_k + S_i) on each row's observed features.

        Parameters
        ----------
        values : (N, D)
            NaN means not observed.
        noise : None, Noise, (D, D), (N, D) variances or (N, D, D)

        Returns
        -------
        (N, K)
        """
        samples = self.samples(values, noise)
        return component_log_densities(self.amplitudes, self.means, self.covariances, samples)

    def log_density(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln p(x_i) [nats] of each row's observed features; 0 where nothing was observed.

        Parameters
        ----------
        values : (N, D)
            NaN means not observed.
        noise : None, Noise, (D, D), (N, D) variances or (N, D, D)

        Returns
        -------
        (N,)
        """
        return log_densities(self.component_log_densities(values, noise))

    def responsibilities(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """Pr(component k | x_i); rows sum to 1.  Parameters as in `log_density`.

        Returns
        -------
        (N, K)

        Raises
        ------
        InvalidData
            If a row lies beyond any finite density, naming it.
        """
        samples = self.samples(values, noise)
        terms = component_log_densities(self.amplitudes, self.means, self.covariances, samples)
        log_density = log_densities(terms)
        for group in samples.groups:
            require_finite(log_density[group.rows], group)
        return np.asarray(np.exp(terms - log_density[:, None]))

    def draw(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw `n_rows` noise-free rows (N, D)."""
        which = rng.choice(self.n_components, size=n_rows, p=self.amplitudes / self.amplitudes.sum())
        values = np.empty((n_rows, self.n_features))
        for k in range(self.n_components):
            rows = np.flatnonzero(which == k)
            values[rows] = rng.multivariate_normal(
                self.means[k], self.covariances[k], size=len(rows), method="eigh", check_valid="ignore"
            )
        return values

    def samples(self, values: ArrayLike, noise: NoiseLike = None) -> Samples:
        """`values` and `noise` as samples, refused unless they have this mixture's features."""
        samples = Samples.from_arrays(values, noise)
        if samples.n_features != self.n_features:
            raise InvalidData(
                f"values has {samples.n_features} features; the mixture has {self.n_features}.",
                array="values",
            )
        return samples


def _finite(array: ArrayLike, name: str, n_dimensions: int) -> Array:
    array = np.array(as_numbers(array, name), order="C")
    if array.ndim != n_dimensions:
        expected = {1: "(K,)", 2: "(K, D)", 3: "(K, D, D)"}[n_dimensions]
        raise InvalidData(f"{name} has shape {array.shape}; expected {expected}.", array=name)
    largest = LARGEST_VARIANCE if n_dimensions == 3 else LARGEST
    bad = np.argwhere(~(np.abs(array) <= largest))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise InvalidData(
            f"{name} of component {at[0]} is no number within {largest:g}: {array[at]} at {at}. Give finite numbers.",
            array=name,
            row=at[0],
            value=float(array[at]),
        )
    return array


def _require_shapes(amplitudes: Array, means: Array, covariances: Array) -> None:
    k, d = means.shape
    if k == 0 or d == 0:
        raise InvalidData(f"means has shape {means.shape}; expected at least one component and feature.")
    if amplitudes.shape != (k,) or covariances.shape != (k, d, d):
        raise InvalidData(
            f"amplitudes {amplitudes.shape}, means {means.shape} and covariances {covariances.shape} do not "
            f"fit; expected ({k},), ({k}, {d}) and ({k}, {d}, {d})."
        )


def _normalised(amplitudes: Array) -> Array:
    negative = np.flatnonzero(amplitudes < 0)
    if len(negative):
        k = int(negative[0])
        raise InvalidData(
            f"amplitude of component {k} is negative: {amplitudes[k]:g}. Give numbers >= 0 that sum to 1.",
            array="amplitudes",
            row=k,
        )
    total = float(amplitudes.sum())
    if abs(total - 1) > AMPLITUDE_TOLERANCE:
        raise InvalidData(
            f"amplitudes sum to {total:.9g}, not to 1. Divide them by their sum if they are meant as "
            "relative weights.",
            array="amplitudes",
            value=total,
        )
    return amplitudes if abs(total - 1) <= ROUNDING else amplitudes / total


def _as_covariances(covariances: Array) -> Array:
    variances = np.abs(np.diagonal(covariances, axis1=1, axis2=2))
    scale = np.sqrt(variances[:, :, None]) * np.sqrt(variances[:, None, :])
    asymmetry = np.abs(covariances - covariances.swapaxes(1, 2))
    bad = np.flatnonzero((asymmetry > SYMMETRY_TOLERANCE * scale).any(axis=(1, 2)))
    if len(bad):
        raise InvalidData(
            f"covariance of component {bad[0]} is not symmetric. Give symmetric ones, for instance (V + V.T) / 2.",
            array="covariances",
            row=int(bad[0]),
        )
    symmetric = (covariances + covariances.swapaxes(1, 2)) / 2
    bad = np.flatnonzero(~is_positive_semidefinite(pack(symmetric)))
    if len(bad):
        raise InvalidData(
            f"covariance of component {bad[0]} is not positive semi-definite: some combination of features would "
            "have a negative variance. Give variances on its diagonal, and covariances that they allow.",
            array="covariances",
            row=int(bad[0]),
        )
    return symmetric
