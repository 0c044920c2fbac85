"""One chunk's expectation step: samples and a population in, statistics out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dgmmis.block_bounds import BlockBounds
from dgmmis.component_views import ComponentViews
from dgmmis.densities import log_amplitudes, noise_rows, require_finite
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.kernels import LARGEST, straight_kernels
from dgmmis.kernels.generic import fixed_statistics, noisy_statistics
from dgmmis.noise import NoiseKind
from dgmmis.packed import Array, pack, packed_size, sub_positions, unpack
from dgmmis.population import Population
from dgmmis.projection_kernels import projected_statistics
from dgmmis.samples import PatternGroup, Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut, is_certain
from dgmmis.tilted_background import kept_background_densities
from dgmmis.tilted_expectation import summarize_uncertain

__all__ = ["NEGLIGIBLE", "prepare", "summarize_samples"]

NEGLIGIBLE = 1e-15
"""Share of a row's density that components left out may hold by default: less than its last digit.

A larger share would not make up for it: with 1e-8 a pass over 256 compact components saves no more than a fifth.
"""


def prepare(population: Population, samples: Samples, cut: Cut | None = None) -> Samples:
    """Compute once what no parameter changes: the background densities of each row.

    Parameters
    ----------
    population : Population
    samples : Samples
    cut : Cut, optional
        The selection that rows passed: the background of rows that leave it uncertain is weighed by it.

    Raises
    ------
    InvalidData
        If the rows do not have, or do not lead to, the population's features.
    InvalidSetting
        If rows are projected and there is a background: a footprint lies in the features of the rows, whose
        density under a projection is not known.
    """
    if samples.latent_features != population.n_features:
        raise InvalidData(
            f"the rows have {samples.latent_features} features, as their projection if any leads to them; the "
            f"population has {population.n_features}.",
            array="values",
        )
    if not population.backgrounds:
        return samples
    if samples.is_projected:
        raise InvalidSetting(
            "a background cannot be combined with a projection: its density at a projected row is not defined by its "
            "footprint. Leave one of them out (a projection that is the identity for every row is none)."
        )
    return samples.with_densities(kept_background_densities(population.backgrounds, samples, cut))


def summarize_samples(
    population: Population,
    samples: Samples,
    *,
    first_row: int = 0,
    cut: Cut | None = None,
    negligible: float = 0.0,
    views: ComponentViews | None = None,
) -> Statistics:
    """Statistics of `samples` under `population`; exact, whatever is missing.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them.
    first_row : int
        What row 0 is called in messages.
    cut : Cut, optional
        The selection that rows passed: those that leave it uncertain are summed as it tilts them.
    negligible : float
        Components may be left out of a run of rows where they are certain to hold, all together, less than this
        share of each row's density; the statistics say what that comes to.  0 leaves none out.
    views : ComponentViews, optional
        Of `population`, to be shared between the chunks of a pass.

    Raises
    ------
    InvalidData
        If a row has no finite density, or a component as rows see it is singular, naming the row.
    SelectionError
        If the selection fails.
    """
    statistics = _nothing(population)
    pass_over = _PassOver(views or ComponentViews(population), samples.noise_kind, first_row, negligible)
    for group in samples.groups:
        if cut is None or is_certain(group, cut):
            statistics = statistics + pass_over.summarize(group)
        else:
            statistics = statistics + summarize_uncertain(
                population, samples, group, cut, first_row=first_row
            )
    return statistics


def _nothing(population: Population) -> Statistics:
    return Statistics.zero(population.n_components, population.n_features, len(population.backgrounds))


@dataclass(frozen=True)
class _Sums:
    """What the kernels add to, in whatever features they work in.

    `account` is the number of densities computed and the bound on what the others would have changed.
    """

    zeroth: Array
    first: Array
    second: Array
    log_density: Array
    account: Array

    @classmethod
    def zero(cls, population: Population, group: PatternGroup, n_features: int) -> _Sums:
        n_components = population.n_components
        return cls(
            np.zeros(n_components + len(population.backgrounds)),
            np.zeros((n_components, n_features)),
            np.zeros((n_components, packed_size(n_features))),
            np.empty(len(group.rows)),
            np.zeros(2),
        )

    def moved(self, first: Array, second: Array) -> _Sums:
        return replace(self, first=first, second=second)

    def of_all_pairs(self) -> _Sums:
        return replace(self, account=np.array([len(self.log_density) * len(self.first), 0.0]))


@dataclass(frozen=True)
class _PassOver:
    """One chunk's groups, one after the other."""

    views: ComponentViews
    noise_kind: NoiseKind
    first_row: int
    negligible: float

    def summarize(self, group: PatternGroup) -> Statistics:
        population = self.views.population
        if group.has_own_projections:
            sums = _projected_sums(population, group)
        elif self.noise_kind in ("none", "shared"):
            sums = _in_all_features(population, group, self._fixed_sums(group))
        else:
            sums = _in_all_features(population, group, self._noisy_sums(group))
        log_likelihood = float(
            np.sum(group.weights * sums.log_density)
        )  # not BLAS: its bits depend on its threads
        if not math.isfinite(log_likelihood):
            require_finite(sums.log_density, group, self.first_row)
        n_components = population.n_components
        return Statistics(
            len(group.rows),
            float(group.weights.sum()),
            log_likelihood,
            sums.zeroth[:n_components],
            sums.first,
            sums.second,
            sums.zeroth[n_components:],
            pairs=int(sums.account[0]),
            left_out=float(sums.account[1]),
        )

    def _fixed_sums(self, group: PatternGroup) -> _Sums:
        """Sum over rows that share one noise, or have none, in the features they saw."""
        population = self.views.population
        fixed = self.views.fixed(group, self.first_row)
        components = fixed.constants, fixed.means, fixed.whiteners
        sums = _Sums.zero(population, group, len(group.observed))
        into = sums.zeroth, sums.first, sums.second, sums.log_density
        extra = _background_terms(population, group)
        if not _is_straight(group):
            fixed_statistics(group.values, group.weights, extra, group.proposal, *components, *into)
            return sums.of_all_pairs().moved(*_unwhiten(fixed.whiteners, sums.first, sums.second))
        bounds, share = self._bounds(group)
        straight_kernels(len(group.observed)).statistics_fixed(
            group.values, group.weights, extra, group.proposal, *components,
            bounds.low, bounds.high, bounds.starts, share, *into, sums.account,
        )  # fmt: skip
        return sums.moved(*_scores(fixed.whiteners, sums, population.n_components))

    def _noisy_sums(self, group: PatternGroup) -> _Sums:
        """Sum over rows that each have their own noise, in the features they saw."""
        population = self.views.population
        noisy = self.views.noisy(group)
        sums = _Sums.zero(population, group, len(group.observed))
        into = sums.zeroth, sums.first, sums.second, sums.log_density
        extra = _background_terms(population, group)
        assert group.noise is not None
        bounds, share = self._bounds(group) if _is_straight(group) else (None, 0.0)
        if bounds is None or not noisy.is_tame(bounds.most_noise):
            noisy_statistics(
                group.values, group.noise, group.weights, extra, group.proposal,
                noisy.constants, noisy.means, noisy.covariances, noisy.reference, *into,
            )  # fmt: skip
            return sums.of_all_pairs()
        kernels = straight_kernels(len(group.observed))
        is_diagonal = group.noise.shape[1] == len(group.observed)
        kernel = kernels.statistics_diagonal if is_diagonal else kernels.statistics_full
        kernel(
            group.values, group.noise, group.weights, extra, noisy.log_amplitudes, noisy.means, noisy.covariances,
            bounds.low, bounds.high, bounds.noise_low, bounds.noise_high, bounds.starts, share, *into, sums.account,
        )  # fmt: skip
        return sums

    def _bounds(self, group: PatternGroup) -> tuple[BlockBounds, float]:
        """Bounds of the runs of rows, and ln of the share that each component left out of one may hold."""
        bounds = group.bounds or BlockBounds.of(group.values, group.noise)
        if self.negligible <= 0 or group.bounds is None:
            return bounds, -math.inf
        return bounds, math.log(self.negligible / self.views.population.n_components)


