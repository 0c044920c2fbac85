"""Where a fit starts: several k-means++ seedings of a random sample, short fits, the best one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.chunk import ArrayChunks
from dgmmis.errors import CollapsedComponent, DgmmisError, InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.frozen import Frozen
from dgmmis.iterate import Limits, Pass, iterate
from dgmmis.local_pass import local_summarize
from dgmmis.mixture import Mixture
from dgmmis.packed import Array, packed_size
from dgmmis.rows import Rows

__all__ = ["PILOT_ROWS", "Start", "choose_start", "n_parameters", "pilot_rows"]

N_STARTS = 8
SHORT_PASSES = 30
PILOT_LIMITS = Limits(tolerance=0.1, max_passes=500)
"""Of the sample's own fit; fixed, so that a fit's start depends on no budget."""
LLOYD_ROUNDS = 10
ROWS_PER_PARAMETER = 50
LEAST_PILOT_ROWS = 5_000
PILOT_ROWS = 200_000
"""Rows of the random sample that a catalogue keeps and a fit starts on."""


@dataclass(frozen=True)
class Start:
    """Where a fit starts, and how it was found.

    Attributes
    ----------
    mixture : Mixture
    pilot_rows : int
        Rows of the random sample.
    mean_log_likelihoods : tuple of float
        On the sample, of each start after its short fit; NaN for one that collapsed.
    chosen : int
        Which of them.
    pilot_passes : int
        Further passes over the sample that the best one was given.
    """

    mixture: Mixture
    pilot_rows: int
    mean_log_likelihoods: tuple[float, ...]
    chosen: int
    pilot_passes: int


def n_parameters(n_components: int, n_features: int) -> int:
    """Free parameters of a mixture."""
    return n_components * (1 + n_features + packed_size(n_features)) - 1


def pilot_rows(n_components: int, n_features: int) -> int:
    """Rows a pilot needs: 50 for each parameter, at least 5,000."""
    return max(LEAST_PILOT_ROWS, ROWS_PER_PARAMETER * n_parameters(n_components, n_features))


def choose_start(
    pilot: Rows,
    n_components: int,
    seed: int,
    *,
    whole: bool,
    report: Callable[[Pass], None] | None = None,
) -> Start:
    """Seed several mixtures on a random sample, fit each briefly, and fit the best to convergence there.

    Starts matter more than the last digits of a fit: the best of a few short fits is worth more than
    any one of them converged.

    Parameters
    ----------
    pilot : Rows
        A random sample in random order, so that its first rows are one too.
    n_components : int
    seed : int
    whole : bool
        The sample is all the data: then leave the convergence to the fit itself.
    report : callable, optional
        Called with every pass over the sample.

    Raises
    ------
    InvalidData
        If fewer rows than components have a feature at all, or some feature has no value.
    CollapsedComponent
        If every start collapsed.
    """
    _require_enough(pilot, n_components)
    short = pilot.take(slice(0, pilot_rows(n_components, pilot.n_features)))
    streams = np.random.SeedSequence(seed).spawn(N_STARTS)
    with ThreadPoolExecutor(2) as pool:
        fits = list(pool.map(lambda stream: _short_fit(short, n_components, stream), streams))
    scores = tuple(
        float("nan") if isinstance(fit, DgmmisError) else fit.statistics.mean_log_likelihood for fit in fits
    )
    collapse = next((fit for fit in fits if isinstance(fit, DgmmisError)), None)
    for chosen in np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable").tolist():
        fit = fits[chosen]
        if isinstance(fit, DgmmisError):
            break
        try:
            last = fit if whole else _converge(pilot, fit.mixture, report)
        except (CollapsedComponent, InvalidData) as error:
            collapse = error
            continue
        return Start(last.mixture, len(pilot), scores, chosen, 0 if whole else last.number)
    assert collapse is not None
    raise collapse


def _converge(pilot: Rows, mixture: Mixture, report: Callable[[Pass], None] | None) -> Pass:
    chunks = ArrayChunks.from_arrays(
        pilot.values, pilot.noise, pilot.weights, chunk_rows=25_000, checked=True
    )
    frozen = Frozen.of(None, mixture.n_components)
    scan = None
    for scan in iterate(mixture, local_summarize(chunks), frozen, PILOT_LIMITS):
        if report is not None:
            report(scan)
    assert scan is not None
    return scan


def _short_fit(rows: Rows, n_components: int, stream: np.random.SeedSequence) -> Pass | DgmmisError:
    mixture = seeded_mixture(rows.values, n_components, np.random.default_rng(stream))
    samples = rows.samples(checked=True)
    frozen = Frozen.of(None, n_components)
    passes = iterate(mixture, lambda m: summarize_samples(m, samples), frozen, Limits(0, SHORT_PASSES))
    try:
        return deque(passes, maxlen=1).pop()
    except (CollapsedComponent, InvalidData) as error:
        return error


def _require_enough(pilot: Rows, n_components: int) -> None:
    present = ~np.isnan(pilot.values)
    weighing = True if pilot.weights is None else pilot.weights > 0
    n_useful = int((present.any(axis=1) & weighing).sum())
    if n_components > n_useful:
        raise InvalidData(
            f"{n_components} components were asked of {n_useful} rows with weight and at least one observed feature. "
            f"Use at most {n_useful} components, or more rows.",
            array="values",
            value=n_useful,
        )
    empty = np.flatnonzero(~present.any(axis=0))
    if len(empty):
        raise InvalidData(
            f"feature {int(empty[0])} is observed in none of the {len(pilot)} rows of the pilot sample. Leave it out.",
            array="values",
            column=int(empty[0]),
        )


def seeded_mixture(values: Array, n_components: int, rng: np.random.Generator) -> Mixture:
    """Make a mixture from k-means++ clusters of `values` (N, D) scaled to unit variance.

    The rows' noise is *not* subtracted from the clusters' covariances: that looks principled but starts
    components too small, from where expectation maximization grows them slowly.  Each covariance is shrunk
    to that of all rows with D + 2 pseudo-counts.  Missing values stand at the cluster's mean.
    """
    values = values[~np.isnan(values).all(axis=1)]
    location, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale[scale == 0] = 1
    scaled = (values - location) / scale
    centers = _lloyd(scaled, _plus_plus(scaled, n_components, rng))
    nearest = _distances(scaled, centers).argmin(axis=1)
    filled = np.where(np.isnan(scaled), centers[nearest], scaled)
    zeroed = np.where(np.isnan(scaled), 0, scaled)
    overall = np.einsum("nd,ne->de", zeroed, zeroed) / len(zeroed)
    overall += 1e-6 * np.eye(len(scale))
    counts = np.bincount(nearest, minlength=n_components)
    pseudo = len(scale) + 2
    covariances = np.empty((n_components, len(scale), len(scale)))
    for k in range(n_components):
        offset = filled[nearest == k] - centers[k]
        covariances[k] = (np.einsum("nd,ne->de", offset, offset) + pseudo * overall) / (counts[k] + pseudo)
    amplitudes = (counts + 1) / (counts + 1).sum()
    return Mixture(amplitudes, centers * scale + location, covariances * np.outer(scale, scale))


def _distances(scaled: Array, centers: Array) -> Array:
    """Squared distance per observed feature, (N, K); by sums whose bits depend on no number of threads."""
    observed = ~np.isnan(scaled)
    zeroed = np.where(observed, scaled, 0)
    squared = (zeroed**2).sum(axis=1)[:, None] - 2 * np.einsum("nd,kd->nk", zeroed, centers)
    squared += np.einsum("nd,kd->nk", observed.astype(float), centers**2)
    return np.asarray(np.maximum(squared, 0) / observed.sum(axis=1)[:, None])


def _plus_plus(scaled: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Seed by distance (Arthur & Vassilvitskii 2007); a seed's missing features stand at 0, the mean."""
    filled = np.where(np.isnan(scaled), 0, scaled)
    centers = filled[[rng.integers(len(filled))]]
    nearest = _distances(scaled, centers)[:, 0]
    while len(centers) < n_components:
        total = nearest.sum()
        chance = nearest / total if total > 0 else None
        center = filled[[rng.choice(len(filled), p=chance)]]
        centers = np.concatenate((centers, center))
        nearest = np.minimum(nearest, _distances(scaled, center)[:, 0])
    return centers


def _lloyd(scaled: Array, centers: Array) -> Array:
    observed = ~np.isnan(scaled)
    zeroed = np.where(observed, scaled, 0)
    for _ in range(LLOYD_ROUNDS):
        nearest = _distances(scaled, centers).argmin(axis=1)
        counts = _sums_by_cluster(nearest, observed.astype(float), len(centers))
        sums = _sums_by_cluster(nearest, zeroed, len(centers))
        centers = np.where(counts > 0, sums / np.maximum(counts, 1), centers)
    return centers


def _sums_by_cluster(nearest: NDArray[np.intp], columns: Array, n_clusters: int) -> Array:
    sums = [np.bincount(nearest, weights=column, minlength=n_clusters) for column in columns.T]
    return np.stack(sums, axis=1)
