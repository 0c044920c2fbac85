"""The programs compared: each module runs one of them through its public interface."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from contenders.outcome import Fit, Outcome

__all__ = ["CONTENDERS", "Contender", "Fit", "Outcome", "load_contender"]


@dataclass(frozen=True)
class Contender:
    """Where a contender's function lies, and what it needs.

    Attributes
    ----------
    module, function : str
    needs_java : bool
    compiles_per_count : bool
        Each number of updates is compiled anew, so each is run once before it is timed.
    """

    module: str
    function: str = "fit"
    needs_java: bool = False
    compiles_per_count: bool = False


CONTENDERS = {
    "dgmmis": Contender("contenders.with_dgmmis"),
    "dgmmis, ordered catalogue": Contender("contenders.with_dgmmis", "fit_ordered"),
    "dgmmis, oversampling 10": Contender("contenders.with_dgmmis", "fit_with_fresh_draws"),
    "scikit-learn": Contender("contenders.with_scikit_learn"),
    "gmmx, float32": Contender("contenders.with_gmmx", compiles_per_count=True),
    "pygmmis": Contender("contenders.with_pygmmis"),
    "pygmmis, cutoff 5": Contender("contenders.with_pygmmis", "fit_with_cutoff"),
    "Spark MLlib, RDD": Contender("contenders.with_spark", "fit_rdd", needs_java=True),
    "Spark MLlib, DataFrame": Contender("contenders.with_spark", "fit_frame", needs_java=True),
}
"""Contenders by their names in the tables."""


def load_contender(name: str) -> Fit:
    """Import a contender; only its own process does so."""
    contender = CONTENDERS[name]
    fit: Fit = getattr(import_module(contender.module), contender.function)
    return fit
