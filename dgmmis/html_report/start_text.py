"""How the start of a fit was found, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dgmmis.html_report.number_text import count, significant
from dgmmis.html_report.run_facts import RunFacts
from dgmmis.starts import pilot_rows

__all__ = ["start_text"]


def start_text(facts: RunFacts) -> str:
    """Say how many starts there were, and which was taken."""
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
        text += f" It was then fitted to {count(start.pilot_rows)} random rows, for {passes} updates in all."
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
