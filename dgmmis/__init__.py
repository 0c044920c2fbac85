"""Gaussian mixtures of catalogues that do not fit in memory, with noisy rows and missing features."""

from dgmmis import compiler_cache as compiler_cache  # first: it finds the kernels a place
from dgmmis.api import fit
from dgmmis.assessment import uncertainty
from dgmmis.background import Background
from dgmmis.compared_model import Compared
from dgmmis.comparing import compare
from dgmmis.comparison import Comparison
from dgmmis.density_background import DensityBackground
from dgmmis.errors import (
    CollapsedComponent,
    DgmmisError,
    ImputationLimit,
    InvalidData,
    InvalidSetting,
    MemoryPlanExceeded,
    SelectionError,
)
from dgmmis.fit_plan import Plan
from dgmmis.fit_result import FitResult, Scan
from dgmmis.ingestion import append, ingest
from dgmmis.mixture import Mixture
from dgmmis.model import Model
from dgmmis.monitor.widget import watch
from dgmmis.noise import Noise
from dgmmis.planning import plan
from dgmmis.population import Population
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.products import apply
from dgmmis.restarting import fit_restarts
from dgmmis.restarts import Restarts
from dgmmis.resuming import resume
from dgmmis.runs import RunFolder, list_runs, open_run
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.service import Means, Run, cancel, collect_garbage, serve, submit
from dgmmis.store import Catalog, open_catalog
from dgmmis.uncertainties import Uncertainty

__all__ = [
    "Background",
    "Catalog",
    "CollapsedComponent",
    "Compared",
    "Comparison",
    "DensityBackground",
    "DgmmisError",
    "Dirichlet",
    "FitResult",
    "ImputationLimit",
    "InvalidData",
    "InvalidSetting",
    "InverseWishart",
    "Means",
    "MemoryPlanExceeded",
    "Mixture",
    "Model",
    "Noise",
    "Plan",
    "Population",
    "Prior",
    "Restarts",
    "Run",
    "RunFolder",
    "Samples",
    "Scan",
    "SelectionError",
    "Statistics",
    "Uncertainty",
    "append",
    "apply",
    "cancel",
    "collect_garbage",
    "compare",
    "fit",
    "fit_restarts",
    "ingest",
    "list_runs",
    "open_catalog",
    "open_run",
    "plan",
    "resume",
    "serve",
    "submit",
    "uncertainty",
    "watch",
]
