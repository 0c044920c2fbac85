"""What limits the meaning of a fit's errors, in words."""

from __future__ import annotations

import numpy as np

from dgmmis.maximization import events_of
from dgmmis.optimum import Optimum
from dgmmis.population import Population
from dgmmis.spread import Errors

__all__ = ["notes_of"]

LEFT = 0.1
"""Predicted gain [total nats] above which a fit is said not to be at its optimum."""


def notes_of(
    errors: Errors,
    optimum: Optimum,
    *,
    n_flat: int,
    n_blocks: int,
    gain: float,
    rows_used: int,
) -> tuple[str, ...]:
    """Say what a person should know.

    Parameters
    ----------
    errors : Errors
    optimum : Optimum
    n_flat, n_blocks : int
        Directions that nothing is known of, and blocks of parameters looked at by themselves.
    gain : float
        What a Newton step would add to the objective [total nats].
    rows_used : int
        Rows that were scored.
    """
    chart, statistics = optimum.chart, optimum.statistics
    events = events_of(chart.origin, statistics, chart.constraints)
    notes = [f"{event}: what is held there has no error" for event in events]
    if n_flat:
        notes.append(
            f"the rows tell nothing of {n_flat} of {chart.n_parameters} directions of the parameters: what depends on "
            "them has an infinite error"
        )
    notes += _vague(chart.origin, errors)
    if gain > LEFT:
        ahead = np.sqrt(2 * gain / max(1, chart.n_parameters))
        notes.append(
            f"the fit is not at its optimum: {gain:.2g} nats, or {ahead:.2g} standard errors (root-mean-square), lie "
            "ahead; go on with it first"
        )
    if n_blocks > 1:
        notes.append(
            "each component was looked at by itself, as if the others were known: errors of components that overlap "
            "are too small"
        )
    if rows_used < statistics.rows:
        notes.append(f"estimated on a random sample of {rows_used:,} of {statistics.rows:,} rows")
    return tuple(notes)


def _vague(population: Population, errors: Errors) -> list[str]:
    """Name components whose errors are as large as what they are errors of."""
    variances = np.diagonal(population.mixture.covariances, axis1=1, axis2=2)
    of_variances = np.diagonal(errors.covariances, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        large = (errors.means**2 > variances).any(axis=1) | (of_variances > variances).any(axis=1)
        large |= errors.amplitudes > population.amplitudes
    finite = np.isfinite(errors.means).all(axis=1) & np.isfinite(of_variances).all(axis=1)
    return [
        f"component {k} is known no better than by its own size: errors to first order do not hold there, ask for "
        "the bootstrap"
        for k in np.flatnonzero(large & finite).tolist()
    ]
