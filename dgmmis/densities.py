"""Prepare a mixture for what one group of rows saw of it, and evaluate ln a_k N(x_i | R_i m_k, T_ik)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from dgmmis.errors import InvalidData
from dgmmis.kernels.generic import SINGULAR, fixed_log_terms, noisy_log_terms
from dgmmis.packed import Array, pack, unpack
from dgmmis.projection_kernels import projected_log_terms
from dgmmis.samples import PatternGroup, Samples

__all__ = [
    "LOG_TWO_PI",
    "FixedComponents",
    "NoisyComponents",
    "component_log_densities",
    "fixed_components",
    "log_amplitudes",
    "log_densities",
    "noise_rows",
    "noisy_components",
    "require_finite",
    "responsibilities",
]

LOG_TWO_PI = float(np.log(2 * np.pi))

WIDEST = 575.0
"""Most that the logarithm of a product of pivots may be in straight-line code: 1e250."""


@dataclass(frozen=True)
class NoisyComponents:
    """Components as a group sees them, for rows that each have their own noise.

    Attributes
    ----------
    constants : (K,)     ln a_k - (d ln 2 pi + sum ln reference) / 2
    means, covariances : (K, d), (K, p)
    reference : (d,)     variances that keep the determinant's product away from under- and overflow
    pivots : (K, d)      of the covariances; 0 if one of them is singular
    log_amplitudes : (K,)   ln a_k - d ln(2 pi) / 2
    needs_noise : bool   whether `reference` was taken from the group's noise
    """

    constants: Array
    means: Array
    covariances: Array
    reference: Array
    pivots: Array
    log_amplitudes: Array
    needs_noise: bool

    def is_tame(self, most_noise: Array) -> bool:
        """Tell whether straight-line code may be used on rows whose noise is below `diag(most_noise)`.

        It neither looks for singular matrices nor guards the product of pivots.  Those of V + S lie between the
        pivots of V and the variances of V + S: in the order of Loewner, pivots grow with the matrix.  Only
        factors on one side of 1 are summed up, so that no partial product runs away either.
        """
        d = len(most_noise)
        largest = self.covariances[:, [j * (j + 1) // 2 + j for j in range(d)]] + most_noise
        if not (self.pivots > SINGULAR * largest).all():
            return False
        growth, decay = np.maximum(-np.log(self.pivots), 0), np.maximum(np.log(largest), 0)
        return bool(growth.sum(axis=1).max() < WIDEST and decay.sum(axis=1).max() < WIDEST)


@dataclass(frozen=True)
class FixedComponents:
    """Components as a group sees them, for rows whose noise is the same or none.

    Attributes
    ----------
    constants : (K,)     ln a_k - (d ln 2 pi + ln |T_k|) / 2
    means : (K, d)
    whiteners : (K, p)   packed W_k, lower triangular, W_k^T W_k = T_k^-1
    """

    constants: Array
    means: Array
    whiteners: Array


def _seen(means: Array, covariances: Array, group: PatternGroup) -> tuple[Array, Array]:
    """R m (K, d) and R V R^T (K, d, d), for a group whose rows all see the components in the same way."""
    if group.projection is None:
        observed = group.observed
        return np.ascontiguousarray(means[:, observed]), covariances[:, observed[:, None], observed]
    R = group.projection
    blocks = R @ covariances @ R.T
    return np.einsum("ia,ka->ki", R, means), np.asarray((blocks + blocks.swapaxes(1, 2)) / 2)


def noisy_components(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup
) -> NoisyComponents:
    """Restrict components to what `group` saw of them."""
    means, blocks = _seen(means, covariances, group)
    reference, needs_noise = _reference_variances(blocks, group)
    logs = log_amplitudes(amplitudes, means.shape[1])
    constants = logs - 0.5 * np.log(reference).sum()
    return NoisyComponents(constants, means, pack(blocks), reference, _pivots(blocks), logs, needs_noise)


def _pivots(blocks: Array) -> Array:
    """Pivots (K, d) of positive semi-definite matrices; all 0 if one is singular."""
    try:
        lower = np.linalg.cholesky(blocks)
    except np.linalg.LinAlgError:
        return np.zeros(blocks.shape[:2])
    return np.asarray(np.diagonal(lower, axis1=1, axis2=2) ** 2)


def _reference_variances(blocks: Array, group: PatternGroup) -> tuple[Array, bool]:
    """Mean variance of each feature over components; the noise where components have none, and whether so."""
    typical = np.diagonal(blocks, axis1=1, axis2=2).mean(axis=0)
    if (typical > 0).all() or group.noise is None:
        return np.where(typical > 0, typical, 1.0), False
    d = len(typical)
    diagonal = [j * (j + 1) // 2 + j for j in range(d)]
    noise = group.noise[:, diagonal if group.noise.shape[1] > d else slice(None)].mean(axis=0)
    return np.where(typical > 0, typical, np.where(noise > 0, noise, 1.0)), True


def fixed_components(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup, *, first_row: int = 0
) -> FixedComponents:
    """Restrict components to what `group` saw of them and invert T_k = R V_k R^T + S once.

    Raises
    ------
    InvalidData
        If a component is singular without noise: its density is infinite or zero.  The first row that
        sees it so is named, row 0 being called `first_row`.
    """
    means, totals = _seen(means, covariances, group)
    if group.noise is not None:
        totals = totals + unpack(group.noise)
    lower = _require_definite(totals, group, first_row)
    whiteners = np.asarray(np.linalg.inv(lower), dtype=np.float64)
    log_roots = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return FixedComponents(log_amplitudes(amplitudes, means.shape[1]) - log_roots, means, pack(whiteners))


def _require_definite(totals: Array, group: PatternGroup, first_row: int) -> Array:
    """Cholesky factors of T_k (K, d, d); a pivot that is but rounding makes a matrix singular."""
    try:
        lower = np.asarray(np.linalg.cholesky(totals), dtype=np.float64)
        pivots = np.diagonal(lower, axis1=1, axis2=2) ** 2
        singular = not (pivots > SINGULAR * np.diagonal(totals, axis1=1, axis2=2)).all()
    except np.linalg.LinAlgError:
        singular = True
    if singular:
        row = int(group.rows[0]) + first_row
        seen = "" if group.projection is None else ", as the projection shows it,"
        raise InvalidData(
            f"a component's covariance{seen} plus the noise of row {row} is singular, so its density is infinite. "
            "State the noise of the rows, leave out features that others determine, or use fewer components.",
            array="covariances" if group.projection is None else "projection",
            row=row,
        )
    return lower


def log_amplitudes(amplitudes: Array, n_observed: int) -> Array:
    """ln a_k - d ln(2 pi) / 2, with d the observed features; -infinity for an amplitude of 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(amplitudes) - 0.5 * n_observed * LOG_TWO_PI)


