"""The tables of a report as they are set on pages."""

from __future__ import annotations

from typing import Any

from dgmmis.html_report.component_table import ComponentRow, FeatureBlock
from dgmmis.html_report.page_sheets import Sheets

__all__ = ["add_calibrations", "add_components", "add_features", "add_projections"]

MOST_COMPONENTS = 100
Content = dict[str, Any]


def add_components(sheets: Sheets, content: Content) -> None:
    """Set the components, features side by side as far as they fit."""
    components = content["components"]
    rows = components["rows"][:MOST_COMPONENTS]
    for block in components["blocks"]:
        headings = ["k", "amplitude", "effective\nrows"]
        for name, unit in block.features:
            of = f"{name}\n[{unit}]" if unit else name
            headings += [f"{of}\nmean", f"{of}\n\N{GREEK SMALL LETTER SIGMA}"]
        sheets.table(headings, [_component(row, block) for row in rows], [row.color for row in rows], texts=1)
    for place, (amplitude, error) in enumerate(components["backgrounds"]):
        sheets.paragraph(f"Background {place}: amplitude {_beside(amplitude, error)}.")
    if len(components["rows"]) > len(rows):
        sheets.paragraph(f"{len(components['rows']) - len(rows):,} smaller components are in the page only.")
    for sentence in (*components["errors"].sentences, *components["errors"].notes):
        sheets.paragraph(sentence, muted=True)


def _component(row: ComponentRow, block: FeatureBlock) -> list[str]:
    cells = [str(row.index), _beside(row.amplitude, row.amplitude_error), row.rows]
    for j in range(block.first, block.first + len(block.features)):
        cells += [
            _beside(row.means[j], row.mean_errors[j]),
            _beside(row.dispersions[j], row.dispersion_errors[j]),
        ]
    return cells


def _beside(number: str, error: str) -> str:
    if error in ("", "held", "unknown"):
        return f"{number} ({error})" if error else number
    return f"{number} ± {error}"


def add_projections(sheets: Sheets, content: Content) -> None:
    """Set how far projections differ."""
    rows = [[pair.name, pair.cells, pair.mean_square] for pair in content["check"].pairs]
    sheets.table(["projection", "cells", "mean squared deviation"], rows)


def add_calibrations(sheets: Sheets, content: Content) -> None:
    """Set the calibrations."""
    rows = [
        [one.name, one.rows, one.distance, one.chance, one.half, one.most, one.method]
        for one in content["check"].calibrations
    ]
    headings = ["feature", "rows", "off by", "p", "50 % interval holds", "90 % interval holds", "evaluated"]
    sheets.table(headings, rows)


def add_features(sheets: Sheets, content: Content) -> None:
    """Set what the catalogue says of its features."""
    keys = ("name", "unit", "observed", "share", "low", "high", "error")
    rows = [[one[key] or "-" for key in keys] for one in content["catalog"].feature_rows()]
    headings = ["feature", "unit", "observed", "share", "least", "greatest", "median error"]
    sheets.table(headings, rows, texts=2)
