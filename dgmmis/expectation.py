"""One chunk's expectation step: samples and a population in, statistics out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.densities import fixed_components, log_amplitudes, noise_rows, noisy_components, require_finite
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.kernels import fixed_statistics, noisy_statistics
from dgmmis.packed import Array, pack, packed_size, sub_positions, unpack
from dgmmis.population import Population
from dgmmis.projection_kernels import projected_statistics
from dgmmis.samples import PatternGroup, Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut, is_certain
from dgmmis.tilted_background import kept_background_densities
from dgmmis.tilted_expectation import summarize_uncertain

__all__ = ["prepare", "summarize_samples"]


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
    population: Population, samples: Samples, *, first_row: int = 0, cut: Cut | None = None
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

    Raises
    ------
    InvalidData
        If a row has no finite density, or a component as rows see it is singular, naming the row.
    SelectionError
        If the selection fails.
    """
    statistics = _nothing(population)
    for group in samples.groups:
        if cut is None or is_certain(group, cut):
            statistics = statistics + _summarize_group(population, samples, group, first_row)
        else:
            statistics = statistics + summarize_uncertain(
                population, samples, group, cut, first_row=first_row
            )
    return statistics


def _nothing(population: Population) -> Statistics:
    return Statistics.zero(population.n_components, population.n_features, len(population.backgrounds))


@dataclass(frozen=True)
class _Sums:
    """What the kernels add to, in whatever features they work in."""

    zeroth: Array
    first: Array
    second: Array
    log_density: Array

    @classmethod
    def zero(cls, population: Population, group: PatternGroup, n_features: int) -> _Sums:
        n_components = population.n_components
        return cls(
            np.zeros(n_components + len(population.backgrounds)),
            np.zeros((n_components, n_features)),
            np.zeros((n_components, packed_size(n_features))),
            np.empty(len(group.rows)),
        )

    def moved(self, first: Array, second: Array) -> _Sums:
        return _Sums(self.zeroth, first, second, self.log_density)


def _summarize_group(
    population: Population, samples: Samples, group: PatternGroup, first_row: int
) -> Statistics:
    if group.has_own_projections:
        sums = _projected_sums(population, group)
    elif samples.noise_kind in ("none", "shared"):
        sums = _in_all_features(population, group, _fixed_sums(population, group, first_row))
    else:
        sums = _in_all_features(population, group, _noisy_sums(population, group))
    require_finite(sums.log_density, group, first_row)
    return Statistics(
        len(group.rows),
        float(group.weights.sum()),
        float(np.sum(group.weights * sums.log_density)),  # not a BLAS product: its bits depend on its threads
        sums.zeroth[: population.n_components],
        sums.first,
        sums.second,
        sums.zeroth[population.n_components :],
    )


def _fixed_sums(population: Population, group: PatternGroup, first_row: int) -> _Sums:
    """Sum over rows that share one noise, or have none, in the features they saw."""
    mixture = population.mixture
    fixed = fixed_components(
        population.amplitudes, mixture.means, mixture.covariances, group, first_row=first_row
    )
    sums = _Sums.zero(population, group, len(group.observed))
    fixed_statistics(
        group.values,
        group.weights,
        _background_terms(population, group),
        group.proposal,
        fixed.constants,
        fixed.means,
        fixed.whiteners,
        sums.zeroth,
        sums.first,
        sums.second,
        sums.log_density,
    )
    return sums.moved(*_unwhiten(fixed.whiteners, sums.first, sums.second))


def _noisy_sums(population: Population, group: PatternGroup) -> _Sums:
    """Sum over rows that each have their own noise, in the features they saw."""
    mixture = population.mixture
    noisy = noisy_components(population.amplitudes, mixture.means, mixture.covariances, group)
    sums = _Sums.zero(population, group, len(group.observed))
    noisy_statistics(
        group.values,
        group.noise,
        group.weights,
        _background_terms(population, group),
        group.proposal,
        noisy.constants,
        noisy.means,
        noisy.covariances,
        noisy.reference,
        sums.zeroth,
        sums.first,
        sums.second,
        sums.log_density,
    )
    return sums


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
    return sums


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


def _in_all_features(population: Population, group: PatternGroup, seen: _Sums) -> _Sums:
    """From sums over what a group saw to sums over the mixture's features: h = R^T h', H = R^T H' R."""
    if group.projection is not None:
        R = group.projection
        return seen.moved(np.einsum("ia,ki->ka", R, seen.first), pack(R.T @ unpack(seen.second) @ R))
    whole = _Sums.zero(population, group, population.n_features)
    whole.first[:, group.observed] = seen.first
    whole.second[:, sub_positions(group.observed)] = seen.second
    return seen.moved(whole.first, whole.second)
