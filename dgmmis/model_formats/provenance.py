"""Where a model comes from: the run that fitted it, and the rows it was fitted to."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from dgmmis.model_file import read_model
from dgmmis.places import local_path
from dgmmis.runs import RunFolder

__all__ = ["provenance_of", "read_provenance"]


def provenance_of(run: RunFolder) -> dict[str, Any]:
    """Say which settings, rows and versions led to the model of a run, and where the fit stood; JSON can hold it."""
    latest = run.latest()
    standing = None if latest is None else latest.scan.standing
    return {
        "program": "dgmmis",
        "version": version("dgmmis"),
        "run": run.path.name,
        "state": run.state(),
        "settings": run.config,
        "catalog": {"fingerprint": run.data["fingerprint"], "rows": run.data["rows"]},
        "fitted_with": run.description["numerics"],
        "updates": None if latest is None else latest.scan.number,
        "log_likelihood": None if standing is None else standing.statistics.log_likelihood,
    }


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Read what a saved model says of where it comes from; empty if it says nothing."""
    header, _, _ = read_model(local_path(path))
    found = header.get("provenance")
    return found if isinstance(found, dict) else {}
