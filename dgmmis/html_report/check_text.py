"""A check of the model in words and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dgmmis.checking import Calibration, ModelCheck, WorstCell, cells_beyond, worst_cells
from dgmmis.checking.worst_cells import expected_beyond
from dgmmis.html_report.check_facts import CheckFacts
from dgmmis.html_report.number_text import count, percent, significant

__all__ = ["CalibrationRow", "CheckText", "PairRow", "check_text"]

FAR = 4.0
"""Standard deviations beyond which cells are counted."""
IMPROBABLE = 1e-3
"""Chance, of all calibrations together, from which on one is called uneven."""
MOST_PAIRS = 10
CERTAIN = 37.0
"""Standard deviations from which a chance is too small for a number."""


@dataclass(frozen=True)
class CalibrationRow:
    """One line of the table of calibrations."""

    name: str
    rows: str
    distance: str
    chance: str
    half: str
    most: str
    method: str


@dataclass(frozen=True)
class PairRow:
    """One line of the table of projections: features, cells, mean squared deviation."""

    name: str
    cells: str
    mean_square: str


@dataclass(frozen=True)
class CheckText:
    """What a page says of a check.

    Attributes
    ----------
    verdict : str
    how : str
        How the catalogues were simulated.
    worst : list of str
        The worst cells, numbered as in the figure.
    pairs : list of PairRow
        The projections that differ most.
    calibrations : list of CalibrationRow
    reading : str
        How to read the calibrations.
    """

    verdict: str
    how: str
    worst: list[str]
    pairs: list[PairRow]
    calibrations: list[CalibrationRow]
    reading: str


def check_text(facts: CheckFacts) -> CheckText | None:
    """Put a check into words; None if there is none."""
    check = facts.check
    if check is None:
        return None
    names = check.model.features
    order = sorted(check.projections, key=lambda cells: -_or_zero(cells.mean_square))
    pairs = [
        PairRow(
            " and ".join(names[j] for j in cells.columns),
            count(int(cells.judged.sum())),
            significant(cells.mean_square, 3) if cells.judged.any() else "-",
        )
        for cells in order[:MOST_PAIRS]
    ]
    return CheckText(
        _verdict(check),
        _how(check, facts.seed),
        [_in_words(cell, check) for cell in worst_cells(check.projections)],
        pairs,
        [_calibration(one) for one in check.calibrations],
        _reading(check),
    )


def _verdict(check: ModelCheck) -> str:
    beyond, judged = cells_beyond(check.projections, FAR)
    if not judged:
        return "There are too few rows to tell cells apart."
    chance = expected_beyond(judged, FAR)
    found = "none differs" if beyond == 0 else f"{count(beyond)} {'differs' if beyond == 1 else 'differ'}"
    said = (
        f"Of {count(judged)} cells in which at least five rows are expected, {found} from the model by more "
        f"than {FAR:g} standard deviations; chance alone would leave {significant(chance, 2)}."
    )
    uneven = [one for one in check.calibrations if one.p_value * len(check.calibrations) < IMPROBABLE]
    if uneven:
        named = ", ".join(f"{_name(one)} (off by {percent(one.distance)})" for one in uneven)
        said += f" Rows do not lie where their own distributions say in: {named}."
    if uneven or beyond > max(3, 10 * chance):
        return f"{said} The model does not describe these rows in every detail: judge whether that matters."
    return f"{said} Nothing here speaks against the model."


def _how(check: ModelCheck, seed: int) -> str:
    steps = ["drawn from the model"]
    if check.model.backgrounds:
        steps[0] += ", background included"
    if check.rows.noise.kind != "none":
        steps.append("blurred by its own noise")
    if check.model.selection is not None:
        steps.append("drawn again until the selection kept it")
    replicates = check.simulated.n_replicates
    text = (
        f"{count(len(check.rows))} random rows of the catalogue are compared with {replicates} simulated "
        f"catalogues. In each of these, every row was {', '.join(steps)}; it has the missing features and the "
        f"weight of the row that it stands for. The seed is {seed}, and the same seed gives the same numbers. "
        "Error bands are those of rows that are independent of each other"
    )
    text += ", in units of weight. " if check.is_weighted else ". "
    if np.isnan(check.rows.values).any():
        text += "Where a feature is missing depending on the others, a right model may differ from these rows too. "
    return text + (
        "The parameters were fitted to rows of the same catalogue, so rows and model agree a little better "
        "than chance: what is improbable here is a misfit, and what is not is no proof of the model."
    )


def _in_words(cell: WorstCell, check: ModelCheck) -> str:
    where = " and ".join(
        _interval(check.model.features[j], check.model.units[j], *side)
        for j, side in zip(cell.columns, cell.sides, strict=True)
    )
    what = "units of weight" if check.is_weighted else "row" if cell.observed == 1 else "rows"
    size = abs(cell.significance)
    by = f"more than {CERTAIN:g}" if size > CERTAIN else significant(size, 2)
    direction = "too many" if cell.significance > 0 else "too few"
    return (
        f"{where}: {significant(cell.observed, 3) if check.is_weighted else count(cell.observed)} {what}, "
        f"where {significant(cell.expected, 3)} are expected; {direction} by {by} standard deviations"
    )


def _interval(name: str, unit: str, low: float, high: float) -> str:
    width = high - low
    digits = 4
    if math.isfinite(width) and width > 0:
        digits = max(3, 3 + math.floor(math.log10(max(abs(low), abs(high), width) / width)))
    of = f" {unit}" if unit else ""
    if math.isinf(low):
        return f"{name} below {significant(high, digits)}{of}"
    if math.isinf(high):
        return f"{name} above {significant(low, digits)}{of}"
    return f"{name} from {significant(low, digits)} to {significant(high, digits)}{of}"


def _calibration(one: Calibration) -> CalibrationRow:
    if not one.effective_rows:
        return CalibrationRow(_name(one), "0", "-", "-", "-", "-", one.method)
    p = one.p_value
    return CalibrationRow(
        _name(one),
        count(len(one.transforms)),
        percent(one.distance),
        "< 0.0001" if p < 1e-4 else significant(p, 2),
        _share(*one.inside(0.5)),
        _share(*one.inside(0.9)),
        "exact" if one.method == "exact" else "by ranks",
    )


def _name(one: Calibration) -> str:
    return "density of whole rows" if one.name == "density" else one.name


def _share(share: float, error: float) -> str:
    return f"{100 * share:.1f} ± {max(100 * error, 0.05):.1f} %"


def _reading(check: ModelCheck) -> str:
    text = (
        "Each row has its own distribution of a feature: the model, blurred by the noise of that row. Where "
        "the row lies in it, between 0 and 1, is uniform over the rows if the model holds. A hump in the "
        "middle means that the model is too wide, or errors are overstated; two raised ends that it is too "
        "narrow, or errors are understated; a slope that it lies to one side. The last one ranks the density "
        "of whole rows: many low ranks are rows in places that the model leaves nearly empty, though each "
        "feature by itself may look right. "
    )
    methods = {one.method for one in check.calibrations[: check.model.mixture.n_features]}
    if "ranks" in methods:
        why = (
            "a selection acts"
            if check.model.selection is not None
            else "the background has no distribution function"
        )
        text += (
            f"As {why}, features are ranked too: each row among its own {check.simulated.n_replicates} "
            "replicates, which the selection kept. "
        )
    else:
        text += "For features it is evaluated exactly. "
    if np.isnan(check.rows.values).any():
        text += "Rows that lack a feature are left out of its histogram. "
    return text + (
        "“Off by” is the largest difference between the share of rows below some place and that place "
        "(Kolmogorov-Smirnov); p is the chance of a larger one if the model holds with these parameters. As "
        "they were fitted, p is too large rather than too small, and with many rows it is small for "
        "differences that do not matter."
    )


def _or_zero(number: float) -> float:
    return 0.0 if math.isnan(number) else number
