"""What a population says of each row: responsibilities, density, and the noise-free value behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.background import BackgroundLike
from dgmmis.densities import component_log_densities, log_densities, noise_rows, require_finite
from dgmmis.mixture import Mixture
from dgmmis.packed import Array, lower_indices, packed_size
from dgmmis.population import Population
from dgmmis.posterior_kernels import posterior_moments
from dgmmis.samples import PatternGroup, Samples

__all__ = ["Posterior", "infer"]


@dataclass(frozen=True)
class Posterior:
    """What a population says of N rows; `top` components each.

    Attributes
    ----------
    components : (N, top) int32
        The most responsible components, in falling order.
    responsibilities : (N, top)
        Theirs: shares of the whole population, so that all K sum to 1 less the background's probability.
    log_density : (N,)
        ln p(x_i) of the observed features [nats], backgrounds included, before any selection.
    means : (N, D)
        Posterior mean of the noise-free, complete row, in the mixture's features whatever the rows'
        projection: over the whole mixture, not one component, and given that the mixture made the row.
    covariances : (N, P)
        Its covariance, packed.
    background_probability : (N,) or None
        Pr(any background | x_i); None if there is no background.
    """

    components: NDArray[np.int32]
    responsibilities: Array
    log_density: Array
    means: Array
    covariances: Array
    background_probability: Array | None = None

    def take(self, rows: NDArray[np.intp]) -> Posterior:
        """Return the same rows in another order."""
        probability = self.background_probability
        return Posterior(
            self.components[rows],
            self.responsibilities[rows],
            self.log_density[rows],
            self.means[rows],
            self.covariances[rows],
            None if probability is None else probability[rows],
        )


def infer(
    mixture: Mixture,
    samples: Samples,
    top: int,
    *,
    backgrounds: tuple[BackgroundLike, ...] = (),
    first_row: int = 0,
) -> Posterior:
    """Infer each row's component and noise-free value.

    With u and G of `Statistics`, component k gives mean m_k + V_k u and covariance V_k - V_k G V_k
    (Bovy, Hogg & Roweis 2011, arXiv:0905.2979, eqs. 14-16); the mixture's posterior is their mixture, of
    which mean and covariance are returned.  A row without any observed feature gets the mixture's own.

    Parameters
    ----------
    mixture : Mixture
    samples : Samples
    top : int
        Components to name per row, at most K.
    backgrounds : tuple of BackgroundLike
        Densities behind the mixture, with their amplitudes.
    first_row : int
        What row 0 is called in messages.

    Raises
    ------
    InvalidData
        If the mixture has no finite density at a row, naming it.
    """
    population = Population(mixture, backgrounds)
    own = component_log_densities(
        population.amplitudes, mixture.means, mixture.covariances, samples, first_row=first_row
    )
    terms = np.concatenate((own, population.background_terms(samples)), axis=1) if backgrounds else own
    log_density = log_densities(terms)
    of_mixture = log_densities(own) if backgrounds else log_density
    for group in samples.groups:
        require_finite(of_mixture[group.rows], group, first_row)
    shares = np.exp(terms - log_density[:, None])
    inside = np.exp(own - of_mixture[:, None])
    means, covariances = _moments(mixture, samples, inside)
    order = np.argsort(-inside, axis=1, kind="stable")[:, :top]
    return Posterior(
        order.astype(np.int32),
        np.take_along_axis(shares, order, axis=1),
        log_density,
        means,
        covariances,
        shares[:, mixture.n_components :].sum(axis=1) if backgrounds else None,
    )


def _moments(mixture: Mixture, samples: Samples, responsibilities: Array) -> tuple[Array, Array]:
    """Posterior means (N, D) and packed covariances (N, P), given that the mixture made the rows."""
    means = np.empty((samples.n_rows, mixture.n_features))
    covariances = np.empty((samples.n_rows, packed_size(mixture.n_features)))
    means[:], covariances[:] = _of_mixture(mixture)
    for group in samples.groups:
        mean, covariance = means[group.rows], covariances[group.rows]
        posterior_moments(
            group.values,
            noise_rows(group),
            group.observed,
            _projections(group, mixture.n_features),
            responsibilities[group.rows],
            mixture.means,
            mixture.covariances,
            mean,
            covariance,
        )
        means[group.rows], covariances[group.rows] = mean, covariance
    return means, covariances


def _of_mixture(mixture: Mixture) -> tuple[Array, Array]:
    """Mean and packed covariance of the mixture itself."""
    mean = mixture.amplitudes @ mixture.means
    offsets = mixture.means - mean
    covariance = np.einsum("k,kde->de", mixture.amplitudes, mixture.covariances)
    covariance += np.einsum("k,kd,ke->de", mixture.amplitudes, offsets, offsets)
    return mean, covariance[lower_indices(len(mean))]


def _projections(group: PatternGroup, n_features: int) -> Array:
    """Projections of a group's rows, one row where it serves all, no row where there is none."""
    if group.projection is None:
        return np.empty((0, len(group.observed), n_features))
    return group.projection if group.has_own_projections else group.projection[None]
