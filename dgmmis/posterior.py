"""What a mixture says of each row: responsibilities, density, and the noise-free value behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.densities import component_log_densities, log_densities
from dgmmis.mixture import Mixture
from dgmmis.packed import Array, lower_indices, packed_size, unpack
from dgmmis.samples import PatternGroup, Samples

__all__ = ["Posterior", "infer"]

BLOCK_NUMBERS = 2**21
"""Numbers in the largest temporary array: 16 MiB."""


@dataclass(frozen=True)
class Posterior:
    """What a mixture says of N rows; `top` components each.

    Attributes
    ----------
    components : (N, top) int32
        The most responsible components, in falling order.
    responsibilities : (N, top)
        Theirs.
    log_density : (N,)
        ln p(x_i) of the observed features [nats].
    means : (N, D)
        Posterior mean of the noise-free, complete row: over the whole mixture, not one component.
    covariances : (N, P)
        Its covariance, packed.
    """

    components: NDArray[np.int32]
    responsibilities: Array
    log_density: Array
    means: Array
    covariances: Array


def infer(mixture: Mixture, samples: Samples, top: int) -> Posterior:
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
    """
    terms = component_log_densities(mixture.amplitudes, mixture.means, mixture.covariances, samples)
    log_density = log_densities(terms)
    responsibilities = np.exp(terms - log_density[:, None])
    means = np.empty((samples.n_rows, mixture.n_features))
    covariances = np.empty((samples.n_rows, packed_size(mixture.n_features)))
    means[:], covariances[:] = _of_mixture(mixture)
    size = mixture.n_components * mixture.n_features**2
    step = max(64, BLOCK_NUMBERS // size)
    for group in samples.groups:
        for first in range(0, len(group.rows), step):
            part = slice(first, first + step)
            rows = group.rows[part]
            means[rows], covariances[rows] = _of_rows(mixture, group, part, responsibilities[rows])
    order = np.argsort(-responsibilities, axis=1, kind="stable")[:, :top]
    return Posterior(
        order.astype(np.int32),
        np.take_along_axis(responsibilities, order, axis=1),
        log_density,
        means,
        covariances,
    )


def _of_mixture(mixture: Mixture) -> tuple[Array, Array]:
    """Mean and packed covariance of the mixture itself."""
    mean = mixture.amplitudes @ mixture.means
    offsets = mixture.means - mean
    covariance = np.einsum("k,kde->de", mixture.amplitudes, mixture.covariances)
    covariance += np.einsum("k,kd,ke->de", mixture.amplitudes, offsets, offsets)
    return mean, covariance[lower_indices(len(mean))]


def _of_rows(mixture: Mixture, group: PatternGroup, part: slice, responsibilities: Array) -> tuple[Array, Array]:
    """Posterior mean and packed covariance of some rows of one pattern."""
    observed = group.observed
    to_observed = mixture.covariances[:, :, observed]
    totals = mixture.covariances[:, observed[:, None], observed] + _noise(group, part)[:, None]
    residuals = group.values[part][:, None, :] - mixture.means[:, observed]
    solved = np.linalg.solve(totals, np.concatenate((residuals[..., None], _tile(to_observed, totals)), axis=-1))
    offsets = (to_observed @ solved[..., :1])[..., 0]
    estimates = mixture.means + offsets
    mean = np.einsum("nk,nkd->nd", responsibilities, estimates)
    spread = mixture.covariances - to_observed @ solved[..., 1:]
    about = estimates - mean[:, None, :]
    covariance = np.einsum("nk,nkde->nde", responsibilities, spread)
    covariance += np.einsum("nk,nkd,nke->nde", responsibilities, about, about)
    rows, columns = lower_indices(mixture.n_features)
    return mean, covariance[:, rows, columns]


def _tile(to_observed: Array, totals: Array) -> Array:
    """Columns R V_k of the linear systems, repeated for each row."""
    columns = to_observed.swapaxes(1, 2)
    return np.broadcast_to(columns, (len(totals), *columns.shape))


def _noise(group: PatternGroup, part: slice) -> Array:
    """Noise covariances of some rows of a group, (n, d, d) or broadcastable."""
    d = len(group.observed)
    if group.noise is None:
        return np.zeros((1, d, d))
    if group.noise.ndim == 1:
        return unpack(group.noise)[None]
    if group.noise.shape[1] == d:
        return np.einsum("nd,de->nde", group.noise[part], np.eye(d))
    return unpack(group.noise[part])
