"""Standard errors of the fit that a report shows: estimated if that is cheap, or read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dgmmis.assessment import uncertainty
from dgmmis.errors import DgmmisError, InvalidData
from dgmmis.html_report.command_text import uncertainty_command
from dgmmis.html_report.number_text import count
from dgmmis.html_report.run_facts import RunFacts
from dgmmis.model_file import UNREADABLE
from dgmmis.packed import Array
from dgmmis.plain_arrays import read_arrays
from dgmmis.plain_files import as_json, read_plain
from dgmmis.population import Population
from dgmmis.spread import Errors
from dgmmis.store import Catalog
from dgmmis.uncertainties import FORMAT

__all__ = ["ErrorFacts", "find_errors"]

AUTO, NONE = "auto", "none"
MOST_DENSITIES = 2e8
"""Rows times components up to which errors are estimated without being asked for: seconds on one core."""
MOST_PRODUCTS = 2e10
"""Rows times squared parameters; of more rows a random sample is scored."""
LEAST_PER_PARAMETER = 50


@dataclass(frozen=True)
class ErrorFacts:
    """Standard errors, and what is to be said of them.

    Attributes
    ----------
    errors : Errors or None
    sentences : tuple of str
        How they were estimated; or why there are none, and how to get them.
    notes : tuple of str
        What limits their meaning.
    """

    errors: Errors | None
    sentences: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_errors(facts: RunFacts, catalog: Catalog | None, asked: str) -> ErrorFacts:
    """Find the errors of a run's standing population.

    Parameters
    ----------
    facts : RunFacts
        With a finished pass.
    catalog : Catalog or None
        None if it cannot be read.
    asked : str
        "auto": estimate them if that is cheap; "none"; or a file that `Uncertainty.save` wrote.

    Raises
    ------
    InvalidData
        If the file holds no errors, or those of another fit.
    """
    if asked == NONE:
        return ErrorFacts(None, (_how(facts),))
    if asked != AUTO:
        return _read(facts, Path(asked))
    if catalog is None:
        return ErrorFacts(None, ("Without the catalogue no standard errors can be estimated.",))
    reason = _too_much(facts)
    if reason:
        return ErrorFacts(None, (f"No standard errors: {reason} {_how(facts)}",))
    try:
        found = uncertainty(facts.run, sample_rows=_sample(facts), catalog=str(catalog.path))
    except (DgmmisError, OSError) as error:
        return ErrorFacts(None, (f"No standard errors could be estimated: {error}",))
    return ErrorFacts(found.errors, (_said(found.describe()),), found.notes)


def _parameters(facts: RunFacts) -> int:
    k, d = int(facts.run.config["n_components"]), len(facts.features)
    return k * (1 + d + d * (d + 1) // 2) - 1


def _too_much(facts: RunFacts) -> str:
    if facts.latest is not None and facts.latest.scan.standing is not facts.latest.scan:
        return "a trial of split and merge is under way."
    work = int(facts.run.data["rows"]) * int(facts.run.config["n_components"])
    if work > MOST_DENSITIES:
        return f"they need another pass over {count(facts.run.data['rows'])} rows."
    return ""


def _sample(facts: RunFacts) -> int | None:
    """Rows to score, None for all."""
    parameters = _parameters(facts)
    affordable = int(MOST_PRODUCTS / parameters**2)
    if int(facts.run.data["rows"]) <= affordable:
        return None
    return max(affordable, LEAST_PER_PARAMETER * parameters)


def _how(facts: RunFacts) -> str:
    return f"To have them: {uncertainty_command(facts)}, and then this report again with --errors errors.npz."


def _said(header: Mapping[str, Any]) -> str:
    methods = {
        "information": "from the information in the rows' scores, which takes the model for right",
        "sandwich": "by the sandwich estimator, which holds also if the model is not right",
        "bootstrap": "by refitting resampled rows",
    }
    how = methods.get(str(header["method"]), str(header["method"]))
    used, rows = int(header["rows_used"]), int(header["rows"])
    sampled = "" if used == rows else f", of a random sample of {count(used)} rows, scaled"
    return f"Behind \u00b1 stand standard errors, {how}{sampled}."


def _read(facts: RunFacts, path: Path) -> ErrorFacts:
    try:
        arrays = read_arrays(read_plain(path))
        header = as_json(str(arrays.pop("header")))
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise LookupError(f"its format is not {FORMAT!r}")
        errors = Errors(
            *(arrays[f"{name}_error"] for name in ("amplitudes", "means", "covariances", "background"))
        )
        sentence, notes = _said(header), tuple(map(str, header["notes"]))
    except UNREADABLE as error:
        raise InvalidData(
            f"{path} holds no standard errors: {error}. Make it by {uncertainty_command(facts)}.",
            array=str(path),
        ) from error
    standing = facts.standing
    if standing is None or not _is_of(standing.population, arrays):
        raise InvalidData(
            f"{path} holds standard errors of another fit than the last pass of {facts.run.path}. Make them "
            f"anew by {uncertainty_command(facts)}.",
            array=str(path),
        )
    return ErrorFacts(errors, (sentence,), notes)


def _is_of(population: Population, arrays: Mapping[str, Array]) -> bool:
    mixture = population.mixture
    pairs = (
        (population.amplitudes, "amplitudes"),
        (mixture.means, "means"),
        (mixture.covariances, "covariances"),
        (population.background_amplitudes, "background"),
    )
    return all(name in arrays and np.array_equal(array, arrays[name]) for array, name in pairs)
