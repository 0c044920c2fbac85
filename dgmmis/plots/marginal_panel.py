"""A panel on the corner plot's diagonal: one feature's histogram and densities."""

from __future__ import annotations

import numpy as np

from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.plots.corner_content import Corner
from dgmmis.plots.drawing import INK
from dgmmis.plots.library import Axes
from dgmmis.plots.marginals import convolved_density, density, noise_classes, noise_variances
from dgmmis.plots.palette import DISTINCT, HISTOGRAM
from dgmmis.plots.scales import Span

__all__ = ["draw_marginal"]

N_POINTS = 400
REFINED = 64
"""Components up to which the curve gets points of its own around each, so that no narrow peak is missed."""
TALLEST = 2.4
"""How many times the histogram's peak a noise-free peak may reach before it leaves the panel."""
THINNEST = 1e-3
"""Least dispersion drawn, as a share of the range: a component without extent would be an infinite peak."""


def draw_marginal(axes: Axes, corner: Corner, feature: int) -> None:
    """Draw the histogram of one feature, the components, and the model's density without and with noise."""
    span, mixture = corner.spans[feature], corner.model.mixture
    means = mixture.means[:, feature]
    variances = np.maximum(mixture.covariances[:, feature, feature], (THINNEST * (span[1] - span[0])) ** 2)
    points = curve_points(span, means, np.sqrt(variances))
    free = density(points, mixture.amplitudes, means, variances)
    top = float(free.max())
    if corner.rows is not None and (present := ~np.isnan(corner.rows.values[:, feature])).any():
        weights = np.ones(len(corner.rows)) if corner.rows.weights is None else corner.rows.weights
        heights = _draw_histogram(axes, corner.rows.values[present, feature], weights[present], span)
        top = max(heights.max(), min(top, TALLEST * heights.max()))
        if corner.rows.noise.kind != "none":
            classes = noise_classes(noise_variances(corner.rows, feature, present), weights[present])
            blurred = convolved_density(points, mixture.amplitudes, means, variances, classes)
            top = max(top, float(blurred.max()))
            axes.plot(points, blurred, color=INK, linewidth=1.3, linestyle=(0, (3.5, 1.8)), zorder=5)
    _draw_components(axes, mixture, points, means, variances, corner.colors)
    axes.plot(points, free, color=INK, linewidth=1.3, zorder=4)
    axes.set(xlim=span, ylim=(0, 1.07 * top), yticks=[])


def curve_points(span: Span, means: Array, deviations: Array) -> Array:
    """Points along a feature's range, denser around the components."""
    points = [np.linspace(*span, N_POINTS)]
    if len(means) <= REFINED:
        points += [m + s * np.linspace(-4, 4, 41) for m, s in zip(means, deviations, strict=True)]
    joined = np.unique(np.concatenate(points))
    return np.asarray(joined[(joined >= span[0]) & (joined <= span[1])])


def _draw_histogram(axes: Axes, values: Array, weights: Array, span: Span) -> Array:
    """Draw a histogram normalised by all rows that observed the feature, those outside the range too."""
    n_bins = int(np.clip(np.sqrt(len(values)), 16, 80))
    counts, edges = np.histogram(values, n_bins, range=span, weights=weights)
    heights = counts / (weights.sum() * (edges[1] - edges[0]))
    axes.stairs(heights, edges, fill=True, color=HISTOGRAM, zorder=1)
    return np.asarray(heights)


def _draw_components(
    axes: Axes, mixture: Mixture, points: Array, means: Array, variances: Array, colors: list[str]
) -> None:
    if mixture.n_components > len(DISTINCT) or mixture.n_components == 1:
        return
    for k, color in enumerate(colors):
        curve = density(points, mixture.amplitudes[[k]], means[[k]], variances[[k]])
        axes.plot(points, curve, color=color, linewidth=0.9, zorder=3)
