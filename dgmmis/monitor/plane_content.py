"""What is drawn in the plane of two features, or along one: plain numbers, before any of it is a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from dgmmis.monitor.look import component_color
from dgmmis.monitor.pilot_sample import PilotSample, ellipse
from dgmmis.monitor.record import Components
from dgmmis.packed import Array

__all__ = ["NO_BARS", "NO_IMAGE", "bars", "bins_of", "cross", "curves", "ellipses", "image"]

MANY = 30
"""More components than this are drawn as one ellipse each, the fainter the smaller their amplitude."""
BINS = (24, 80)
"""Fewest and most bins along a side."""
ROWS_OF_BIN = 10
POINTS = 201
Span = tuple[float, float]
Data = dict[str, list[Any]]

NO_IMAGE: Data = {"image": [], "x": [], "y": [], "dw": [], "dh": []}
NO_BARS: Data = {"left": [], "right": [], "top": []}


def bins_of(sample: PilotSample) -> int:
    """Choose the bins along a side: few rows get few."""
    return int(np.clip(np.sqrt(len(sample.values) / ROWS_OF_BIN), *BINS))


def image(sample: PilotSample, x: int, y: int, spans: tuple[Span, Span]) -> Data:
    """Logarithms of the counts of rows; where there are none, nothing is drawn."""
    (x0, x1), (y0, y1) = spans
    counts = sample.counts(x, y, *spans, bins_of(sample))
    with np.errstate(divide="ignore"):
        logs = np.where(counts > 0, np.log(counts), np.nan)
    return {"image": [logs], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0]}


def bars(sample: PilotSample, feature: int, span: Span) -> Data:
    """Density of the rows along one feature."""
    present = sample.values[:, feature]
    present = present[np.isfinite(present)]
    counts, edges = np.histogram(present, bins=bins_of(sample), range=span)
    density = counts / np.maximum(len(present) * np.diff(edges), np.finfo(float).tiny)
    return {"left": edges[:-1].tolist(), "right": edges[1:].tolist(), "top": density.tolist()}


def ellipses(components: Components, pair: list[int]) -> tuple[Data, Array]:
    """Lines at 1 and 2 sigma, of many components one each; and where their numbers stand (K, 2)."""
    means, blocks = components.means[:, pair], components.covariances[:, pair][:, :, pair]
    radii = (1, 2) if len(means) <= MANY else (1,)
    which = [(k, radius) for radius in radii for k in range(len(means))]
    return _lines(
        components, [(k, radius, ellipse(means[k], blocks[k], radius)) for k, radius in which]
    ), means


def curves(components: Components, feature: int, span: Span) -> tuple[Data, Array]:
    """Densities of the components along one feature; and where their numbers stand (K, 2)."""
    x = np.linspace(*span, POINTS)
    means, variances = components.means[:, feature], components.covariances[:, feature, feature]
    deviations = np.sqrt(np.maximum(variances, (1e-3 * (span[1] - span[0])) ** 2))
    peaks = components.amplitudes / (np.sqrt(2 * np.pi) * deviations)
    lines = peaks[:, None] * np.exp(-0.5 * ((x - means[:, None]) / deviations[:, None]) ** 2)
    drawn = [(k, 1, np.stack([x, line], axis=1)) for k, line in enumerate(lines)]
    return _lines(components, drawn), np.stack([means, peaks], axis=1)


def _lines(components: Components, drawn: list[tuple[int, int, Array]]) -> Data:
    count, amplitudes = len(components.amplitudes), components.amplitudes
    strength = np.sqrt(amplitudes / amplitudes.max()) if count > MANY else np.ones(count)
    return {
        "xs": [line[:, 0] for _, _, line in drawn],
        "ys": [line[:, 1] for _, _, line in drawn],
        "color": [component_color(k, count) for k, _, _ in drawn],
        "alpha": [0.15 + 0.85 * float(strength[k]) for k, _, _ in drawn],
        "width": [2.2 if radius == 1 else 1.4 for _, radius, _ in drawn],
    }


def cross(errors: Array, spans: tuple[Span, Span]) -> Data:
    """Draw a typical error (2,) in the lower left corner; nothing without noise."""
    if not errors.any():
        return {"xs": [], "ys": []}
    (x0, x1), (y0, y1) = spans
    x = max(x0 + 0.1 * (x1 - x0), x0 + 1.2 * errors[0])
    y = max(y0 + 0.12 * (y1 - y0), y0 + 1.2 * errors[1])
    return {"xs": [[x - errors[0], x + errors[0]], [x, x]], "ys": [[y, y], [y - errors[1], y + errors[1]]]}
