"""The figures of a report, with what is to be said below them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dgmmis.checking import ModelCheck
from dgmmis.html_report.catalog_facts import CatalogFacts
from dgmmis.html_report.number_text import count, percent, significant
from dgmmis.html_report.run_facts import RunFacts
from dgmmis.model import Model
from dgmmis.packed import Array
from dgmmis.plots import (
    as_pdf,
    as_png,
    as_svg,
    draw_amplitudes,
    draw_calibration,
    draw_convergence,
    draw_data_and_model,
    draw_missing_patterns,
    draw_residuals,
    draw_start_paths,
    draw_starts,
)
from dgmmis.plots.corner_content import Corner, prepare_corner
from dgmmis.plots.corner_plot import draw_prepared
from dgmmis.plots.ellipses import MANY
from dgmmis.plots.library import Figure
from dgmmis.starts import Start

__all__ = ["Exhibit", "make_exhibits"]

MOST_PASSES = 300
"""Passes drawn of the amplitudes' history; more cannot be told apart."""


@dataclass(frozen=True)
class Exhibit:
    """A figure of a report.

    Attributes
    ----------
    figure : Figure
    description : str
        For those who cannot see it.
    caption : list of str
        Sentences below it.
    vector : bool
        The page holds it as outlines; one with many cells is smaller as pixels.
    """

    figure: Figure
    description: str
    caption: list[str]
    vector: bool = True

    @property
    def source(self) -> str:
        """A data URI for the page."""
        content = as_svg(self.figure) if self.vector else as_png(self.figure)
        kind = "svg+xml" if self.vector else "png"
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

    @cached_property
    def pdf(self) -> bytes:
        """One page of PDF, of the figure's size."""
        return as_pdf(self.figure)

    @property
    def width(self) -> int:
        """In pixels of the page."""
        return round(100 * float(self.figure.get_figwidth()))


def make_exhibits(facts: RunFacts, catalog: CatalogFacts, check: ModelCheck | None) -> dict[str, Exhibit]:
    """Draw what can be drawn, in the order of the page: `{name: exhibit}`."""
    exhibits = {}
    if facts.model is not None:
        exhibits["corner"] = _corner(facts, facts.model, catalog)
    if check is not None:
        exhibits |= _of_check(check)
    if facts.model is not None:
        exhibits["convergence"] = Exhibit(
            draw_convergence(
                facts.history,
                facts.tolerance,
                resumed=facts.resumed,
                redrawn=facts.redrawn,
                per=facts.per,
            ),
            "Log-likelihood of each pass, its gain and the predicted remaining gain",
            _convergence_caption(facts),
        )
    if facts.start is not None and np.isfinite(facts.start.mean_log_likelihoods).any():
        exhibits["starts"] = _starts(facts.start, facts.per)
    if facts.amplitudes:
        exhibits["amplitudes"] = Exhibit(
            draw_amplitudes(_thinned(facts.amplitudes)), "Amplitudes of the components over the passes", []
        )
    if catalog.is_incomplete:
        exhibits["patterns"] = Exhibit(
            draw_missing_patterns(facts.features, catalog.patterns),
            "The most frequent patterns of missing features and their numbers of rows",
            ["Dots are features that were observed, rings are missing."],
        )
    return exhibits


def _of_check(check: ModelCheck) -> dict[str, Exhibit]:
    beyond = "The outermost cells also hold the rows that lie beyond them."
    several = check.rows.n_features > 1
    what = "weight" if check.is_weighted else "rows"
    data = [
        f"{'On the diagonal, dots' if several else 'Dots'} are the {what} in each cell as observed, the line is "
        "what the "
        "model expects there, the bands its scatter at 1 and 2 standard deviations."
    ]
    if several:
        data.append(
            "Below the diagonal are the rows as observed, above it, mirrored, those of one simulated catalogue "
            "in the "
            "same shades."
        )
    residuals = [
        f"Orange: more {what} than the model expects; blue: fewer. In cells of few rows the deviation is what a "
        "Gaussian would need to be as improbable. The grey band of a single feature reaches to 2 standard deviations."
    ]
    return {
        "data_and_model": Exhibit(
            draw_data_and_model(check),
            "Rows as observed beside a simulated catalogue",
            [*data, beyond],
            vector=False,
        ),
        "residuals": Exhibit(
            draw_residuals(check),
            "Difference between observed and expected rows in cells of each feature and pair of features",
            [*residuals, beyond],
            vector=False,
        ),
        "calibration": Exhibit(
            draw_calibration(check),
            "Histograms of where the rows lie in their own distributions",
            [
                "In 95 of 100 cases all bars of a panel keep within its band, if the model holds; those "
                "outside are dark."
            ],
        ),
    }


