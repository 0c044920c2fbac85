"""The page as a whole: gather, render, write."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from dgmmis.errors import MissingLibrary
from dgmmis.html_report.catalog_facts import CatalogFacts, consult
from dgmmis.html_report.check_facts import check_run
from dgmmis.html_report.check_text import check_text
from dgmmis.html_report.command_text import report_command
from dgmmis.html_report.component_table import background_rows, component_rows, correlations, feature_blocks
from dgmmis.html_report.error_facts import ErrorFacts, find_errors
from dgmmis.html_report.figures import make_exhibits
from dgmmis.html_report.number_text import count, duration, significant
from dgmmis.html_report.observation_facts import observation_facts
from dgmmis.html_report.output_files import OutputFiles
from dgmmis.html_report.pages import pages_maker
from dgmmis.html_report.provenance import as_lines, commands, provenance, settings_of
from dgmmis.html_report.run_facts import RunFacts, gather
from dgmmis.html_report.start_text import start_text
from dgmmis.html_report.wanted import Wanted
from dgmmis.html_report.wording import caveats, how_to_go_on, outcome, title
from dgmmis.plots import as_png
from dgmmis.runs import RunFolder
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
    run: RunFolder,
    destination: Path,
    *,
    overwrite: bool = False,
    catalog: Catalog | None = None,
    pdf: Path | None = None,
    figures: Path | None = None,
    wanted: Wanted | None = None,
) -> Path:
    """Write a run as one HTML page that needs nothing but itself.

    A run that is not done, or whose catalogue is gone, is reported as far as it goes, and the page says so.

    Parameters
    ----------
    run : RunFolder
    destination : Path
        The file; its folder is made if need be.
    overwrite : bool
        Whether existing files may be replaced.
    catalog : Catalog, optional
        Where the run's catalogue lies now; by default where it lay when the run began.
    pdf : Path, optional
        Write the same as pages of PDF, too.
    figures : Path, optional
        A folder: write each figure there as PNG and PDF.
    wanted : Wanted, optional
        How much to look into.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    AlreadyExists
        If a file exists and `overwrite` is false.
    InvalidData
        If errors are to be read from a file that holds none, or those of another fit.
    MissingLibrary
        If pages of PDF are asked for and their libraries are not installed.
    RunConflict
        If `catalog` is not the one that the run was made for.
    CorruptCheckpoint
        If the run's start is damaged or files of another run were mixed in.
    """
    wanted = Wanted() if wanted is None else wanted
    files = OutputFiles.of(destination, pdf, figures, overwrite=overwrite)
    make_pages = None if pdf is None else pages_maker()
    facts = gather(run)
    content = _content(facts, consult(run, catalog), wanted)
    files.add(files.page, _render(content).encode())
    if make_pages is not None and files.pdf is not None:
        files.add(files.pdf, make_pages(content))
    if files.figures is not None:
        for name, exhibit in content["figures"].items():
            files.add(files.figures / f"{name}.png", as_png(exhibit.figure, dpi=300))
            files.add(files.figures / f"{name}.pdf", exhibit.pdf)
    files.write()
    return files.page


def _render(content: dict[str, Any]) -> str:
    template = package_files("dgmmis.html_report").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(content)


def _content(facts: RunFacts, catalog: CatalogFacts, wanted: Wanted) -> dict[str, Any]:
    words, meaning = outcome(facts)
    checked = check_run(facts, catalog, wanted.check_rows, wanted.seed)
    errors = None if facts.standing is None else find_errors(facts, catalog.catalog, wanted.errors)
    made_by, unsaid = commands(facts, report_command(facts, wanted.check_rows, wanted.seed, wanted.errors))
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
        "components": _components(facts, errors),
        "observation": observation_facts(facts),
        "selected": facts.run.config.get("selection") is not None,
        "most_in_sight": MOST_IN_SIGHT,
        "check": check_text(checked),
        "check_problem": checked.problem,
        "figures": make_exhibits(facts, catalog, checked.check),
        "start": start_text(facts),
        "notes": facts.notes[-MOST_NOTES:],
        "catalog": catalog,
        "counts": _counts(catalog),
        "caveats": caveats(facts, catalog),
        "provenance": provenance(facts, catalog),
        "commands": made_by,
        "unsaid": unsaid,
        "attempts": facts.attempt_rows(),
        "options": as_lines(dict(catalog.provenance.get("options", {}))),
        "config": as_lines(settings_of(facts)),
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


def _components(facts: RunFacts, known: ErrorFacts | None) -> dict[str, Any] | None:
    if facts.standing is None or facts.model is None or known is None:
        return None
    rows = component_rows(facts.model, facts.standing.statistics.zeroth, known.errors)
    return {
        "rows": rows,
        "blocks": feature_blocks(facts.model, rows),
        "correlations": correlations(facts.model) if len(facts.features) > 1 else [],
        "errors": known,
        "backgrounds": background_rows(facts.model, known.errors),
    }


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