def _is_straight(group: PatternGroup) -> bool:
    """Tell whether there is straight-line code for a group."""
    return len(group.observed) <= LARGEST and not len(group.proposal)


def _projected_sums(population: Population, group: PatternGroup) -> _Sums:
    """Sum over rows that each have their own projection, in the mixture's features."""
    sums = _Sums.zero(population, group, population.n_features)
    projected_statistics(
        group.values,
        noise_rows(group),
        group.projection,
        group.weights,
        _background_terms(population, group),
        group.proposal,
        log_amplitudes(population.amplitudes, len(group.observed)),
        population.mixture.means,
        population.mixture.covariances,
        sums.zeroth,
        sums.first,
        sums.second,
        sums.log_density,
    )
    return sums.of_all_pairs()


def _background_terms(population: Population, group: PatternGroup) -> Array:
    if group.densities.shape[1] != len(population.backgrounds):
        raise InvalidSetting(
            f"the rows carry {group.densities.shape[1]} background densities, the population has "
            f"{len(population.backgrounds)}: prepare the rows for this population."
        )
    return population.weighted(group.densities) if population.backgrounds else group.densities


def _unwhiten(whiteners: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """From sums over y = W (x - m) to sums over u = W^T y: u = W^T y, u u^T - T^-1 = W^T (y y^T - 1) W."""
    lower = np.tril(unpack(whiteners))
    upper = lower.swapaxes(1, 2)
    return (upper @ first[:, :, None])[:, :, 0], pack(upper @ unpack(second) @ lower)


def _scores(whiteners: Array, sums: _Sums, n_components: int) -> tuple[Array, Array]:
    """From sums of q y and q y y^T to those of q u and q (u u^T - T^-1); components without rows keep their zeros."""
    active = np.flatnonzero(sums.zeroth[:n_components])
    second = unpack(sums.second[active])
    second -= sums.zeroth[active, None, None] * np.eye(second.shape[1])
    first, second = _unwhiten(whiteners[active], sums.first[active], pack(second))
    if len(active) == n_components:
        return first, second
    sums.first[active], sums.second[active] = first, second
    return sums.first, sums.second


def _in_all_features(population: Population, group: PatternGroup, seen: _Sums) -> _Sums:
    """From sums over what a group saw to sums over the mixture's features: h = R^T h', H = R^T H' R."""
    if group.projection is not None:
        R = group.projection
        return seen.moved(np.einsum("ia,ki->ka", R, seen.first), pack(R.T @ unpack(seen.second) @ R))
    if len(group.observed) == population.n_features:
        return seen
    whole = _Sums.zero(population, group, population.n_features)
    whole.first[:, group.observed] = seen.first
    whole.second[:, sub_positions(group.observed)] = seen.second
    return seen.moved(whole.first, whole.second)
