"""A run is a folder of immutable objects; its state is computed from what lies there and from its lock."""

from dgmmis.runs.folder import RunFolder
from dgmmis.runs.listing import list_runs, run_paths
from dgmmis.runs.numerics import numerics_fingerprint
from dgmmis.runs.opening import create_run, open_run
from dgmmis.runs.verification import ObjectCheck, is_run, verify_run

__all__ = [
    "ObjectCheck",
    "RunFolder",
    "create_run",
    "is_run",
    "list_runs",
    "numerics_fingerprint",
    "open_run",
    "run_paths",
    "verify_run",
]
