"""Background densities of rows that a selection kept for values which they do not tell.

Behind such a row's term stands nu b(x) E_b[Omega(z) | x]: an integral over where in the box the row was and over the
noise of what it lacks.  No parameter changes it, so a fit computes it once: in closed form for a uniform background,
noise without correlations and a selection made of boxes; else by fixed scrambled Sobol points, where noise that keeps
the row in the box is drawn feature by feature (Genz 1992, J. Comp. Graph. Stat. 1, 141) and what the row lacks is
uniform along the box's sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dgmmis.background import Background, BackgroundLike
from dgmmis.packed import Array
from dgmmis.population import background_densities
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import ROUNDING, Cut, column_values, joint_covariances, uncertain_columns
from dgmmis.selection.interval import interval_moments, interval_quantile
from dgmmis.selection.polytope import normalized, semidefinite_factor
from dgmmis.selection.sobol_points import SCRAMBLES, uniform_points
from dgmmis.uniform_share import independent_share

__all__ = ["POINTS", "kept_background_densities", "log_kept_share"]

POINTS = 2048
"""Points of a row and background, where Omega itself is asked at them."""

SMOOTH_POINTS = 64
"""Points where only the noise of what the row has is drawn, and the rest is integrated."""

SLAB_NUMBERS = 2**20
"""Numbers in a working array: rows are taken in slabs of this many."""


@dataclass(frozen=True)
class _Slab:
    """Some rows: values (n, d); (n, D) with NaN where uncertain; root of their joint noise (n, d + z, d + z)."""

    values: Array
    table: Array
    root: Array
    noisy: bool


def kept_background_densities(
    backgrounds: tuple[BackgroundLike, ...], samples: Samples, cut: Cut | None
) -> Array:
    """ln b_j(x_i), (N, J); of rows that leave the selection uncertain, ln b_j(x_i) E_j[Omega | x_i].

    The standard error of the latter, 0 in closed form and about 1 % of the share by points, is what `log_kept_share`
    gives; it is the same in every pass and not part of a fit's `log_likelihood_error`.

    Parameters
    ----------
    backgrounds : tuple of BackgroundLike
    samples : Samples
        With the noise of the cut's `noise_columns` kept.
    cut : Cut or None

    Raises
    ------
    SelectionError
        If the selection fails.
    InvalidSetting
        If a background's points cannot be proposed.
    """
    densities = background_densities(backgrounds, samples)
    if cut is None or not backgrounds:
        return densities
    for group in samples.groups:
        if len(uncertain_columns(group, cut)):
            for j, background in enumerate(backgrounds):
                densities[group.rows, j] += log_kept_share(background, samples, group, cut)[0]
    return densities


def log_kept_share(
    background: BackgroundLike, samples: Samples, group: PatternGroup, cut: Cut
) -> tuple[Array, Array]:
    """ln E[Omega | x] (n,) of a group's rows if the background made them, and its standard error (n,)."""
    uncertain = uncertain_columns(group, cut)
    table = column_values(group, samples.n_features)
    table[:, uncertain] = np.nan
    share = _in_closed_form(background, group, uncertain, table, cut)
    if share is not None:
        with np.errstate(divide="ignore"):
            return np.log(share), np.zeros(len(share))
    smooth = _given_noise(background, group, uncertain, table, cut)
    return smooth if smooth is not None else _by_points(background, group, uncertain, table, cut)


def _in_closed_form(
    background: BackgroundLike, group: PatternGroup, uncertain: NDArray[np.intp], table: Array, cut: Cut
) -> Array | None:
    """E[Omega | x] (n,) where no integral is needed."""
    if not isinstance(background, Background):
        return None
    own, cross, unseen = joint_covariances(group, uncertain, slice(None), cut)
    noise = own if cut.before_noise else unseen
    if (cross != 0).any() or (noise[:, ~np.eye(noise.shape[1], dtype=bool)] != 0).any():
        return None
    values = column_values(group, table.shape[1])[:, uncertain]
    variances = np.broadcast_to(np.diagonal(unseen, axis1=1, axis2=2), values.shape).copy()
    has = np.flatnonzero(np.isin(uncertain, group.observed))
    seen = np.searchsorted(group.observed, uncertain[has])
    variances[:, has] = own[:, seen, seen]
    low, high = background.footprint
    return independent_share(cut, table, uncertain, values, variances, (low[uncertain], high[uncertain]))


