"""Where the numbers of a report come from, and the commands that make them again."""

from __future__ import annotations

from typing import Any

from dgmmis.html_report.catalog_facts import CatalogFacts
from dgmmis.html_report.command_text import fit_command
from dgmmis.html_report.observation_facts import selection_text
from dgmmis.html_report.run_facts import RunFacts

__all__ = ["as_lines", "commands", "provenance", "settings_of"]


def provenance(facts: RunFacts, catalog: CatalogFacts) -> list[tuple[str, str]]:
    """List what identifies rows, run and software."""
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


def settings_of(facts: RunFacts) -> dict[str, Any]:
    """Return the configuration; of what has its own section only what identifies it."""
    settings = facts.run.config
    if settings.get("selection") is not None:
        settings["selection"] = f"{selection_text(facts)}; digest {settings['selection']['digest'][:16]}"
    settings["backgrounds"] = len(settings.get("backgrounds", ()))
    return settings


def as_lines(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Write settings as names and texts."""
    return [(name, _as_text(value)) for name, value in settings.items()]


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_as_text(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or "none"
    return "none" if value is None else str(value)


def commands(facts: RunFacts, report: str) -> tuple[list[str], str]:
    """Give the commands that make run and report again, and what they cannot say."""
    fit, unsaid = fit_command(facts)
    note = (
        f"The command line cannot say {', nor '.join(unsaid)}: take the run folder, or Python."
        if unsaid
        else ""
    )
    return [fit, report], note
