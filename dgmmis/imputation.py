"""What the unobserved rows add to the statistics, and how well that is known.

Rows were kept with probability Omega(x).  Each observed row stands for 1 / Z_i rows, Z_i being the chance that a
row with its noise is kept; expectation maximization adds the expected statistics of those that were not.  With
importance points y_m of weight w_m = p(y_m) / h(y_m),

    Z_b = 1 - sum_m w_m (1 - Omega_m),     statistics = sum_b (s_b / Z_b) sum_m w_m (1 - Omega_m) statistics(y_m)

for every class b of noise with weight s_b: exactly the update that climbs L = sum ln p - sum_b s_b ln Z_b, and
never descends it, because -ln Z_b is a convex function of the ln p(y_m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from dgmmis.densities import LOG_TWO_PI
from dgmmis.errors import ImputationLimit
from dgmmis.imputation_kernels import class_statistics
from dgmmis.imputation_points import Points
from dgmmis.kernels import LARGEST, straight_kernels
from dgmmis.kernels.generic import noisy_statistics
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import Array, pack, packed_size, sub_positions, unpack
from dgmmis.population import Population
from dgmmis.score_statistics import Statistics

__all__ = ["ClassSums", "Imputed", "Leaf", "Unresolved", "combine", "impute_leaf", "leaves"]

MANY_POINTS = 512
"""Points per class from which on a call for each class is worth its while."""

NO_LEVELS = np.zeros(1, np.intp)
"""Levels of boxes: points have none."""

LEAST_RESOLVED = 3.0
"""A chance of being observed must be this many times its Monte-Carlo error."""

Leaf = tuple[int, int]
"""Replicate and part: one unit of work."""


class Unresolved(ImputationLimit):
    """The points are too few to tell some chance of being observed from 0."""


@dataclass(frozen=True)
class ClassSums:
    """Sums over points of each noise class, in the selection's columns, not yet divided by Z.

    Attributes
    ----------
    n_points : int
    zeroth : (B, K + J)
    first : (B, K, f)
    second : (B, K, p)
    """

    n_points: int
    zeroth: Array
    first: Array
    second: Array

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(
            self.n_points + other.n_points,
            self.zeroth + other.zeroth,
            self.first + other.first,
            self.second + other.second,
        )

    def __truediv__(self, divisor: float) -> ClassSums:
        return ClassSums(self.n_points, self.zeroth / divisor, self.first / divisor, self.second / divisor)

    @property
    def unobserved(self) -> Array:
        """sum_m w_m (1 - Omega_m) of each class (B,): the share that is not observed."""
        return np.asarray(self.zeroth.sum(axis=1))


@dataclass(frozen=True)
class Imputed:
    """The unobserved rows' statistics under one population, and their Monte-Carlo errors.

    Attributes
    ----------
    statistics : Statistics
        `log_likelihood` is -sum_i s_i ln Z_i.
    replicates : tuple of Statistics
        What each independent scramble says of the same, to first order.
    completeness : float
        Mean Z over the complete sample: the share of it that was observed.
    completeness_error, log_likelihood_error : float
        Standard errors from the scatter of the replicates.
    sums : ClassSums
        The same statistics class by class, the mean of the replicates.
    """

    statistics: Statistics
    replicates: tuple[Statistics, ...]
    completeness: float
    completeness_error: float
    log_likelihood_error: float
    sums: ClassSums

    @property
    def n_points(self) -> int:
        """Points evaluated."""
        return self.statistics.rows


def leaves(observation: Observation, reference: Reference) -> list[Leaf]:
    """All units of work of one imputation, in the order in which they are added."""
    return [(r, part) for r in range(REPLICATES) for part in range(reference.n_parts(observation))]


def impute_leaf(population: Population, observation: Observation, points: Points) -> ClassSums:
    """Sum the statistics of points under `population`, class by class."""
    means, covariances = observation.components(population)
    n_components, f = means.shape
    n_classes, n_backgrounds = observation.classes.n_classes, len(population.backgrounds)
    zeroth = np.zeros((n_classes, n_components + n_backgrounds))
    first = np.zeros((n_classes, n_components, f))
    second = np.zeros((n_classes, n_components, packed_size(f)))
    if points.noise is not None:
        _noisy_sums(population, (means, covariances), points, zeroth[0], first[0], second[0])
        return ClassSums(len(points.values), zeroth, first, second)
    constants, whiteners = _whitened(population.amplitudes, observation.total_covariances(covariances))
    many = f <= LARGEST and len(points.values) >= MANY_POINTS * n_classes
    sum_classes = _sum_large_classes if many else class_statistics
    sum_classes(
        points.values,
        points.weights,
        population.weighted(points.densities) if n_backgrounds else points.densities,
        points.proposal,
        points.offsets,
        constants,
        np.ascontiguousarray(means),
        whiteners,
        zeroth,
        first,
        second,
        np.empty(len(points.values)),
    )
    lower = np.tril(unpack(whiteners))
    upper = lower.swapaxes(-1, -2)
    first = (upper @ first[..., None])[..., 0]
    return ClassSums(len(points.values), zeroth, first, pack(upper @ unpack(second) @ lower))


def _sum_large_classes(
    values: Array,
    weights: Array,
    extra: Array,
    proposal: Array,
    offsets: NDArray[np.intp],
    constants: Array,
    means: Array,
    whiteners: Array,
    zeroth: Array,
    first: Array,
    second: Array,
    log_density: Array,
) -> None:
    """Do what `class_statistics` does, class by class in straight-line code."""
    (n_components, f), nothing, account = means.shape, np.empty((0, 0)), np.zeros(2)
    statistics = straight_kernels(f).statistics_fixed
    for b in range(len(offsets) - 1):
        which = slice(offsets[b], offsets[b + 1])
        if offsets[b + 1] > offsets[b]:
            statistics(
                values[which], weights[which], extra[which], proposal[which], constants[b], means, whiteners[b],
                nothing, nothing, NO_LEVELS, -math.inf, zeroth[b], first[b], second[b], log_density[which], account,
            )  # fmt: skip
    for j in range(f):
        second[:, :, j * (j + 1) // 2 + j] -= zeroth[:, :n_components]


def _whitened(amplitudes: Array, totals: Array) -> tuple[Array, Array]:
    """Constants (B, K) and packed whiteners (B, K, p) of total covariances (B, K, f, f)."""
    lower = np.linalg.cholesky(totals)
    log_roots = np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)
    with np.errstate(divide="ignore"):
        constants = np.log(amplitudes) - 0.5 * totals.shape[-1] * LOG_TWO_PI - log_roots
    return constants, pack(np.linalg.inv(lower))


def _noisy_sums(
    population: Population,
    components: tuple[Array, Array],
    points: Points,
    zeroth: Array,
    first: Array,
    second: Array,
) -> None:
    """Add sums over points that each have their own noise."""
    means, covariances = components
    reference = np.diagonal(covariances, axis1=1, axis2=2).mean(axis=0)
    with np.errstate(divide="ignore"):
        logs = np.log(population.amplitudes)
    noisy_statistics(
        points.values,
        points.noise,
        points.weights,
        population.weighted(points.densities) if population.backgrounds else points.densities,
        points.proposal,
        logs - 0.5 * (means.shape[1] * LOG_TWO_PI + np.log(reference).sum()),
        np.ascontiguousarray(means),
        pack(covariances),
        reference,
        zeroth,
        first,
        second,
        np.empty(len(points.values)),
    )


def combine(population: Population, observation: Observation, sums: Sequence[ClassSums]) -> Imputed:
    """Make of the sums of all leaves, in the order of `leaves`, what they say together.

    Raises
    ------
    ImputationLimit
        If the points leave no class any chance of being observed.
    """
    n_parts = len(sums) // REPLICATES
    replicates = [reduce(_add, sums[r * n_parts : (r + 1) * n_parts]) for r in range(REPLICATES)]
    mean = reduce(_add, replicates) / REPLICATES
    weights, chance = observation.classes.weights, 1 - mean.unobserved
    _require_chance(chance, replicates, observation)
    factors = weights / np.maximum(chance, np.finfo(np.float64).tiny)
    whole = _spread(
        population,
        observation,
        mean,
        factors,
        -float(np.sum(weights * np.log(np.where(weights > 0, chance, 1.0)))),
    )
    each = tuple(_replicate(population, observation, mean, one, factors, chance) for one in replicates)
    completeness = float(weights.sum() / factors.sum())
    drops = [
        float(np.sum(factors / chance * (one.unobserved - mean.unobserved))) / factors.sum()
        for one in replicates
    ]
    return Imputed(
        whole,
        each,
        completeness,
        completeness * _standard_error(drops),
        _standard_error([one.log_likelihood for one in each]),
        mean,
    )


def _add(left: ClassSums, right: ClassSums) -> ClassSums:
    return left + right


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _require_chance(chance: Array, replicates: Sequence[ClassSums], observation: Observation) -> None:
    """Refuse chances Z (B,) of classes with rows that are not well above their own errors."""
    each = np.array([one.unobserved for one in replicates])
    errors = each.std(axis=0, ddof=1) / np.sqrt(len(each))
    lost = (observation.classes.weights > 0) & ~(chance > LEAST_RESOLVED * errors)
    if lost.any():
        b = int(np.flatnonzero(lost)[0])
        raise Unresolved(
            f"the model gives rows with noise covariance {unpack(observation.classes.noise)[b].tolist()} a chance of "
            f"{chance[b]:.3g} +- {errors[b]:.2g} of being observed, which the points do not resolve. The components "
            "lie where the selection keeps almost nothing: use fewer components, or a prior."
        )


def _replicate(
    population: Population,
    observation: Observation,
    mean: ClassSums,
    one: ClassSums,
    factors: Array,
    chance: Array,
) -> Statistics:
    """First-order statistics that one replicate would have led to."""
    excess = (one.unobserved - mean.unobserved) / chance
    sums = ClassSums(
        one.n_points,
        one.zeroth + mean.zeroth * excess[:, None],
        one.first + mean.first * excess[:, None, None],
        one.second + mean.second * excess[:, None, None],
    )
    return _spread(
        population, observation, sums, factors, float(np.sum(observation.classes.weights * excess))
    )


def _spread(
    population: Population, observation: Observation, sums: ClassSums, factors: Array, log_likelihood: float
) -> Statistics:
    """Add the classes, each times its factor, and put the sums where they belong among all features."""
    zeroth = np.einsum("b,bk->k", factors, sums.zeroth)
    first = np.einsum("b,bkf->kf", factors, sums.first)
    second = np.einsum("b,bkp->kp", factors, sums.second)
    n_components = population.n_components
    whole = Statistics.zero(n_components, population.n_features, len(population.backgrounds))
    if observation.projection is None:
        whole.first[:, observation.columns] = first
        whole.second[:, sub_positions(observation.columns)] = second
    else:
        R = observation.projection
        whole.first[:] = np.einsum("fd,kf->kd", R, first)
        whole.second[:] = pack(np.einsum("fd,kfg,ge->kde", R, unpack(second), R))
    weight = float(zeroth.sum())
    return Statistics(
        sums.n_points,
        weight,
        log_likelihood,
        zeroth[:n_components],
        whole.first,
        whole.second,
        zeroth[n_components:],
    )
