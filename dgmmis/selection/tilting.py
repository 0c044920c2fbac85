"""The law of what a row did not measure, given that a selection kept it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from dgmmis.errors import SelectionError
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.selection.binding import BoundSelection, Branch, Node
from dgmmis.selection.polytope import Moments, moments_between, normalized, semidefinite_factor
from dgmmis.selection.regions import Piece, Region, Sight, partition
from dgmmis.selection.sobol_points import SCRAMBLES, normal_points, uniform_points

__all__ = ["Tilt", "is_exact", "tilt"]

SLAB_NUMBERS = 2**18
"""Numbers in one working array: rows are taken in slabs of this many."""
NODES_PER_ROW = 6 * 32
MOST_REGIONS = 64
"""Regions whose moments are still computed one by one."""


@dataclass(frozen=True)
class Tilt:
    """Moments of the laws N(z) Omega(z) / E[Omega].

    Attributes
    ----------
    probability : (N,)          E[Omega] under N(means, covariances)
    means : (N, u)
    covariances : (N, u, u)
    standard_error : (N,)       of the probability; 0 where it is exact
    log_probability : (N,)      finite also where the probability underflows
    """

    probability: Array
    means: Array
    covariances: Array
    standard_error: Array
    log_probability: Array


@dataclass(frozen=True)
class _Rows:
    """Rows with their known values and the Gaussians of the others."""

    table: Array
    means: Array
    covariances: Array

    def take(self, start: int, stop: int) -> _Rows:
        """Select consecutive rows."""
        return _Rows(self.table[start:stop], self.means[start:stop], self.covariances[start:stop])


@dataclass(frozen=True)
class _Job:
    """What all slabs have in common."""

    root: Node
    uncertain: tuple[int, ...]
    points: int
    seed: int


def tilt(
    bound: BoundSelection,
    values: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    points: int = 256,
    seed: int = 0,
) -> Tilt:
    """Tilt Gaussian laws of uncertain columns by a selection.

    Boxes, half-spaces, balls in one uncertain column, and whatever `&`, `|` and `~` make of them and of
    known columns, are cut into disjoint regions between planes (no region's probability is a difference).
    A region between planes of up to two directions is exact; between more, sequential sampling; any other
    selection weighs fixed normal points. All points are the same for all rows.

    Parameters
    ----------
    bound : BoundSelection
    values : (N, F)
        Of `bound.columns`, in their order; NaN at the uncertain ones, which are the same in all rows.
    means, covariances : (N, u), (N, u, u)
        Of the uncertain columns, ascending; covariances may be singular.
    covariates : (N, C), optional
        All covariates that the selection was bound to.
    points : int
        Points for what is sampled: a power of 2, at least 16.
    seed : int
        Of the points.

    Returns
    -------
    Tilt
        A row whose probability is 0, logarithm and all, keeps its means and covariances.

    Raises
    ------
    SelectionError
        If shapes do not fit, rows differ in what is uncertain, or the selection fails.
    """
    if points < 16 or points & (points - 1):
        raise SelectionError(f"points is {points}; a tilt needs a power of 2, at least 16.", value=points)
    rows, uncertain = _read(bound, values, means, covariances, covariates)
    if not uncertain:
        with np.errstate(divide="ignore"):
            probability = bound.root.evaluate(rows.table)
            return Tilt(
                probability, rows.means, rows.covariances, np.zeros(len(probability)), np.log(probability)
            )
    step = max(1, SLAB_NUMBERS // max(NODES_PER_ROW, points * (rows.table.shape[1] + 2)))
    job = _Job(bound.root, uncertain, points, seed)
    starts = range(0, max(len(rows.table), 1), step)
    slabs = [_tilt_slab(job, rows.take(start, start + step), start) for start in starts]
    return Tilt(*(np.concatenate([getattr(slab, field.name) for slab in slabs]) for field in fields(Tilt)))


def is_exact(bound: BoundSelection, uncertain: Sequence[int]) -> bool:
    """Tell whether a tilt over these uncertain columns has no sampling error, whatever the rows.

    Parameters
    ----------
    bound : BoundSelection
    uncertain : sequence of int
        Features; those that the selection does not use do not matter.
    """
    columns = tuple(sorted(set(uncertain) & set(bound.columns.tolist())))
    anything = Sight(np.full((2, len(bound.names.all)), np.nan), columns, shape_only=True)
    pieces = _relevant(partition(bound.root, anything))
    return pieces is not None and all(len(region) <= 2 for _, region in pieces)


def _read(
    bound: BoundSelection,
    values: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariates: ArrayLike | None,
) -> tuple[_Rows, tuple[int, ...]]:
    given, middle = as_numbers(values, "values"), as_numbers(means, "means")
    spread = as_numbers(covariances, "covariances")
    columns = bound.columns
    if given.ndim != 2 or given.shape[1] != len(columns):
        used = [bound.names.features[c] for c in columns]
        raise SelectionError(
            f"values have shape {given.shape}; the selection uses {used}: expected (N, {len(used)})."
        )
    missing = np.isnan(given)
    uncertain = columns[missing[0]] if len(given) else columns[:0]
    if (missing != missing[:1]).any():
        row = int(np.flatnonzero((missing != missing[:1]).any(axis=1))[0])
        raise SelectionError(
            f"row {row} has other uncertain columns than row 0; tilt one pattern of NaN at a time.", row=row
        )
    n, u = len(given), len(uncertain)
    if len(given) and (middle.shape != (n, u) or spread.shape != (n, u, u)):
        raise SelectionError(
            f"means {middle.shape} and covariances {spread.shape} do not fit {n} rows with {u} uncertain columns: "
            f"expected ({n}, {u}) and ({n}, {u}, {u})."
        )
    if not (np.isfinite(middle).all() and np.isfinite(spread).all()):
        raise SelectionError("means and covariances of the uncertain columns must be finite.", array="means")
    full = np.zeros((n, len(bound.names.features)))
    full[:, columns] = given
    return _Rows(bound.table(full, covariates), middle, spread), tuple(uncertain.tolist())


def _tilt_slab(job: _Job, rows: _Rows, first_row: int) -> Tilt:
    pieces = _relevant(partition(job.root, Sight(rows.table, job.uncertain)))
    if pieces is None:
        return _mixed([_sampled(job, rows, first_row)], rows)
    return _mixed([(weight, _of_region(region, rows, job)) for weight, region in pieces], rows)


def _relevant(pieces: list[Piece] | None) -> list[Piece] | None:
    """Leave out regions that never keep a row; None if too many are left."""
    if pieces is None:
        return None
    kept = [(weight, region) for weight, region in pieces if (weight > 0).any()]
    return kept if len(kept) <= MOST_REGIONS else None


def _of_region(region: Region, rows: _Rows, job: _Job) -> Moments:
    n, c = len(rows.means), len(region)
    directions = np.array([limit.direction for limit in region]).reshape(c, rows.means.shape[1])
    low = np.array([np.broadcast_to(limit.low, n) for limit in region]).reshape(c, n).T
    high = np.array([np.broadcast_to(limit.high, n) for limit in region]).reshape(c, n).T
    shares = uniform_points(c, job.points, job.seed) if c > 2 else np.empty((1, 0, c))
    return moments_between(rows.means, rows.covariances, directions, low, high, shares)


def _sampled(job: _Job, rows: _Rows, first_row: int) -> tuple[Array, Moments]:
    """Weigh fixed normal points by the selection; members of a product that are known are asked once a row."""
    n, u = rows.means.shape
    weight, rest = _split_known(job, rows, first_row)
    factor = semidefinite_factor(rows.covariances, u)
    moved = np.einsum("nuv,mv->nmu", factor, normal_points(u, job.points, job.seed))
    table = np.repeat(rows.table, job.points, axis=0)
    table[:, list(job.uncertain)] = (rows.means[:, None] + moved).reshape(-1, u)
    with np.errstate(divide="ignore"):
        log_answers = np.log(rest.evaluate(table, first_row, job.points).reshape(n, job.points))
    weights, log_mass, replicates = normalized(log_answers, SCRAMBLES)
    shift = np.einsum("nm,nmu->nu", weights, moved)
    off = moved - shift[:, None]
    spread = np.einsum("nm,nmu,nmv->nuv", weights, off, off)
    return weight, Moments(log_mass, rows.means + shift, spread, replicates)


def _split_known(job: _Job, rows: _Rows, first_row: int) -> tuple[Array, Node]:
    """Answers (N,) of the members of a product that know enough, and the product of the others."""
    sight, weight = Sight(rows.table, job.uncertain), np.ones(len(rows.means))
    if not isinstance(job.root, Branch) or job.root.kind != "and":
        return weight, job.root
    others: list[Node] = []
    for member in job.root.members:
        if sight.sees(member):
            weight = weight * member.evaluate(rows.table, first_row)
        else:
            others.append(member)
    return weight, Branch("and", tuple(others))


def _mixed(found: list[tuple[Array, Moments]], rows: _Rows) -> Tilt:
    """Moments of the mixture of regions, each with its probability."""
    n = len(rows.means)
    if not found:
        return Tilt(np.zeros(n), rows.means, rows.covariances, np.zeros(n), np.full(n, -np.inf))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.stack([np.log(weight) + moments.log_mass for weight, moments in found])
        total = np.minimum(logsumexp(terms, axis=0), 0.0)
        shares = np.exp(terms - np.where(np.isfinite(total), total, 0))
    mean = np.sum([share[:, None] * m.means for share, (_, m) in zip(shares, found, strict=True)], axis=0)
    covariance, replicates = np.zeros_like(rows.covariances), np.zeros((n, SCRAMBLES))
    for share, (_, m) in zip(shares, found, strict=True):
        off = m.means - mean
        covariance += share[:, None, None] * (m.covariances + off[:, :, None] * off[:, None, :])
        replicates += share[:, None] * m.replicates
    possible, probability = np.isfinite(total), np.exp(total)
    error = probability * replicates.std(axis=1, ddof=1) / np.sqrt(SCRAMBLES)
    return Tilt(
        probability,
        np.where(possible[:, None], mean, rows.means),
        np.where(possible[:, None, None], covariance, rows.covariances),
        np.where(possible, error, 0),
        total,
    )
