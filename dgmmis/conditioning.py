"""The mixture of some features, given the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dgmmis.algebra import Columns, marginal, noise_of_one, semidefinite
from dgmmis.densities import log_densities
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise, NoiseLike
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array

__all__ = ["Conditionals", "condition", "conditionals"]


@dataclass(frozen=True)
class Conditionals:
    """The mixtures of F free features that belong to N rows of given ones.

    Attributes
    ----------
    amplitudes : (N, K)
    means : (N, K, F)
    covariances : (N, K, F, F)
        A read-only view that repeats one row where the rows' noise is none or shared.
    log_density : (N,)
        ln p of the given values [nats].
    """

    amplitudes: Array
    means: Array
    covariances: Array
    log_density: Array

    def mixture(self, row: int) -> Mixture:
        """Return the mixture of one row."""
        return Mixture(self.amplitudes[row], self.means[row], self.covariances[row])


def condition(
    mixture: Mixture, columns: Columns, values: ArrayLike, noise: ArrayLike | None = None
) -> Mixture:
    """Condition on one row of some features: the mixture of the others, given these.

    Parameters
    ----------
    mixture : Mixture
    columns : sequence of int
        The d features that are given.
    values : (d,)
    noise : (d,) variances or (d, d), optional
        Of the given values.

    Raises
    ------
    InvalidData, InvalidSetting
        As for `conditionals`.
    """
    row = np.atleast_2d(as_numbers(values, "values"))
    return conditionals(mixture, columns, row, noise_of_one(noise, row.shape[1])).mixture(0)


def conditionals(
    mixture: Mixture, columns: Columns, values: ArrayLike, noise: NoiseLike = None
) -> Conditionals:
    """Condition on rows of some features, noise and all.

    With T = V_gg + S, component k has amplitude proportional to a_k N(x_g | m_g, T), mean m_f + V_fg T^-1
    (x_g - m_g) and covariance V_ff - V_fg T^-1 V_gf (Bishop 2006, eqs. 2.81-2.82).  The free features keep
    their order.  Memory: N K d (d + F) numbers if each row has its own noise.

    Parameters
    ----------
    mixture : Mixture
    columns : sequence of int
        The d features that are given, distinct; at least one is left free.
    values : (N, d)
        None missing.
    noise : None, Noise, (d, d), (N, d) variances or (N, d, d)
        Of the given values.

    Raises
    ------
    InvalidSetting
        If no feature is given, or none is left.
    InvalidData
        If a value is missing or lies beyond any finite density; the row is named.
    """
    given = np.asarray(columns, dtype=np.intp)
    free = np.setdiff1d(np.arange(mixture.n_features), given)
    _require_both(given, free)
    rows = _complete(values)
    part = marginal(mixture, given)
    terms = part.component_log_densities(rows, noise)
    log_density = log_densities(terms)
    _require_reachable(log_density, rows)
    scatter = mixture.covariances[:, given[:, None], free[None, :]]
    gain = _gain(_totals(part, Noise.of(noise, *rows.shape), len(rows)), scatter)
    residuals = rows[:, None, :] - part.means
    means = mixture.means[:, free] + np.einsum("nkd,nkdf->nkf", residuals, _repeated(gain, len(rows)))
    prior = mixture.covariances[:, free[:, None], free[None, :]]
    spreads = prior - np.einsum("nkdf,kdg->nkfg", gain, scatter)
    scale = np.broadcast_to(np.sqrt(np.diagonal(prior, axis1=1, axis2=2)), spreads.shape[:3])
    return Conditionals(
        np.exp(terms - log_density[:, None]),
        means,
        _repeated(semidefinite(spreads, scale), len(rows)),
        log_density,
    )


def _totals(part: Mixture, noise: Noise, n_rows: int) -> Array:
    """V_gg + S, (N, K, d, d); (1, K, d, d) where all rows have the same noise."""
    n_distinct = 1 if noise.kind in ("none", "shared") else n_rows
    return np.asarray(part.covariances + noise.covariances(n_distinct, part.n_features)[:, None])


def _gain(totals: Array, scatter: Array) -> Array:
    """T^-1 V_gf, (N, K, d, F), solved in units in which T has a unit diagonal."""
    scale = np.sqrt(np.diagonal(totals, axis1=2, axis2=3))[..., None]
    correlations = totals / scale / scale.swapaxes(-1, -2)
    return np.asarray(np.linalg.solve(correlations, scatter / scale) / scale)


def _repeated(per_row: Array, n_rows: int) -> Array:
    """(N, ...) from (N, ...) or (1, ...)."""
    return np.broadcast_to(per_row, (n_rows, *per_row.shape[1:]))


def _require_both(given: Columns, free: Columns) -> None:
    if not len(given) or not len(free):
        raise InvalidSetting(
            f"{len(given)} of {len(given) + len(free)} features are given; give at least one and leave at "
            "least one. The density of all of them is log_density."
        )


def _complete(values: ArrayLike) -> Array:
    rows = as_numbers(values, "values")
    missing = np.argwhere(np.isnan(rows))
    if len(missing):
        at = tuple(int(i) for i in missing[0])
        raise InvalidData(
            f"a given value is missing (NaN) at {at}. Condition on the features that are known.",
            array="values",
            row=at[0],
            column=at[-1],
        )
    return rows


def _require_reachable(log_density: Array, rows: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(log_density))
    if len(bad):
        row = int(bad[0])
        raise InvalidData(
            f"the given values {np.array2string(rows[row], precision=6)} (row {row}) have log-density "
            f"{log_density[row]} under the mixture: nothing can be said of the other features there. Check "
            "the values and their units, or state their noise.",
            array="values",
            row=row,
            value=float(log_density[row]),
        )
