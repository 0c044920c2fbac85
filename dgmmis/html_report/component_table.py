"""The fitted components as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.html_report.number_text import aligned, count, signed
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plots import component_colors
from dgmmis.spread import Errors

__all__ = [
    "ComponentRow",
    "Correlations",
    "FeatureBlock",
    "background_rows",
    "component_rows",
    "correlations",
    "feature_blocks",
]

ROOM = 96
"""Letters that fit beside the amplitudes on a line of the page."""
GAP = 6
"""Room between features, in letters."""
ERRORS_BESIDE = 10
"""Room that the amplitudes' errors take, in letters."""


@dataclass(frozen=True)
class FeatureBlock:
    """Features that fit side by side on the page: names, units, and where they begin."""

    first: int
    features: list[tuple[str, str]]


@dataclass(frozen=True)
class ComponentRow:
    """One component: its index in the model's arrays, colour, and numbers as text.

    The errors are "" where there are none to show, and "held" or "unknown" where they are 0 or infinite.
    """

    index: int
    color: str
    amplitude: str
    amplitude_error: str
    bar: float
    rows: str
    means: list[str]
    mean_errors: list[str]
    dispersions: list[str]
    dispersion_errors: list[str]


@dataclass(frozen=True)
class Correlations:
    """Correlation matrix of a component: rows of (text, background colour)."""

    index: int
    color: str
    cells: list[list[tuple[str, str]]]


def feature_blocks(model: Model, rows: list[ComponentRow]) -> list[FeatureBlock]:
    """Cut the features into blocks whose numbers fit side by side."""
    pairs = list(zip(model.features, model.units, strict=True))
    room = ROOM - (ERRORS_BESIDE if any(row.amplitude_error for row in rows) else 0)
    blocks, first, used = [], 0, 0
    for j in range(len(pairs)):
        width = GAP + max(_width(row.means[j], row.mean_errors[j]) for row in rows)
        width += max(_width(row.dispersions[j], row.dispersion_errors[j]) for row in rows)
        if used + width > room and j > first:
            blocks.append(FeatureBlock(first, pairs[first:j]))
            first, used = j, 0
        used += width
    return [*blocks, FeatureBlock(first, pairs[first:])]


def _width(number: str, error: str) -> int:
    """Letters of a number with its error, which are a little smaller."""
    return len(number) + (len(error) + 2 if error else 0)


def component_rows(model: Model, effective_rows: Array, errors: Errors | None = None) -> list[ComponentRow]:
    """Write the components, the largest amplitude first, with their standard errors if there are any."""
    mixture = model.mixture
    dispersions = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    means: list[list[str]] = []
    mean_errors: list[list[str]] = []
    spreads: list[list[str]] = []
    spread_errors: list[list[str]] = []
    for j in range(mixture.n_features):
        resolution = _resolution(dispersions[:, j])
        of_means = None if errors is None else errors.means[:, j]
        of_spreads = None if errors is None else _dispersion_errors(errors, dispersions[:, j], j)
        for numbers, known, texts, more in (
            (mixture.means[:, j], of_means, means, mean_errors),
            (dispersions[:, j], of_spreads, spreads, spread_errors),
        ):
            written, beside = _column(numbers, known, resolution)
            texts.append(written)
            more.append(beside)
    whole = model.population.amplitudes
    known = None if errors is None else errors.amplitudes
    amplitudes, beside = _column(whole, known, float(np.clip(whole.min(), 1e-6, 1e-2)))
    colors = component_colors(mixture.amplitudes)
    return [
        ComponentRow(
            k,
            colors[k],
            amplitudes[k],
            beside[k],
            round(100 * float(mixture.amplitudes[k] / mixture.amplitudes.max()), 2),
            count(effective_rows[k]) if effective_rows[k] >= 100 else f"{effective_rows[k]:.1f}",
            [column[k] for column in means],
            [column[k] for column in mean_errors],
            [column[k] for column in spreads],
            [column[k] for column in spread_errors],
        )
        for k in _order(model)
    ]


def _dispersion_errors(errors: Errors, dispersions: Array, feature: int) -> Array:
    """Give the standard errors of square roots of variances."""
    safe = np.where(dispersions > 0, dispersions, 1)
    return np.asarray(errors.covariances[:, feature, feature] / (2 * safe))


def _column(numbers: Array, errors: Array | None, resolution: float) -> tuple[list[str], list[str]]:
    """Write numbers and errors with the same decimals: two digits of the smallest error, or more."""
    if errors is None:
        return aligned(numbers.tolist(), resolution), [""] * len(numbers)
    known = errors[np.isfinite(errors) & (errors > 0)]
    if len(known):
        resolution = min(resolution, 10 * float(known.min()))
    usable = np.where(np.isfinite(errors), errors, 0)
    both = aligned([*numbers.tolist(), *usable.tolist()], resolution)
    beside = [
        text if 0 < error < np.inf else ("held" if error == 0 else "unknown")
        for text, error in zip(both[len(numbers) :], errors, strict=True)
    ]
    return both[: len(numbers)], beside


def background_rows(model: Model, errors: Errors | None) -> list[tuple[str, str]]:
    """Write the backgrounds' amplitudes and their standard errors."""
    amplitudes = model.population.background_amplitudes
    if not len(amplitudes):
        return []
    known = None if errors is None else errors.background
    return list(zip(*_column(amplitudes, known, 1e-2), strict=True))


def correlations(model: Model) -> list[Correlations]:
    """Write the correlation matrices, lower triangles, the largest amplitude first."""
    colors = component_colors(model.mixture.amplitudes)
    return [Correlations(k, colors[k], _cells(model.mixture.covariances[k])) for k in _order(model)]


def _order(model: Model) -> list[int]:
    return [int(k) for k in np.argsort(-model.mixture.amplitudes, kind="stable")]


def _resolution(dispersions: Array) -> float:
    """Find the smallest dispersion that deserves its digits: far smaller ones would lengthen every number."""
    positive = dispersions[dispersions > 0]
    if len(positive) == 0:
        return 1.0
    return float(max(positive.min(), np.median(positive) / 100))


def _cells(covariance: Array) -> list[list[tuple[str, str]]]:
    scale = np.sqrt(np.diagonal(covariance))
    safe = np.where(scale > 0, scale, 1)
    matrix = covariance / np.outer(safe, safe)
    return [
        [(signed(matrix[i, j]), _tint(float(matrix[i, j]))) for j in range(i)] for i in range(1, len(matrix))
    ]


def _tint(correlation: float) -> str:
    """Orange for positive, blue for negative correlations, deeper the stronger, never too dark for text."""
    red, green, blue = (213, 94, 0) if correlation > 0 else (0, 114, 178)
    return f"rgba({red}, {green}, {blue}, {0.5 * min(1.0, abs(correlation)):.3f})"
