"""A panel on the corner plot's diagonal: one feature's histogram and densities."""

from __future__ import annotations

from typing import Any

import numpy as np

from dgmmis.distinct_colors import DISTINCT
from dgmmis.packed import Array
from dgmmis.plots.corner_content import Corner
from dgmmis.plots.drawing import INK, MUTED
from dgmmis.plots.library import Axes
from dgmmis.plots.marginals import NoiseClasses, density, noise_classes, noise_variances
from dgmmis.plots.one_feature import OneFeature
from dgmmis.plots.palette import HISTOGRAM
from dgmmis.plots.scales import Span
from dgmmis.rows import Rows

__all__ = ["draw_marginal"]

N_POINTS = 400
REFINED = 64
"""Components up to which the curve gets points of its own around each, so that no narrow peak is missed."""
TALLEST = 2.4
"""How many times the histogram's peak a noise-free peak may reach before it leaves the panel."""
THINNEST = 1e-3
"""Least dispersion drawn, as a share of the range: a component without extent would be an infinite peak."""
EXPECTED: dict[str, Any] = {"color": INK, "linewidth": 1.3, "linestyle": (0, (3.5, 1.8)), "zorder": 5}


def draw_marginal(axes: Axes, corner: Corner, feature: int) -> None:
    """Draw the histogram of one feature, the components, and the model's density without and with noise.

    Under a selection the density without noise is that of the complete sample, in units of the observed one.
    """
    span = corner.spans[feature]
    model = OneFeature.of(corner.model, feature, THINNEST * (span[1] - span[0]))
    points = curve_points(span, model.means, np.sqrt(model.variances))
    complete = 1 / corner.completeness
    free = complete * model.density(points)
    top = float(free.max())
    if corner.rows is not None and not np.isnan(corner.rows.values[:, feature]).all():
        heights, edges = _histogram(corner.rows, feature, span)
        axes.stairs(heights, edges, fill=True, color=HISTOGRAM, zorder=1)
        top = max(heights.max(), min(top, TALLEST * heights.max()))
        top = max(top, _draw_expected(axes, corner, feature, model, points))
    _draw_parts(axes, model, complete, points, corner.colors)
    axes.plot(points, free, color=INK, linewidth=1.3, zorder=4)
    axes.set(xlim=span, ylim=(0, 1.07 * top), yticks=[])


def curve_points(span: Span, means: Array, deviations: Array) -> Array:
    """Points along a feature's range, denser around the components."""
    points = [np.linspace(*span, N_POINTS)]
    if len(means) <= REFINED:
        points += [m + s * np.linspace(-4, 4, 41) for m, s in zip(means, deviations, strict=True)]
    joined = np.unique(np.concatenate(points))
    return np.asarray(joined[(joined >= span[0]) & (joined <= span[1])])


def _histogram(rows: Rows, feature: int, span: Span) -> tuple[Array, Array]:
    """Heights and edges, normalised by all rows that observed the feature, those outside the range too."""
    present = ~np.isnan(rows.values[:, feature])
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    n_bins = int(np.clip(np.sqrt(present.sum()), 16, 80))
    counts, edges = np.histogram(rows.values[present, feature], n_bins, range=span, weights=weights[present])
    return np.asarray(counts / (weights[present].sum() * (edges[1] - edges[0]))), edges


def _draw_expected(axes: Axes, corner: Corner, feature: int, model: OneFeature, points: Array) -> float:
    """Draw what the histogram should look like and return its height; nothing where that is the model itself."""
    assert corner.rows is not None
    observed = corner.observed
    if observed is None:
        if corner.rows.noise.kind == "none":
            return 0.0
        curve = model.convolved(points, _classes(corner.rows, feature))
    elif feature in observed.cut:
        side = observed.cut[feature]
        faces = [x for face in side for x in (np.nextafter(face, -np.inf), face, np.nextafter(face, np.inf))]
        points = np.unique(np.concatenate([points, [x for x in faces if points[0] < x < points[-1]]]))
        curve = model.cut(points, _classes(corner.rows, feature), side)
    elif observed.drawn is not None:
        curve, edges = _histogram(observed.drawn, feature, corner.spans[feature])
        points = (edges[1:] + edges[:-1]) / 2
    else:
        return 0.0
    axes.plot(points, curve, **EXPECTED)
    return float(curve.max())


def _classes(rows: Rows, feature: int) -> NoiseClasses:
    present = ~np.isnan(rows.values[:, feature])
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    return noise_classes(noise_variances(rows, feature, present), weights[present])


def _draw_parts(axes: Axes, model: OneFeature, scale: float, points: Array, colors: list[str]) -> None:
    """Draw the components, and what lies behind them."""
    if model.backgrounds:
        axes.plot(points, scale * model.behind(points), color=MUTED, linewidth=0.9, zorder=3)
    if len(colors) > len(DISTINCT) or (len(colors) == 1 and not model.backgrounds):
        return
    for k, color in enumerate(colors):
        curve = density(points, model.amplitudes[[k]], model.means[[k]], model.variances[[k]])
        axes.plot(points, scale * curve, color=color, linewidth=0.9, zorder=3)