def _given_noise(
    background: BackgroundLike, group: PatternGroup, uncertain: NDArray[np.intp], table: Array, cut: Cut
) -> tuple[Array, Array] | None:
    """ln E[Omega | x] and its error where, given the noise of what was observed, no integral is needed."""
    if not isinstance(background, Background) or cut.before_noise:
        return None
    low, high = background.footprint
    d, z = len(group.observed), len(uncertain)
    points = uniform_points(d, SMOOTH_POINTS, cut.seed).reshape(SMOOTH_POINTS, d)
    step = max(1, SLAB_NUMBERS // (SMOOTH_POINTS * table.shape[1]))
    value, error = np.empty(len(group.rows)), np.empty(len(group.rows))
    for start in range(0, len(group.rows), step):
        rows = slice(start, start + step)
        own, cross, unseen = joint_covariances(group, uncertain, rows, cut)
        follows = np.einsum("nzd,nde->nze", cross, np.linalg.pinv(own, rcond=ROUNDING, hermitian=True))
        left = unseen - np.einsum("nzd,nyd->nzy", follows, cross)
        if (left[:, ~np.eye(z, dtype=bool)] != 0).any():
            return None
        n = len(group.rows[rows])
        slab = _Slab(group.values[rows], table[rows], _root(own, n), True)
        noise, log_weights = _noise_inside(slab, low[group.observed], high[group.observed], d, points)
        shifts = np.einsum("nzd,nmd->nmz", follows, noise).reshape(-1, z)
        variances = np.broadcast_to(np.diagonal(left, axis1=1, axis2=2), (n, z)).clip(0)
        many = [np.repeat(array, len(points), axis=0) for array in (slab.table, variances)]
        box = low[uncertain], high[uncertain]
        share = independent_share(cut, many[0], uncertain, np.full_like(shifts, np.nan), many[1], box, shifts)
        if share is None:
            return None
        value[rows], error[rows] = _ratio(share.reshape(n, -1), log_weights)
    return value, error


def _root(noise: Array, n: int) -> Array:
    """Lower-triangular roots (n, d, d) of noise covariances (n or 1, d, d)."""
    d = noise.shape[1]
    return np.broadcast_to(semidefinite_factor(noise, d), (n, d, d))


def _by_points(
    background: BackgroundLike, group: PatternGroup, uncertain: NDArray[np.intp], table: Array, cut: Cut
) -> tuple[Array, Array]:
    """ln E[Omega | x] (n,) and its standard error (n,) from points."""
    lacking = uncertain[~np.isin(uncertain, group.observed)]
    order = np.concatenate((group.observed, lacking))
    kept = np.concatenate(
        (np.arange(len(group.observed)), len(group.observed) + np.searchsorted(uncertain, lacking))
    ).astype(np.intp)
    points = uniform_points(len(order) + len(lacking), POINTS, cut.seed).reshape(POINTS, -1)
    step = max(1, SLAB_NUMBERS // (POINTS * table.shape[1]))
    value, error = np.empty(len(group.rows)), np.empty(len(group.rows))
    for start in range(0, len(group.rows), step):
        rows = slice(start, start + step)
        own, cross, unseen = joint_covariances(group, uncertain, rows, cut)
        if isinstance(background, Background) and not cut.before_noise and not (cross != 0).any():
            own = np.zeros_like(own)  # where in the box the row was tells nothing of what it lacks
        noise = _joint(own, cross, unseen, kept)
        root = _root(noise, len(group.rows[rows]))
        slab = _Slab(group.values[rows], table[rows], root, bool((noise != 0).any()))
        value[rows], error[rows] = _share(background, slab, order, len(lacking), cut, points)
    return value, error


def _joint(own: Array, cross: Array, unseen: Array, kept: NDArray[np.intp]) -> Array:
    """Noise covariance (n or 1, d + z, d + z) of what was observed and what is lacking."""
    n = max(len(own), len(cross), len(unseen))
    d, z = own.shape[1], unseen.shape[1]
    joint = np.zeros((n, d + z, d + z))
    joint[:, :d, :d], joint[:, d:, :d] = own, cross
    joint[:, :d, d:], joint[:, d:, d:] = cross.swapaxes(1, 2), unseen
    return joint[:, kept[:, None], kept]


def _share(
    background: BackgroundLike,
    slab: _Slab,
    order: NDArray[np.intp],
    n_lacking: int,
    cut: Cut,
    points: Array,
) -> tuple[Array, Array]:
    """Mean of Omega over a slab's points, weighted by how likely the background puts the row there."""
    box = background.marginal(order.tolist())
    low, high = box.from_unit(np.zeros((1, len(order))))[0], box.from_unit(np.ones((1, len(order))))[0]
    noise, log_weights = _noise_inside(slab, low, high, len(order) - n_lacking, points)
    latent = np.empty((*noise.shape[:2], len(order)))
    d = len(order) - n_lacking
    latent[:, :, :d] = slab.values[:, None] - noise[:, :, :d]
    latent[:, :, d:] = low[d:] + (high - low)[d:] * points[:, len(order) :]
    with np.errstate(divide="ignore"):
        importance = np.log(box.importance(latent.reshape(-1, len(order)))).reshape(log_weights.shape)
    seen = latent if cut.before_noise else latent + noise
    table = np.repeat(slab.table, len(points), axis=0)
    for place, column in enumerate(order):
        lacks = np.isnan(table[:, column])
        table[lacks, column] = seen[:, :, place].ravel()[lacks]
    omega = cut.selection.evaluate(np.nan_to_num(table), repeats=len(points)).reshape(log_weights.shape)
    return _ratio(omega, log_weights + importance)


def _noise_inside(slab: _Slab, low: Array, high: Array, d: int, points: Array) -> tuple[Array, Array]:
    """Noise (n, m, d + z) that leaves the observed features in the box, and the ln weights (n, m) of the points."""
    n, m, size = len(slab.values), len(points), slab.root.shape[1]
    log_weights = np.zeros((n, m))
    if not slab.noisy:
        return np.zeros((n, m, size)), log_weights
    standard = np.empty((n, m, size))
    for i in range(size):
        standard[:, :, i] = ndtri(points[:, i])
        if i >= d or not slab.root[:, i].any():
            continue
        shift = np.einsum("nmk,nk->nm", standard[:, :, :i], slab.root[:, i, :i])
        spread = slab.root[:, i, i, None]
        alive = np.broadcast_to(spread > 0, (n, m))
        safe = np.where(spread > 0, spread, 1.0)
        below = (slab.values[:, i, None] - high[i] - shift) / safe
        above = (slab.values[:, i, None] - low[i] - shift) / safe
        drawn = interval_quantile(below, above, np.broadcast_to(points[:, i], (n, m)))
        standard[:, :, i] = np.where(alive, drawn, 0.0)
        log_weights += np.where(alive, interval_moments(below, above)[0], 0.0)
    return np.einsum("nij,nmj->nmi", slab.root, standard), log_weights


def _ratio(omega: Array, log_weights: Array) -> tuple[Array, Array]:
    """ln of the weighted mean of Omega (n, m) and its standard error, from the scatter of the scrambles."""
    weights = normalized(log_weights, SCRAMBLES)[0]
    mean = (weights * omega).sum(axis=1)
    excess = weights * (omega - mean[:, None])
    each = SCRAMBLES * excess.reshape(len(mean), SCRAMBLES, -1).sum(axis=2)
    error = each.std(axis=1, ddof=1) / np.sqrt(SCRAMBLES)
    with np.errstate(divide="ignore"):
        logs = np.log(mean)
    return logs, np.divide(error, mean, out=np.zeros(len(mean)), where=mean > 0)
