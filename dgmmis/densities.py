"""Prepare a mixture for one pattern of observed features, and evaluate ln a_k N(x_i | m_k, T_ik)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from dgmmis.errors import InvalidData
from dgmmis.kernels import fixed_log_terms, noisy_log_terms
from dgmmis.packed import Array, pack, unpack
from dgmmis.samples import PatternGroup, Samples

__all__ = [
    "FixedComponents",
    "NoisyComponents",
    "component_log_densities",
    "fixed_components",
    "log_densities",
    "noisy_components",
    "require_finite",
]

LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class NoisyComponents:
    """Components on a pattern's features, for rows that each have their own noise.

    Attributes
    ----------
    constants : (K,)     ln a_k - (d ln 2 pi + sum ln reference) / 2
    means, covariances : (K, d), (K, p)
    reference : (d,)     variances that keep the determinant's product away from under- and overflow
    """

    constants: Array
    means: Array
    covariances: Array
    reference: Array


@dataclass(frozen=True)
class FixedComponents:
    """Components on a pattern's features, for rows whose noise is the same or none.

    Attributes
    ----------
    constants : (K,)     ln a_k - (d ln 2 pi + ln |T_k|) / 2
    means : (K, d)
    whiteners : (K, p)   packed W_k, lower triangular, W_k^T W_k = T_k^-1
    """

    constants: Array
    means: Array
    whiteners: Array


def noisy_components(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup
) -> NoisyComponents:
    """Restrict components to the features that `group` observed."""
    observed = group.observed
    blocks = covariances[:, observed[:, None], observed]
    reference = _reference_variances(blocks, group)
    constants = _log(amplitudes) - 0.5 * (len(observed) * LOG_TWO_PI + np.log(reference).sum())
    return NoisyComponents(constants, np.ascontiguousarray(means[:, observed]), pack(blocks), reference)


def _reference_variances(blocks: Array, group: PatternGroup) -> Array:
    """Mean variance of each feature over components; the noise where components have none."""
    typical = np.diagonal(blocks, axis1=1, axis2=2).mean(axis=0)
    if (typical > 0).all() or group.noise is None:
        return np.where(typical > 0, typical, 1.0)
    d = len(typical)
    diagonal = [j * (j + 1) // 2 + j for j in range(d)]
    noise = group.noise[:, diagonal if group.noise.shape[1] > d else slice(None)].mean(axis=0)
    return np.where(typical > 0, typical, np.where(noise > 0, noise, 1.0))


def fixed_components(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup
) -> FixedComponents:
    """Restrict components to the features that `group` observed and invert T_k = V_k + S once.

    Raises
    ------
    InvalidData
        If a component without noise is singular: its density is infinite or zero.
    """
    observed = group.observed
    totals = covariances[:, observed[:, None], observed]
    if group.noise is not None:
        totals = totals + unpack(group.noise)
    try:
        lower = np.linalg.cholesky(totals)
    except np.linalg.LinAlgError as error:
        raise InvalidData(
            "a component's covariance plus the rows' noise is singular, so its density is infinite. State "
            "the noise of the rows, or use fewer components.",
            array="covariances",
        ) from error
    whiteners = np.linalg.inv(lower)
    log_determinants = 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    constants = _log(amplitudes) - 0.5 * (len(observed) * LOG_TWO_PI + log_determinants)
    return FixedComponents(constants, np.ascontiguousarray(means[:, observed]), pack(whiteners))


def _log(amplitudes: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(amplitudes))


def component_log_densities(amplitudes: Array, means: Array, covariances: Array, samples: Samples) -> Array:
    """ln a_k N(x_i | m_k, T_ik) of each row and component, (N, K); ln a_k where nothing was observed."""
    terms = np.empty((samples.n_rows, len(amplitudes)))
    terms[:] = _log(amplitudes)
    for group in samples.groups:
        out = np.empty((len(amplitudes), len(group.rows)))
        if samples.noise_kind in ("none", "shared"):
            fixed = fixed_components(amplitudes, means, covariances, group)
            fixed_log_terms(group.values, fixed.constants, fixed.means, fixed.whiteners, out)
        else:
            noisy = noisy_components(amplitudes, means, covariances, group)
            noisy_log_terms(
                group.values,
                group.noise,
                noisy.constants,
                noisy.means,
                noisy.covariances,
                noisy.reference,
                out,
            )
        terms[group.rows] = out.T
    return terms


def log_densities(terms: Array) -> Array:
    """Sum over components: ln p(x_i), (N,), from the (N, K) of `component_log_densities`."""
    return np.asarray(logsumexp(terms, axis=1))


def require_finite(log_density: Array, group: PatternGroup, first_row: int = 0) -> None:
    """Raise `InvalidData` naming the first row of `group` without a finite log-density (n,)."""
    bad = np.flatnonzero(~np.isfinite(log_density))
    if len(bad):
        row = int(group.rows[bad[0]]) + first_row
        raise InvalidData(
            f"row {row} has log-density {log_density[bad[0]]} under the mixture (values "
            f"{np.array2string(group.values[bad[0]], precision=6)}): a component is singular without this row's "
            "noise, or the row lies beyond any finite density. State the noise, or remove the row.",
            array="values",
            row=row,
            value=float(log_density[bad[0]]),
        )
