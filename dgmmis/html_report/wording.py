"""The sentences of a report."""

from __future__ import annotations

import math
import shlex

from dgmmis.html_report.catalog_facts import CatalogFacts
from dgmmis.html_report.number_text import count, significant
from dgmmis.html_report.observation_facts import selection_text
from dgmmis.html_report.run_facts import RunFacts

__all__ = ["caveats", "how_to_go_on", "outcome", "title"]

LISTED = 4


def title(facts: RunFacts) -> str:
    """Say what was fitted."""
    k, features = int(facts.run.config["n_components"]), facts.features
    what = "One Gaussian" if k == 1 else f"A mixture of {k} Gaussians"
    where = f"{len(features)} features"
    if len(features) <= LISTED:
        where = features[0] if len(features) == 1 else f"{', '.join(features[:-1])} and {features[-1]}"
    return f"{what} in {where}"


def outcome(facts: RunFacts) -> tuple[str, str]:
    """Say in a few words how the run stands, and in a sentence or two what that means."""
    if facts.latest is None:
        return _before_the_first_pass(facts)
    scan = facts.latest.scan
    updates = "1 update" if scan.number == 1 else f"{count(scan.number)} updates"
    remaining = _remaining(scan.standing.predicted_gain)
    reason = str((facts.run.final() or {}).get("reason", ""))
    known = {
        "SUCCEEDED": (
            f"Converged after {updates}",
            f"{remaining}, within the tolerance of {facts.tolerance:g} nats.",
        ),
        "STOPPED": (
            f"Not converged: stopped after {updates}",
            f"Its budget of passes was used up. {remaining}; the numbers below are those of the last pass.",
        ),
        "RUNNING": (
            f"Still running: {updates} so far",
            f"{remaining}; the numbers below are of an unfinished fit.",
        ),
        "FAILED": (
            f"Failed after {updates}",
            f"{reason}. The numbers below are those of the last pass before.",
        ),
        "CANCELLING": (
            f"Being cancelled after {updates}",
            f"{remaining}; the numbers below are of an unfinished fit.",
        ),
        "CANCELLED": (
            f"Cancelled after {updates}",
            f"Somebody cancelled it. {remaining}.",
        ),
        "INTERRUPTED": (
            f"Interrupted after {updates}",
            f"The process that drove it ended before the fit did. {remaining}.",
        ),
    }
    return known.get(facts.state, (f"{facts.state.capitalize()} after {updates}", f"{remaining}."))


def _remaining(predicted: float) -> str:
    if not math.isfinite(predicted):
        return "How much further passes would add cannot be predicted yet"
    return f"Further passes are predicted to add {significant(predicted, 3)} nats to the log-likelihood"


def _before_the_first_pass(facts: RunFacts) -> tuple[str, str]:
    words = {
        "QUEUED": "Not begun",
        "RUNNING": "Running: no pass is done yet",
        "CANCELLED": "Cancelled before the first pass was done",
        "FAILED": "Failed before the first pass was done",
    }.get(facts.state, "Interrupted before the first pass was done")
    return words, str((facts.run.final() or {}).get("reason", "There is no model to show yet."))


def how_to_go_on(facts: RunFacts) -> str:
    """Give the command that goes on with a run that waits for one; empty for the others."""
    if facts.state not in ("STOPPED", "INTERRUPTED", "QUEUED", "CANCELLED"):
        return ""
    command = f"dgmmis resume {shlex.quote(str(facts.run.path))}"
    if facts.state == "STOPPED" and facts.attempts:
        command += f" --max-passes {max(100, 2 * int(facts.attempts[-1]['max_passes']))}"
    return command


def caveats(facts: RunFacts, catalog: CatalogFacts) -> list[tuple[str, str]]:
    """Say what the fit takes for granted: headings and sentences."""
    items = [
        _selection_caveat(facts, catalog),
        (
            "The noise is Gaussian, and known",
            "Each row's error is taken as the true standard deviation of Gaussian noise. If the errors are "
            "understated, what they miss ends up in the dispersions of the components; if overstated, "
            "components come out too narrow.",
        ),
        (
            "Features are missing at random",
            "That a feature is missing may depend on the features that were observed, but not on its own "
            "value. "
            "A measurement that exists only where it is bright, large or well determined breaks this."
            if catalog.is_incomplete or not catalog.description
            else "No feature is missing in this catalogue, so nothing hangs on this assumption here.",
        ),
        (
            "A maximum of the likelihood, perhaps not the highest",
            "The best of several starts is followed uphill. Another seed may find a higher maximum, and the "
            "number of components is a choice: a component need not be a population of its own.",
        ),
    ]
    if catalog.notes:
        items.append(("Assumed when the catalogue was made", "; ".join(catalog.notes) + "."))
    return items


def _selection_caveat(facts: RunFacts, catalog: CatalogFacts) -> tuple[str, str]:
    text = selection_text(facts)
    if text:
        return (
            "The selection is what was said",
            f"The fit describes the population that the rows were taken from by: {text}. What lies beyond is "
            "extrapolated from the shape of what was kept, as Gaussians; a selection that was not said, or another "
            f"one, displaces components and their dispersions.{_cut(catalog)}",
        )
    return (
        "No selection is modelled",
        "The fit describes the rows that are in the catalogue, not the population that they were selected from. "
        "Where the rows were cut on something that is fitted, for instance by parallax > 0 or by a limit on the "
        "errors, the fit describes the cut data: components near the cut are displaced and their dispersions come "
        f"out too small. Say what the cut was when fitting, for instance with --keep.{_cut(catalog)}",
    )


def _cut(catalog: CatalogFacts) -> str:
    where = dict(catalog.provenance.get("options", {})).get("where")
    return f" This catalogue was cut when it was made, by: {where}." if where else ""
