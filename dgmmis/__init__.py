"""Gaussian mixtures of catalogues that do not fit in memory, with noisy rows and missing features."""

from dgmmis.api import fit, resume
from dgmmis.errors import DgmmisError
from dgmmis.fit_result import FitResult, Scan
from dgmmis.ingestion import ingest
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.products import apply
from dgmmis.runs import RunFolder, list_runs, open_run
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.store import Catalog, open_catalog

__all__ = [
    "Catalog",
    "DgmmisError",
    "FitResult",
    "Mixture",
    "Model",
    "Noise",
    "RunFolder",
    "Samples",
    "Scan",
    "Statistics",
    "apply",
    "fit",
    "ingest",
    "list_runs",
    "open_catalog",
    "open_run",
    "resume",
]
