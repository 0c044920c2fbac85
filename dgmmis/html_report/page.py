"""The page as a whole: gather, render, write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from dgmmis.errors import AlreadyExists, MissingLibrary
from dgmmis.html_report.catalog_facts import CatalogFacts, consult
from dgmmis.html_report.component_table import component_rows, correlations, feature_blocks
from dgmmis.html_report.figures import make_figures
from dgmmis.html_report.number_text import count, duration, significant
from dgmmis.html_report.observation_facts import observation_facts, selection_text
from dgmmis.html_report.run_facts import RunFacts, gather
from dgmmis.html_report.wording import caveats, how_to_go_on, outcome, title
from dgmmis.places import local_path
from dgmmis.plain_files import write_plain
from dgmmis.runs import RunFolder
from dgmmis.starts import pilot_rows
from dgmmis.store import Catalog

try:
    from jinja2 import Environment, StrictUndefined
except ImportError as error:
    raise MissingLibrary(
        f"writing a report needs jinja2, which cannot be imported ({error}). Install it: "
        'pip install "dgmmis[report]".'
    ) from error

__all__ = ["write_report"]

MOST_IN_SIGHT = 30
"""Components listed at once; the others unfold."""
MOST_NOTES = 12
"""Remarks on earlier passes that are shown, the latest ones."""


def write_report(
    run: RunFolder, destination: Path, *, overwrite: bool = False, catalog: Catalog | None = None
) -> Path:
    """Write a run as one HTML page that needs nothing but itself.

    A run that is not done, or whose catalogue is gone, is reported as far as it goes, and the page says so.

    Parameters
    ----------
    run : RunFolder
    destination : Path
        The file; its folder is made if need be.
    overwrite : bool
        Whether an existing file may be replaced.
    catalog : Catalog, optional
        Where the run's catalogue lies now; by default where it lay when the run began.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    AlreadyExists
        If there is such a file and `overwrite` is false.
    RunConflict
        If `catalog` is not the one that the run was made for.
    CorruptCheckpoint
        If the run's start is damaged or files of another run were mixed in.
    """
    destination = local_path(destination)
    _require_free(destination, overwrite)
    facts = gather(run)
    page = _render(_content(facts, consult(run, catalog)))
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
    try:
        with write_plain(temporary) as file:
            file.write(page.encode())
        _require_free(destination, overwrite)
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)
    return destination


def _require_free(destination: Path, overwrite: bool) -> None:
    if destination.is_dir():
        raise AlreadyExists(
            f"{destination} is a folder. Name the file to write: {destination / 'report.html'}."
        )
    if destination.exists() and not overwrite:
        raise AlreadyExists(f"{destination} exists. Name another file, or allow it with --overwrite.")


def _render(content: dict[str, Any]) -> str:
    template = files("dgmmis.html_report").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(content)


def _content(facts: RunFacts, catalog: CatalogFacts) -> dict[str, Any]:
    words, meaning = outcome(facts)
    return {
        "title": title(facts),
        "features": list(zip(facts.features, facts.units, strict=True)),
        "n_rows": count(facts.run.data["rows"]),
        "state": facts.state,
        "outcome": words,
        "meaning": meaning,
        "go_on": how_to_go_on(facts),
        "headline": _headline(facts),
        "events": facts.latest.scan.events if facts.latest else (),
        "weighted": facts.per != "row",
        "components": _components(facts),
        "observation": observation_facts(facts),
        "selected": facts.run.config.get("selection") is not None,
        "most_in_sight": MOST_IN_SIGHT,
        "figures": make_figures(facts, catalog),
        "start": _start(facts),
        "notes": facts.notes[-MOST_NOTES:],
        "catalog": catalog,
        "counts": _counts(catalog),
        "caveats": caveats(facts, catalog),
        "provenance": _provenance(facts, catalog),
        "attempts": facts.attempt_rows(),
        "options": _as_lines(dict(catalog.provenance.get("options", {}))),
        "config": _as_lines(_settings(facts)),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": version("dgmmis"),
    }


def _headline(facts: RunFacts) -> list[tuple[str, str, str]]:
    """Label, number and unit of what a reader looks for first."""
    if facts.latest is None or facts.standing is None:
        return []
    scan, updates = facts.standing, facts.latest.scan.number
    speed = facts.rows_per_second
    return [
        (
            "log-likelihood",
            f"{scan.statistics.log_likelihood:,.2f}".replace("-", "\N{MINUS SIGN}"),
            "nats in total",
        ),
        ("mean log-likelihood", significant(scan.statistics.mean_log_likelihood, 6), f"nats per {facts.per}"),
        ("predicted remaining gain", significant(scan.predicted_gain, 3), "nats in total"),
        ("passes over all rows", count(updates + 1), f"{count(updates)} updates"),
        ("time", duration(facts.seconds), "start and passes"),
        ("speed", significant(speed, 3), "rows per second"),
    ]


def _components(facts: RunFacts) -> dict[str, Any] | None:
    if facts.standing is None or facts.model is None:
        return None
    rows = component_rows(facts.model, facts.standing.statistics.zeroth)
    return {
        "rows": rows,
        "blocks": feature_blocks(facts.model, rows),
        "correlations": correlations(facts.model) if len(facts.features) > 1 else [],
    }


def _start(facts: RunFacts) -> str:
    start = facts.start
    if start is None:
        return "The start is not known yet."
    if not start.mean_log_likelihoods:
        return "The fit began with a mixture that was given."
    scored = min(start.pilot_rows, pilot_rows(start.population.n_components, start.population.n_features))
    best = significant(start.mean_log_likelihoods[start.chosen], 6)
    taken = "was taken" if start.carried else "was the best"
    text = (
        f"Of {len(start.mean_log_likelihoods)} short fits to {count(scored)} random rows, start {start.chosen} "
        f"{taken}, at {best} nats per {facts.per} of these."
    )
    if start.pilot_passes:
        passes = count(start.pilot_passes)
        text += f" It was then fitted to {count(start.pilot_rows)} random rows, for {passes} updates."
    if start.carried:
        text += _carried(start.carried)
    return text


def _carried(objectives: Sequence[float]) -> str:
    behind = sorted(max(objectives) - value for value in objectives)[1:]
    gaps = ", ".join(significant(gap, 3) for gap in behind)
    return (
        f" {count(len(objectives))} distinct optima of the random rows were compared on all rows: the others lay "
        f"{gaps} nats in total below this one."
    )


def _counts(catalog: CatalogFacts) -> list[tuple[str, str]]:
    """How rows became these rows."""
    if not catalog.description:
        return []
    ingested = catalog.counts
    labels = {"read": "rows in the source", "excluded_by_where": "excluded by the condition"}
    counts = [(label, count(ingested[key])) for key, label in labels.items() if ingested.get(key)]
    counts.append(("set aside", count(catalog.description["quarantined"]["rows"])))
    counts.append(("rows fitted", count(catalog.description["rows"])))
    if catalog.description["rows_with_nothing_observed"]:
        counts.append(
            ("of which with nothing observed", count(catalog.description["rows_with_nothing_observed"]))
        )
    return counts


def _provenance(facts: RunFacts, catalog: CatalogFacts) -> list[tuple[str, str]]:
    run, origin, noise = facts.run, catalog.provenance, catalog.description.get("noise", {})
    numerics = dict(run.description["numerics"])
    processor = numerics.pop("cpu", "unknown")
    entries = [
        ("Source of the rows", str(origin.get("source", "unknown: the catalogue could not be read"))),
        *(("Rows appended from", str(added.get("source", ""))) for added in catalog.sources[1:]),
        ("Catalogue", str(run.data["path"])),
        ("Catalogue made", str(origin.get("created", ""))),
        ("Catalogue size", catalog.size),
        ("Noise", f"{noise['kind']}, stored as {noise['form']}" if noise else ""),
        ("Data fingerprint", str(run.data["fingerprint"])),
        ("Run", str(run.path)),
        ("Versions", ", ".join(f"{name} {number}" for name, number in sorted(numerics.items()))),
        ("Processor", str(processor)),
        ("Last checkpoint", facts.latest.digest if facts.latest else "none yet"),
    ]
    return [(label, text) for label, text in entries if text]


def _settings(facts: RunFacts) -> dict[str, Any]:
    """Return the configuration; of what has its own section only what identifies it."""
    settings = facts.run.config
    if settings.get("selection") is not None:
        settings["selection"] = f"{selection_text(facts)}; digest {settings['selection']['digest'][:16]}"
    settings["backgrounds"] = len(settings.get("backgrounds", ()))
    return settings


def _as_lines(settings: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, _as_text(value)) for name, value in settings.items()]


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_as_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or "none"
    return "none" if value is None else str(value)
