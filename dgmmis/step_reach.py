"""How far one step may lead: no farther than a quadratic form can say."""

from __future__ import annotations

import numpy as np

from dgmmis.coordinates import Chart
from dgmmis.packed import Array

__all__ = ["longest_observed", "within_coordinates", "within_observed"]

MOST_OBSERVED = 0.5
"""Most that a mean moves in one step, or a dispersion grows, in dispersions as they are observed."""

MOST_GROWTH = 1.0
"""Times itself by which an amplitude may grow in one step."""

MOST_BY_COORDINATE = 1.0
"""Most that a coordinate changes in one step: a logarithm, or a mean or a covariance in its own dispersions."""


def within_observed(chart: Chart, step: Array) -> Array:
    """Shorten a step (p,) from a chart's origin that would change too much of what is observed.

    A component far smaller than the noise may move by many times its own dispersion: nobody sees that.
    """
    return step / max(1.0, _farthest(chart, step))


def longest_observed(chart: Chart, step: Array) -> float:
    """Return how many times a step (p,) from a chart's origin may be made at most."""
    return 1 / max(_farthest(chart, step), float(np.finfo(np.float64).tiny))


def within_coordinates(chart: Chart, step: Array) -> Array:
    """Shorten a step (p,) that would change some coordinate too much."""
    changes = np.abs(step) / chart.root_rows
    return step / max(1.0, float(changes.max(initial=0.0)) / MOST_BY_COORDINATE)


def _farthest(chart: Chart, step: Array) -> float:
    """How far a step changes what is observed, in units of the most that it may."""
    origin, change = chart.origin, chart.tangent(step)
    before = np.concatenate((origin.amplitudes, origin.background_amplitudes))
    growth = change.amplitudes / np.maximum(before, np.finfo(np.float64).tiny)
    moving = np.flatnonzero(change.means.any(axis=1) | change.covariances.any(axis=(1, 2)))
    frames = np.linalg.inv(np.linalg.cholesky(chart.observed[moving]))
    moved = np.einsum("kde,ke->kd", frames, change.means[moving])
    spread = frames @ change.covariances[moving] @ np.swapaxes(frames, 1, 2)
    return max(
        float(growth.max(initial=0.0)) / MOST_GROWTH,
        float(np.abs(moved).max(initial=0.0)) / MOST_OBSERVED,
        float(np.linalg.norm(spread, axis=(1, 2)).max(initial=0.0)) / (2 * MOST_OBSERVED),
    )
