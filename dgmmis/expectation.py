"""One chunk's expectation step: samples and a mixture in, statistics out."""

from __future__ import annotations

import numpy as np

from dgmmis.densities import fixed_components, noisy_components, require_finite
from dgmmis.kernels import fixed_statistics, noisy_statistics
from dgmmis.mixture import Mixture
from dgmmis.packed import Array, pack, packed_size, sub_positions, unpack
from dgmmis.samples import PatternGroup, Samples
from dgmmis.score_statistics import Statistics

__all__ = ["summarize_samples"]


def summarize_samples(mixture: Mixture, samples: Samples, *, first_row: int = 0) -> Statistics:
    """Statistics of `samples` under `mixture`; exact, whatever is missing.

    Parameters
    ----------
    mixture : Mixture
    samples : Samples
    first_row : int
        What row 0 is called in messages.

    Raises
    ------
    InvalidData
        If a row has no finite density, naming it.
    """
    statistics = Statistics.zero(mixture.n_components, mixture.n_features)
    for group in samples.groups:
        statistics = statistics + _summarize_group(mixture, samples, group, first_row)
    return statistics


def _summarize_group(mixture: Mixture, samples: Samples, group: PatternGroup, first_row: int) -> Statistics:
    n_components, d = mixture.n_components, len(group.observed)
    zeroth = np.zeros(n_components)
    first = np.zeros((n_components, d))
    second = np.zeros((n_components, packed_size(d)))
    log_density = np.empty(len(group.rows))
    parameters = (mixture.amplitudes, mixture.means, mixture.covariances)
    if samples.noise_kind in ("none", "shared"):
        fixed = fixed_components(*parameters, group)
        fixed_statistics(
            group.values,
            group.weights,
            fixed.constants,
            fixed.means,
            fixed.whiteners,
            zeroth,
            first,
            second,
            log_density,
        )
        first, second = _unwhiten(fixed.whiteners, first, second)
    else:
        noisy = noisy_components(*parameters, group)
        noisy_statistics(
            group.values,
            group.noise,
            group.weights,
            noisy.constants,
            noisy.means,
            noisy.covariances,
            noisy.reference,
            zeroth,
            first,
            second,
            log_density,
        )
    require_finite(log_density, group, first_row)
    return _in_all_features(mixture, group, log_density, zeroth, first, second)


def _unwhiten(whiteners: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """From sums over y = W (x - m) to sums over u = W^T y: u = W^T y, u u^T - T^-1 = W^T (y y^T - 1) W."""
    lower = np.tril(unpack(whiteners))
    upper = lower.swapaxes(1, 2)
    return (upper @ first[:, :, None])[:, :, 0], pack(upper @ unpack(second) @ lower)


def _in_all_features(
    mixture: Mixture, group: PatternGroup, log_density: Array, zeroth: Array, first: Array, second: Array
) -> Statistics:
    """Put the sums over the observed features where they belong among all features."""
    whole = Statistics.zero(mixture.n_components, mixture.n_features)
    whole.first[:, group.observed] = first
    whole.second[:, sub_positions(group.observed)] = second
    return Statistics(
        len(group.rows),
        float(group.weights.sum()),
        float(np.sum(group.weights * log_density)),  # not a BLAS product: its bits depend on its threads
        zeroth,
        whole.first,
        whole.second,
    )
