"""Straight lines of the moments: how a step moves a population along a valley that is curved in its parameters.

What rows say most sharply is the sum over all components of amplitude, of amplitude times mean and of amplitude times
second moment: rows fix it long before they tell which component has what.  Where components overlap, the likelihood has
long valleys in which these sums stay and the parameters bend.  On a line on which each component's own moments change
in proportion, the sums change in proportion too, so that a step along the valley's direction stays in the valley.
"""

from __future__ import annotations

import numpy as np

from dgmmis.constrained_covariances import is_near, of_type, raise_to_floor
from dgmmis.coordinates import Chart, Place, Tangent
from dgmmis.freedom import amplitude_limits
from dgmmis.packed import Array

__all__ = ["place_on_line"]

LEAST_AMPLITUDE = 0.05
"""Share of its amplitude that a component must keep; a step that takes more bends with the chart."""


def place_on_line(chart: Chart, step: Array) -> Place:
    """Return the population that a step (p,) from a chart's origin reaches.

    With a, m, V at the origin and their changes a', m', V' to first order, amplitudes become a + a', and the moments
    a, a m and a (V + m m^T) change in proportion to the step: with t = a / (a + a') means become m + t m' and
    covariances V + t V' - t^2 m' m'^T, brought to the covariance type.  What is frozen or on a floor stays.

    Where that would leave too little of an amplitude or a variance, or lead past a limit or below a floor, it is the
    population at the chart's coordinates instead, which has the same changes to first order.
    """
    return _on_line(chart, chart.tangent(step)) or chart.place(step)


def _on_line(chart: Chart, change: Tangent) -> Place | None:
    origin, mixture = chart.origin, chart.origin.mixture
    n_components = origin.n_components
    before = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    amplitudes = before + change.amplitudes
    if not _are_allowed(chart, before, amplitudes):
        return None
    shares = np.ones(n_components)
    np.divide(
        before[:n_components],
        amplitudes[:n_components],
        out=shares,
        where=change.amplitudes[:n_components] != 0,
    )
    moved = shares[:, None] * change.means
    covariances = mixture.covariances.copy()
    for owners, directions in chart.freedom.covariances:
        if directions not in (origin.n_features, (True,) * origin.n_features):
            return None
        own = list(owners)
        weights = amplitudes[own] / amplitudes[own].sum()
        grown = np.einsum("k,k,kde->de", weights, shares[own], change.covariances[own])
        apart = np.einsum("k,kd,ke->de", weights, moved[own], moved[own])
        (changed,) = of_type((grown - apart)[None], chart.constraints.covariance_type)
        covariance = mixture.covariances[own[0]] + (changed + changed.T) / 2
        covariances[own] = chart.edge.brought_back(own[0], covariance)
    if chart.constraints.floor is not None and not is_near(
        raise_to_floor(covariances, chart.constraints), covariances
    ):
        return None
    return Place(
        origin.with_parameters(
            amplitudes[:n_components], amplitudes[n_components:], mixture.means + moved, covariances
        ),
        inside=True,
    )


def _are_allowed(chart: Chart, before: Array, amplitudes: Array) -> bool:
    """Tell whether the amplitudes that may move are within their limits, and no smaller than one step may make them."""
    free = np.array(chart.freedom.amplitudes, dtype=bool)
    lowest, highest = amplitude_limits(chart.origin)
    least = np.maximum(lowest, LEAST_AMPLITUDE * before)
    return bool(((amplitudes > least) & (amplitudes < highest))[free].all())
