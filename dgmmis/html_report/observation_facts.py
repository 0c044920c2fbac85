"""How the rows came to be observed, and how the fit took account of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgmmis.background import BackgroundLike
from dgmmis.html_report.number_text import count, percent, significant
from dgmmis.html_report.run_facts import RunFacts
from dgmmis.imputed_passes import WANTED_ERROR, Completion
from dgmmis.selection.words import in_words

__all__ = ["ObservationFacts", "observation_facts", "selection_text"]

Line = tuple[str, str]


@dataclass(frozen=True)
class ObservationFacts:
    """The observation model as a page shows it.

    Attributes
    ----------
    lines : list of (label, text)
    boxes : list of (feature, unit, low, high) lists
        One per background that fills a box.
    note : str
        What is wrong with the selection here; empty if nothing is.
    """

    lines: list[Line]
    boxes: list[list[tuple[str, str, str, str]]]
    note: str


def selection_text(facts: RunFacts) -> str:
    """Say in words which rows were kept; empty without a selection."""
    said = facts.run.config.get("selection")
    return "" if said is None else in_words(said["what"], facts.features)


def observation_facts(facts: RunFacts) -> ObservationFacts | None:
    """Gather what the fit assumed of the observation; None for a plain fit of plain rows."""
    config = facts.run.config
    population = None if facts.standing is None else facts.standing.population
    backgrounds = facts.run.backgrounds if population is None else population.backgrounds
    lines = [*_selection(facts), *_backgrounds(backgrounds), *_restrictions(config, facts)]
    if not lines:
        return None
    return ObservationFacts(
        lines, [_box(one, facts) for one in backgrounds if one.footprint], facts.selection[1]
    )


def _selection(facts: RunFacts) -> list[Line]:
    said = facts.run.config.get("selection")
    if said is None:
        return []
    where = "the noise-free values" if said["before_noise"] else "the values as observed, with their noise"
    lines = [("Selection", selection_text(facts)), ("It looked at", where)]
    if said["noise_model"] is not None:
        lines.append(("Noise of the parent population", "given, instead of each row\u2019s own"))
    completion = None if facts.standing is None else facts.standing.completion
    if facts.standing is None or completion is None:
        return lines
    return lines + _completion(completion, facts.standing.statistics.weight, facts)


def _completion(completion: Completion, weight: float, facts: RunFacts) -> list[Line]:
    complete = weight / completion.completeness if completion.completeness > 0 else math.inf
    rows = "rows" if facts.per == "row" else "units of weight"
    lines = [
        (
            "Completeness",
            f"{_with_error(completion.completeness, completion.completeness_error)}: for {count(weight)} observed "
            f"{rows} the complete sample has about {significant(complete, 3)}",
        ),
        ("Unobserved rows", f"imputed by {count(completion.n_points)} weighted points"),
    ]
    if math.isfinite(completion.score_error):
        lines.append(
            (
                "What these points cost",
                f"{significant(completion.score_error, 2)} standard errors of the parameters (root mean square; "
                f"{WANTED_ERROR:g} is allowed)",
            )
        )
    error = significant(completion.log_likelihood_error, 3)
    lines.append(
        (
            "Error of the log-likelihood",
            f"{error} nats, nearly all of it an offset that models on the same points share",
        )
    )
    return lines


def _with_error(value: float, error: float) -> str:
    """Write a share with two digits of its error."""
    if not 0 < error < 1:
        return significant(value, 4)
    decimals = min(8, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _backgrounds(backgrounds: tuple[BackgroundLike, ...]) -> list[Line]:
    lines = []
    for one in backgrounds:
        kind = "uniform in the box below" if one.describe()["kind"] == "uniform" else "a given density"
        limits = (
            "kept fixed" if one.fixed else f"fitted between {one.amplitude_min:g} and {one.amplitude_max:g}"
        )
        lines.append(("Background", f"{percent(one.amplitude)} of the complete sample, {kind}; {limits}"))
    return lines


def _box(background: BackgroundLike, facts: RunFacts) -> list[tuple[str, str, str, str]]:
    assert background.footprint is not None
    low, high = background.footprint
    return [
        (name, unit, _plain(a), _plain(b))
        for name, unit, a, b in zip(facts.features, facts.units, low, high, strict=True)
    ]


def _restrictions(config: Mapping[str, Any], facts: RunFacts) -> list[Line]:
    lines = []
    if config.get("covariance_type", "full") != "full":
        lines.append(("Covariances", str(config["covariance_type"])))
    if config.get("floor") is not None:
        sides = [
            f"{name} {_plain(value)}{f' {unit}' if unit else ''}"
            for name, unit, value in zip(facts.features, facts.units, config["floor"], strict=True)
        ]
        lines.append(("Least dispersion of a component", ", ".join(sides)))
    if config.get("prior"):
        lines.append(("Prior", prior_text(config["prior"])))
    return lines


def prior_text(said: Mapping[str, Mapping[str, Any]]) -> str:
    """Write what `Prior.describe` gave for a person."""
    kinds = {"covariances": "inverse Wishart on the covariances", "amplitudes": "Dirichlet on the amplitudes"}
    return "; ".join(
        f"{kinds.get(name, name)} ("
        + ", ".join(f"{key.replace('_', ' ')} {_setting(value)}" for key, value in part.items())
        + ")"
        for name, part in said.items()
    )


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return _plain(value)


def _plain(value: float) -> str:
    """Write a number that somebody chose, without digits that say nothing."""
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