def noise_rows(group: PatternGroup) -> Array:
    """Noise of a group's rows, variances or packed covariances; where one serves all, one row of it."""
    if group.noise is None:
        return np.zeros((1, len(group.observed)))
    return group.noise if group.noise.ndim == 2 else group.noise[None]


def component_log_densities(
    amplitudes: Array, means: Array, covariances: Array, samples: Samples, *, first_row: int = 0
) -> Array:
    """ln a_k N(x_i | R_i m_k, T_ik) of each row and component, (N, K); ln a_k where nothing was observed."""
    terms = np.empty((samples.n_rows, len(amplitudes)))
    terms[:] = log_amplitudes(amplitudes, 0)
    for group in samples.groups:
        out = np.empty((len(amplitudes), len(group.rows)))
        if group.has_own_projections:
            _projected_terms(amplitudes, means, covariances, group, out)
        elif samples.noise_kind in ("none", "shared"):
            fixed = fixed_components(amplitudes, means, covariances, group, first_row=first_row)
            fixed_log_terms(group.values, fixed.constants, fixed.means, fixed.whiteners, out)
        else:
            _noisy_terms(amplitudes, means, covariances, group, out)
        terms[group.rows] = out.T
    return terms


def _noisy_terms(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup, out: Array
) -> None:
    noisy = noisy_components(amplitudes, means, covariances, group)
    noisy_log_terms(
        group.values, group.noise, noisy.constants, noisy.means, noisy.covariances, noisy.reference, out
    )


def _projected_terms(
    amplitudes: Array, means: Array, covariances: Array, group: PatternGroup, out: Array
) -> None:
    constants = log_amplitudes(amplitudes, len(group.observed))
    projected_log_terms(group.values, noise_rows(group), group.projection, constants, means, covariances, out)


def log_densities(terms: Array) -> Array:
    """Sum over components: ln p(x_i), (N,), from the (N, K) of `component_log_densities`."""
    return np.asarray(logsumexp(terms, axis=1))


def responsibilities(terms: Array) -> Array:
    """Share of each component in a row's density, (N, K), from the (N, K) of `component_log_densities`."""
    return np.asarray(np.exp(terms - log_densities(terms)[:, None]))


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
