"""The summary of a catalogue that a person reads and a program can parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dgmmis.store.health import as_json_numbers
from dgmmis.store.layout import FORMAT, GROWN_FORMAT

if TYPE_CHECKING:
    from dgmmis.store.catalog import Catalog

__all__ = ["description_of"]


def description_of(catalog: Catalog) -> dict[str, Any]:
    """Summarise a catalogue from its attributes and zone maps; no chunk of rows is read.

    Returns
    -------
    dict
        JSON-able.  Ranges and counts are exact; errors are those of the pilot, and said to be.
    """
    summary, schema = catalog.summary, catalog.schema
    names = catalog.features
    patterns = [
        {"missing": [names[j] for j in pattern["missing"]], "rows": pattern["rows"]}
        for pattern in summary["patterns"]
    ]
    empty = [pattern["rows"] for pattern in patterns if len(pattern["missing"]) == catalog.n_features]
    return {
        "path": str(catalog.path),
        "format": FORMAT if catalog.n_parts == 1 else GROWN_FORMAT,
        "fingerprint": catalog.fingerprint,
        "rows": catalog.n_rows,
        "part_rows": list(catalog.part_rows),
        "rows_with_nothing_observed": sum(empty),
        "features": _features(catalog),
        "patterns": patterns,
        "noise": {
            "form": schema.noise_form,
            "kind": catalog.noise_kind,
            "correlations": schema.has_correlations or schema.noise_form == "covariances",
            "shared": None if schema.shared_noise is None else [list(row) for row in schema.shared_noise],
            "jitter": list(schema.jitter),
            "health": summary["noise_health"],
        },
        "weights": schema.has_weights,
        "id_kind": schema.id_kind,
        "quarantined": {"rows": catalog.n_quarantined, "reasons": summary["quarantine_reasons"]},
        "pilot_rows": catalog.pilot_rows,
        "chunks": catalog.n_chunks,
        "chunk_rows": catalog.chunk_rows,
        "order": "chunk" if catalog.follows_source else "catalog",
        "bytes_on_disk": catalog.nbytes,
        "provenance": schema.provenance,
    }


def _features(catalog: Catalog) -> list[dict[str, Any]]:
    missing = catalog.read_zones("missing").sum(axis=0)
    low, high = as_json_numbers(catalog.low), as_json_numbers(catalog.high)
    typical = catalog.summary["noise_health"]["typical_error"] or [None] * catalog.n_features
    return [
        {
            "name": name,
            "unit": catalog.units[j],
            "observed": catalog.n_rows - int(missing[j]),
            "observed_fraction": 1 - int(missing[j]) / catalog.n_rows,
            "min": low[j],
            "max": high[j],
            "typical_error": typical[j],
        }
        for j, name in enumerate(catalog.features)
    ]
