"""Components as ellipses in the plane of two features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.plots.library import Axes, LineCollection, to_rgba, withStroke

__all__ = ["MANY", "draw_ellipses", "ellipse"]

MANY = 30
"""More components than this are drawn as one ellipse each, the fainter the smaller their amplitude."""
NUMBERED = 12
HALO = (withStroke(linewidth=2.2, foreground="white"),)


def ellipse(center: Array, covariance: Array, radius: float, n_points: int = 97) -> Array:
    """Points (n_points, 2) at Mahalanobis distance `radius` from `center`; a line if singular."""
    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, n_points)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(center + radius * ((vectors * np.sqrt(np.maximum(values, 0))) @ circle).T)


def draw_ellipses(
    axes: Axes, mixture: Mixture, pair: tuple[int, int], colors: Sequence[str], noise: Array | None
) -> None:
    """Draw each component at 1 and 2 sigma: solid without noise, dashed with `noise` (D, D) added."""
    index = np.array(pair)
    means = mixture.means[:, index]
    blocks = mixture.covariances[:, index[:, None], index]
    if mixture.n_components > MANY:
        strength = np.sqrt(mixture.amplitudes / mixture.amplitudes.max())
        faded = [to_rgba(color, 0.12 + 0.88 * s) for color, s in zip(colors, strength, strict=True)]
        _add(axes, means, blocks, (1,), faded, 1.0, "solid")
        return
    solid = [to_rgba(color) for color in colors]
    _add(axes, means, blocks, (1, 2), solid, 1.25, "solid")
    if noise is not None:
        _add(axes, means, blocks + noise[index[:, None], index], (1, 2), solid, 0.8, (0, (3, 1.6)))
    axes.scatter(means[:, 0], means[:, 1], s=9, c=list(colors), edgecolor="white", linewidth=0.6, zorder=5)
    if mixture.n_components <= NUMBERED and mixture.n_features <= 4:
        _number(axes, means, colors)


def _add(
    axes: Axes,
    means: Array,
    covariances: Array,
    radii: tuple[int, ...],
    colors: list[tuple[float, float, float, float]],
    width: float,
    style: object,
) -> None:
    for radius in radii:
        lines = [ellipse(m, c, radius) for m, c in zip(means, covariances, strict=True)]
        if style == "solid" and len(lines) <= MANY:
            under = LineCollection(lines, colors="white", linewidths=width + 1.1, alpha=0.55, zorder=3)
            axes.add_collection(under, autolim=False)
        over = LineCollection(lines, colors=colors, linewidths=width, linestyles=[style], zorder=4)
        axes.add_collection(over, autolim=False)


def _number(axes: Axes, means: Array, colors: Sequence[str]) -> None:
    for k, (mean, color) in enumerate(zip(means, colors, strict=True)):
        axes.annotate(
            str(k),
            (float(mean[0]), float(mean[1])),
            (3, 3),
            textcoords="offset points",
            color=color,
            fontsize=8,
            fontweight="bold",
            path_effects=list(HALO),
            annotation_clip=True,
            zorder=6,
        )