def _starts(start: Start, per: str) -> Exhibit:
    if not start.trials:  # written before the paths of starts were kept
        figure = draw_starts(start.mean_log_likelihoods, start.chosen, per=per)
        return Exhibit(
            figure, "Mean log-likelihood of each start after its short fit, relative to the best", []
        )
    moved = any(trial.moved_at for trial in start.trials)
    return Exhibit(
        draw_start_paths(start.trials, start.chosen, per=per),
        "Mean log-likelihood of each start after every update of its short fit, relative to the best",
        ["Triangles: one component was split and two others were merged."] if moved else [],
    )


def _thinned(amplitudes: dict[int, Array]) -> dict[int, Array]:
    numbers = sorted(amplitudes)
    kept = np.unique(np.linspace(0, len(numbers) - 1, MOST_PASSES).round().astype(int))
    return {numbers[place]: amplitudes[numbers[place]] for place in kept}


def _convergence_caption(facts: RunFacts) -> list[str]:
    caption = ["Pass 0 evaluates the start; every update is followed by one pass over all rows."]
    if facts.resumed:
        caption.append("Dotted lines: the run was resumed there.")
    if facts.redrawn:
        caption.append(
            "Where the lines are broken the unobserved rows were imputed by other points: the log-likelihood "
            "jumps by "
            "the error that they make, and only what lies between two breaks is comparable."
        )
    return caption


def _corner(facts: RunFacts, model: Model, catalog: CatalogFacts) -> Exhibit:
    corner = prepare_corner(model, catalog.pilot, facts.observing)
    caption = [*_row_sentences(corner, int(facts.run.data["rows"])), *_mark_sentences(corner, model)]
    figure = draw_prepared(corner)
    return Exhibit(figure, "Corner plot of the rows and the fitted mixture", caption, vector=False)


def _row_sentences(corner: Corner, n_rows: int) -> list[str]:
    rows = corner.rows
    if rows is None:
        return [
            "The catalogue could not be read, so the model is drawn without rows and without their noise."
        ]
    share = "all" if len(rows) == n_rows else f"a random sample of {count(len(rows))} of"
    sentences = [
        f"Shown are {share} {count(n_rows)} rows, as observed, each in the panels whose features it has."
    ]
    if corner.n_outside:
        sentences.append(
            f"{count(corner.n_outside)} of them ({percent(corner.n_outside / len(rows))}) lie outside the "
            "ranges "
            "drawn."
        )
    if np.isnan(rows.values).any():
        sentences.append(
            "A histogram holds only the rows that observed its feature; where what is missing depends on the "
            "other features, it may rightly differ from the model."
        )
    return sentences


def _selection_sentences(corner: Corner) -> list[str]:
    observed = corner.observed
    assert observed is not None
    how = "with the noise of the very rows in the histogram, and behind the selection"
    sentences = [
        "On the diagonal the solid curve is the complete population without noise, the rows that were not "
        "observed included: the area below it is the number of rows in the complete sample for each one observed "
        f"({significant(1 / observed.completeness, 3)}).",
        f"The dashed line is what the fit expects of the histogram, {how}"
        + (", drawn at random and therefore a little rough in some panels" if observed.drawn else "")
        + "; where it fails to match the histogram the model, or what is said of the selection, is inadequate.",
    ]
    if observed.problem:
        sentences.append(f"It could not be drawn in every panel: {observed.problem}")
    return sentences


def _mark_sentences(corner: Corner, model: Model) -> list[str]:
    sentences = []
    if corner.observed is not None:
        sentences.extend(_selection_sentences(corner))
    elif corner.noise is not None:
        sentences.append(
            "On the diagonal the solid curve is the density that the fit infers without noise; the dashed "
            "one is "
            "that density blurred by the noise of the very rows in the histogram, and where it fails to "
            "match "
            "the histogram the model is inadequate."
        )
    if model.mixture.n_features > corner.n_features:
        sentences.append(
            f"Of {model.mixture.n_features} features the {corner.n_features} are drawn in which the "
            "components "
            "lie furthest apart, relative to the whole scatter."
        )
    if corner.n_features > 1 and model.mixture.n_components > MANY:
        sentences.append(
            "Of so many components only 1 sigma is drawn, the fainter the smaller the amplitude."
        )
    elif corner.n_features > 1:
        sentences.append("Ellipses at 1 and 2 sigma hold 39 % and 86 % of their component.")
    return sentences
