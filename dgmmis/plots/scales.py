"""Where an axis begins and ends, and how its ticks and labels read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.plots.drawing import display_name, show_label
from dgmmis.plots.library import Axis, FixedFormatter, FixedLocator, MaxNLocator, ScalarFormatter
from dgmmis.rows import Rows

__all__ = ["Span", "format_axis", "spans_of"]

Span = tuple[float, float]

QUANTILES = (0.005, 0.995)
OUTER_QUANTILES = (0.0005, 0.9995)
NOTABLE = 0.01
"""Amplitude from which on a component's 2-sigma extent is kept in sight."""
PADDING = 0.06
EDGE = 0.035
"""Share of the range without ticks at either end, so that labels of neighbouring panels stay apart."""


def spans_of(mixture: Mixture, rows: Rows | None, *, beyond: bool = False) -> list[Span]:
    """Choose each feature's range: the bulk of the rows and the notable components, no lone outlier.

    The components widen the range of the bulk (99 % of the rows), but never beyond 99.9 % of the rows: a
    broad component that soaks up outliers must not shrink everything else to a dot.  With `beyond`, where
    a selection hides rows, they may double that range.
    """
    return [_span(mixture, rows, j, beyond) for j in range(mixture.n_features)]


def _span(mixture: Mixture, rows: Rows | None, feature: int, beyond: bool) -> Span:
    notable = mixture.amplitudes >= min(NOTABLE, mixture.amplitudes.max())
    center = mixture.means[notable, feature]
    reach = (3 if beyond else 2) * np.sqrt(mixture.covariances[notable, feature, feature])
    low, high = float((center - reach).min()), float((center + reach).max())
    present = np.empty(0) if rows is None else _present(rows.values[:, feature])
    if len(present):
        inner, outer = np.quantile(present, QUANTILES), np.quantile(present, OUTER_QUANTILES)
        if beyond:
            outer = outer + 0.5 * (outer[1] - outer[0]) * np.array([-1, 1])
        low = float(min(inner[0], max(low, outer[0])))
        high = float(max(inner[1], min(high, outer[1])))
    if not high > low:
        half = 0.5 * (abs(low) or 1.0)
        low, high = low - half, high + half
    margin = PADDING * (high - low)
    return low - margin, high + margin


def _present(values: Array) -> Array:
    return np.asarray(values[~np.isnan(values)])


def exponent_of(span: Span) -> int:
    """Power of ten to divide tick labels by, 0 for none.

    Very large and very small numbers get one, unless they differ only in their last digits: 1000001 and
    1000002 would both read 1.
    """
    largest = max(abs(span[0]), abs(span[1]))
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    differs = span[1] - span[0] > 1e-2 * largest
    return exponent if differs and not -4 < exponent < 5 else 0


def format_axis(axis: Axis, span: Span, n_ticks: int) -> int:
    """Place at most `n_ticks` ticks with labels free of offsets; return the power of ten they leave out."""
    exponent = exponent_of(span)
    edge = EDGE * (span[1] - span[0])
    candidates = MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10]).tick_values(*span)
    inside = [float(tick) for tick in candidates if span[0] + edge <= tick <= span[1] - edge]
    axis.set_major_locator(FixedLocator(inside))
    labels = _labels([tick / 10.0**exponent for tick in inside])
    axis.set_major_formatter(FixedFormatter(labels))
    return exponent


def _labels(ticks: Sequence[float]) -> list[str]:
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    while decimals < 12 and any(abs(round(tick, decimals) - tick) > 1e-3 * step for tick in ticks):
        decimals += 1
    return [
        f"{tick if abs(tick) > 1e-9 * step else 0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
        for tick in ticks
    ]


def label_axis(axis: Axis, name: str, unit: str, exponent: int, *, longest: int) -> None:
    """Label an axis with its feature, unit and power of ten, in two lines where one would be too long."""
    text = display_name(name, longest)
    scale = f"10{str(exponent).translate(SUPERSCRIPT)}" if exponent else ""
    measure = " ".join(part for part in (scale, display_name(unit, longest)) if part)
    if measure:
        between = "\n" if len(text) + len(measure) + 3 > longest else " "
        text += f"{between}[{measure}]"
    show_label(axis.set_label_text, text)


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain_numbers() -> ScalarFormatter:
    """Make a tick formatter without offset or power of ten."""
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    return formatter
