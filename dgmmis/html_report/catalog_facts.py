"""What the catalogue of a run says, if it can still be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dgmmis.errors import CorruptCatalog, DgmmisError, RunConflict
from dgmmis.html_report.number_text import byte_text, count, percent, significant
from dgmmis.rows import Rows
from dgmmis.runs import RunFolder
from dgmmis.store import Catalog, open_catalog

__all__ = ["CatalogFacts", "consult"]

FIRST_QUARANTINED = 10


@dataclass(frozen=True)
class CatalogFacts:
    """The catalogue as far as a report needs it.

    Attributes
    ----------
    description : dict
        As `Catalog.describe`; empty if the catalogue could not be read.
    pilot : Rows or None
        Its random sample.
    quarantined : list of dict
        The first ten rows that could not be used.
    problem : str
        Why it could not be read; empty if it could.
    catalog : Catalog or None
        None if it could not be opened.
    """

    description: dict[str, Any]
    pilot: Rows | None
    quarantined: list[dict[str, Any]]
    problem: str
    catalog: Catalog | None = None

    @property
    def patterns(self) -> list[tuple[tuple[str, ...], int]]:
        """Names of the missing features, and rows, of each pattern."""
        return [(tuple(p["missing"]), int(p["rows"])) for p in self.description.get("patterns", ())]

    @property
    def is_incomplete(self) -> bool:
        """Whether any feature is missing anywhere."""
        return any(missing for missing, _ in self.patterns)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the rows came from."""
        return dict(self.description.get("provenance", {}))

    @property
    def sources(self) -> list[dict[str, Any]]:
        """Provenance of the rows that were ingested, and of those that each append added."""
        first = self.provenance
        return [first, *first.get("appended", ())] if first else []

    @property
    def notes(self) -> list[str]:
        """What was assumed of any source, each once."""
        return list(dict.fromkeys(str(note) for source in self.sources for note in source.get("notes", ())))

    @property
    def counts(self) -> dict[str, int]:
        """Rows of all sources that were read, and that the condition excluded."""
        counted = [dict(source.get("counts", {})) for source in self.sources]
        names = ("read", "excluded_by_where")
        return {name: sum(int(counts.get(name, 0)) for counts in counted) for name in names}

    @property
    def size(self) -> str:
        """Bytes on disk and chunks."""
        if not self.description:
            return ""
        n_bytes, chunks, rows = (self.description[key] for key in ("bytes_on_disk", "chunks", "chunk_rows"))
        some = "1 chunk" if chunks == 1 else f"{count(chunks)} chunks"
        return f"{byte_text(n_bytes)} in {some} of at most {count(rows)} rows"

    def feature_rows(self) -> list[dict[str, str]]:
        """Write the features as a table."""
        return [
            {
                "name": str(feature["name"]),
                "unit": str(feature["unit"]),
                "observed": count(feature["observed"]),
                "share": percent(feature["observed_fraction"]),
                "low": _or_dash(feature["min"]),
                "high": _or_dash(feature["max"]),
                "error": _or_dash(feature["typical_error"]),
            }
            for feature in self.description.get("features", ())
        ]


def _or_dash(number: float | None) -> str:
    return "–" if number is None else significant(number, 5)  # noqa: RUF001


def consult(run: RunFolder, catalog: Catalog | None) -> CatalogFacts:
    """Read the catalogue of a run as it was then; one that is gone, damaged or another one is a problem, not an error.

    Parameters
    ----------
    run : RunFolder
    catalog : Catalog, optional
        The catalogue, if it lies elsewhere than the run says.

    Raises
    ------
    RunConflict
        If the given `catalog` is not the one that the run was made for.
    """
    wanted = str(run.data["fingerprint"])
    if catalog is not None and wanted not in catalog.fingerprints:
        raise RunConflict(
            f"{catalog.path} has fingerprint {catalog.fingerprint[:12]}; {run.path} was fitted to a catalogue "
            f"with fingerprint {wanted[:12]}. Give that one, or none to report without it."
        )
    try:
        return _read(open_catalog(run.data["path"]) if catalog is None else catalog, wanted)
    except (DgmmisError, OSError) as error:
        return CatalogFacts({}, None, [], str(error))


def _read(catalog: Catalog, wanted: str) -> CatalogFacts:
    if wanted not in catalog.fingerprints:
        problem = f"{catalog.path} now holds another catalogue, with fingerprint {catalog.fingerprint[:12]}."
        return CatalogFacts({}, None, [], problem)
    catalog = catalog.as_of(wanted)
    description, quarantined = catalog.describe(), catalog.quarantined(FIRST_QUARANTINED)
    try:
        return CatalogFacts(description, catalog.read_pilot(), quarantined, "", catalog)
    except CorruptCatalog as error:
        return CatalogFacts(description, None, quarantined, str(error), catalog)
