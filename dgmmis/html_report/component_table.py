"""The fitted components as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.html_report.number_text import aligned, count, signed
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plots import component_colors

__all__ = ["ComponentRow", "Correlations", "FeatureBlock", "component_rows", "correlations", "feature_blocks"]

ROOM = 96
"""Letters that fit beside the amplitudes on a line of the page."""
GAP = 6
"""Room between features, in letters."""


@dataclass(frozen=True)
class FeatureBlock:
    """Features that fit side by side on the page: names, units, and where they begin."""

    first: int
    features: list[tuple[str, str]]


@dataclass(frozen=True)
class ComponentRow:
    """One component: its index in the model's arrays, colour, and numbers as text."""

    index: int
    color: str
    amplitude: str
    bar: float
    rows: str
    means: list[str]
    dispersions: list[str]


@dataclass(frozen=True)
class Correlations:
    """Correlation matrix of a component: rows of (text, background colour)."""

    index: int
    color: str
    cells: list[list[tuple[str, str]]]


def feature_blocks(model: Model, rows: list[ComponentRow]) -> list[FeatureBlock]:
    """Cut the features into blocks whose numbers fit side by side."""
    pairs = list(zip(model.features, model.units, strict=True))
    blocks, first, used = [], 0, 0
    for j in range(len(pairs)):
        width = GAP + max(len(row.means[j]) for row in rows) + max(len(row.dispersions[j]) for row in rows)
        if used + width > ROOM and j > first:
            blocks.append(FeatureBlock(first, pairs[first:j]))
            first, used = j, 0
        used += width
    return [*blocks, FeatureBlock(first, pairs[first:])]


def component_rows(model: Model, effective_rows: Array) -> list[ComponentRow]:
    """Write the components, the largest amplitude first."""
    mixture = model.mixture
    dispersions = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    means, spreads = [], []
    for j in range(mixture.n_features):
        resolution = _resolution(dispersions[:, j])
        means.append(aligned(mixture.means[:, j].tolist(), resolution))
        spreads.append(aligned(dispersions[:, j].tolist(), resolution))
    whole = model.population.amplitudes
    amplitudes = aligned(whole.tolist(), float(np.clip(whole.min(), 1e-6, 1e-2)))
    colors = component_colors(mixture.amplitudes)
    return [
        ComponentRow(
            k,
            colors[k],
            amplitudes[k],
            round(100 * float(mixture.amplitudes[k] / mixture.amplitudes.max()), 2),
            count(effective_rows[k]) if effective_rows[k] >= 100 else f"{effective_rows[k]:.1f}",
            [column[k] for column in means],
            [column[k] for column in spreads],
        )
        for k in _order(model)
    ]


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
