"""The programs compared: each module runs one of them through its public interface."""

from __future__ import annotations

from importlib import import_module

from contenders.outcome import Fit, Outcome

__all__ = ["CONTENDERS", "Fit", "Outcome", "load_contender"]

CONTENDERS = {
    "dgmmis": ("contenders.with_dgmmis", "fit"),
    "dgmmis, oversampling 10": ("contenders.with_dgmmis", "fit_with_fresh_draws"),
    "scikit-learn": ("contenders.with_scikit_learn", "fit"),
    "pygmmis": ("contenders.with_pygmmis", "fit"),
    "pygmmis, cutoff 5": ("contenders.with_pygmmis", "fit_with_cutoff"),
}
"""Module and function of each contender, as shown in the tables."""


def load_contender(name: str) -> Fit:
    """Import a contender; only its own process does so."""
    module, function = CONTENDERS[name]
    fit: Fit = getattr(import_module(module), function)
    return fit
