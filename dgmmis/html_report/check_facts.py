"""The check of a run's model against the random sample of its rows, as a report needs it."""

from __future__ import annotations

from dataclasses import dataclass

from dgmmis.checking import ModelCheck, check_model
from dgmmis.errors import DgmmisError
from dgmmis.html_report.catalog_facts import CatalogFacts
from dgmmis.html_report.run_facts import RunFacts

__all__ = ["CheckFacts", "check_run"]


@dataclass(frozen=True)
class CheckFacts:
    """A check, or why there is none.

    Attributes
    ----------
    check : ModelCheck or None
    problem : str
        Why there is none; empty if there is one, or none was asked for.
    seed : int
    """

    check: ModelCheck | None
    problem: str
    seed: int


def check_run(facts: RunFacts, catalog: CatalogFacts, rows: int, seed: int) -> CheckFacts:
    """Check the model that stands against at most so many rows of the sample; 0 rows ask for none.

    What prevents a check is said, and is no error: a report is made all the same.
    """
    if rows == 0 or facts.model is None or catalog.pilot is None:
        return CheckFacts(None, "", seed)
    said = facts.run.config.get("selection")
    if said is not None and facts.selection[0] is None:
        return CheckFacts(None, facts.selection[1], seed)
    before_noise = said is not None and bool(said["before_noise"])
    pilot = catalog.pilot.take(slice(0, rows))
    try:
        check = check_model(facts.model, pilot, before_noise=before_noise, most_rows=rows, seed=seed)
    except DgmmisError as error:
        return CheckFacts(None, str(error), seed)
    return CheckFacts(check, "", seed)
