"""Charts of the covariances that constraints allow: whitened coordinates in which nothing leaves the cone.

Every chart is made at an origin and scaled by the rows n that a covariance rests on, so that the information of
complete data, n rows whose component were known and whose noise were nil, is the identity there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dgmmis.constrained_covariances import ON_FLOOR
from dgmmis.packed import Array, lower_indices, packed_size

MOST_GROWTH = 100.0
"""Logarithm of the most that a dispersion grows or shrinks; coordinates beyond stand for the same covariance."""

__all__ = ["CovarianceChart", "FactorChart", "VarianceChart", "is_definite", "rank_above_floor"]


class CovarianceChart(Protocol):
    """Coordinates of one covariance."""

    @property
    def size(self) -> int:
        """Number of coordinates."""

    def covariance(self, x: Array) -> Array:
        """Return the covariance (D, D) at coordinates (size,); the origin lies at 0."""

    def reaches(self, x: Array) -> bool:
        """Tell whether coordinates lie within what the chart tells apart."""

    def coordinates(self, covariance: Array) -> Array:
        """Coordinates (size,) of a covariance that the chart holds."""

    def tangent(self, x: Array) -> Array:
        """Return the change (D, D) of the covariance along coordinates (size,), to first order from the origin."""

    def slope(self, covariance: Array) -> Array:
        """Return the matrix (size, P) that turns a packed score H, twice the gradient by V, into the gradient by x."""

    def observed_information(self, observed: Array) -> Array:
        """Information (size,) about each coordinate in rows whose component is known, with T (D, D) = V and noise."""


@dataclass(frozen=True)
class FactorChart:
    """V = F + M G (M G)^T with G lower trapezoidal, its diagonal in logarithms.

    Away from a floor F = 0, M is the Cholesky factor of the origin and G the identity there: whitened log-Cholesky
    coordinates.  On the floor F is the floor, M its eigenvectors with the r free ones first, and G has r columns:
    the rank of what stands above the floor stays, its directions may turn.

    Attributes
    ----------
    fixed : (D, D)
        F.
    frame : (D, D)
        M.
    origin : (r,)
        Diagonal of G at the origin; the rest is 0.
    scales : (size,)
        Square roots of the complete data's information about each entry of G, the diagonal's about its logarithm.
    """

    fixed: Array
    frame: Array
    origin: Array
    scales: Array

    @classmethod
    def free(cls, covariance: Array, rows: float) -> FactorChart:
        """Chart around a covariance that no floor holds."""
        n_features = len(covariance)
        i, j = _entries(n_features, n_features)
        scales = np.asarray(np.sqrt(rows * np.where(i == j, 2.0, 1.0)), dtype=np.float64)
        root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        return cls(np.zeros_like(covariance), root, np.ones(n_features), scales)

    @classmethod
    def on_floor(cls, covariance: Array, floor: Array, rows: float) -> FactorChart:
        """Chart around a covariance of which some directions lie on the floor (D,)."""
        values, vectors = np.linalg.eigh(covariance / np.outer(floor, floor))
        values, vectors = values[::-1], vectors[:, ::-1]
        rank = int((values > 1 + ON_FLOOR).sum())
        lifted = np.maximum(values, 1.0)
        i, j = _entries(len(floor), rank)
        above = lifted - 1
        information = np.where(i == j, 2 * (above[j] / lifted[j]) ** 2, above[j] / (lifted[i] * lifted[j]))
        frame = floor[:, None] * vectors
        return cls(np.diag(floor**2), frame, np.sqrt(above[:rank]), np.sqrt(rows * information))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.scales)

    def covariance(self, x: Array) -> Array:
        """Return the covariance at these coordinates."""
        factor = self.frame @ self._trapezoid(x)
        return self.fixed + factor @ factor.T

    def reaches(self, x: Array) -> bool:
        """Tell whether no dispersion changes beyond reason."""
        i, j = _entries(len(self.fixed), len(self.origin))
        return bool((np.abs(x / self.scales)[i == j] <= MOST_GROWTH).all())

    def coordinates(self, covariance: Array) -> Array:
        """Coordinates of a covariance of the same rank above the floor."""
        factor = self._factor_of(covariance)
        i, j = _entries(*factor.shape)
        diagonal = np.log(np.diagonal(factor[: factor.shape[1]]) / self.origin)
        return np.where(i == j, diagonal[j], factor[i, j]) * self.scales

    def tangent(self, x: Array) -> Array:
        """Return the change of the covariance along these coordinates, to first order from the origin."""
        i, j = _entries(len(self.fixed), len(self.origin))
        change = np.zeros((len(self.fixed), len(self.origin)))
        change[i, j] = np.where(i == j, self.origin[j], 1.0) * x / self.scales
        half = (self.frame @ change) @ (self.frame @ self._trapezoid(np.zeros(self.size))).T
        return np.asarray(half + half.T)

    def slope(self, covariance: Array) -> Array:
        """dL = tr(H dV) / 2 = sum (M^T H M G) dG, symmetric H."""
        factor = self._factor_of(covariance)
        left, right = self.frame, self.frame @ factor
        i, j = _entries(*factor.shape)
        a, b = lower_indices(len(self.fixed))
        by_entry = left[a][:, i] * right[b][:, j]  # (P, size)
        by_entry += np.where((a == b)[:, None], 0, left[b][:, i] * right[a][:, j])
        chain = np.where(i == j, factor[i, j], 1.0) / self.scales
        return np.asarray(by_entry.T * chain[:, None])

    def observed_information(self, observed: Array) -> Array:
        """Tell tr(T^-1 dV T^-1 dV) / 2 for each entry; on a floor what noise-free rows would tell, 1."""
        if self.fixed.any():
            return np.ones(self.size)
        share = self.frame.T @ np.linalg.solve(observed, self.frame)
        i, j = _entries(len(share), len(share))
        across = share[i, i] * share[j, j]
        return np.asarray(np.where(i == j, across, across + share[i, j] ** 2))

    def _trapezoid(self, x: Array) -> Array:
        n_features, rank = len(self.fixed), len(self.origin)
        i, j = _entries(n_features, rank)
        entries = x / self.scales
        factor = np.zeros((n_features, rank))
        factor[i, j] = np.where(i == j, self.origin[j] * np.exp(_held(np.where(i == j, entries, 0))), entries)
        return factor

    def _factor_of(self, covariance: Array) -> Array:
        rank = len(self.origin)
        inverse = np.linalg.inv(self.frame)
        above = inverse @ (covariance - self.fixed) @ inverse.T
        top = np.linalg.cholesky((above[:rank, :rank] + above[:rank, :rank].T) / 2)
        return np.concatenate((top, np.linalg.solve(top, above[rank:, :rank].T).T))


@dataclass(frozen=True)
class VarianceChart:
    """Logarithms of dispersions: one per feature, or one for all.

    Attributes
    ----------
    variances : (D,)
        Of the origin.
    moves : (D,) of bool
        Features whose variance is not on the floor; all alike for a multiple of the identity.
    rows : float
    common : bool
        A multiple of the identity.
    """

    variances: Array
    moves: NDArray[np.bool_]
    rows: float
    common: bool

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return int(self.moves.any()) if self.common else int(self.moves.sum())

    @property
    def _scale(self) -> float:
        return float(np.sqrt(2 * self.rows * (len(self.variances) if self.common else 1)))

    def covariance(self, x: Array) -> Array:
        """Return the covariance at these coordinates."""
        return np.diag(self.variances * np.exp(2 * _held(self._growth(x))))

    def reaches(self, x: Array) -> bool:
        """Tell whether no dispersion changes beyond reason."""
        return bool((np.abs(self._growth(x)) <= MOST_GROWTH).all())

    def coordinates(self, covariance: Array) -> Array:
        """Coordinates of a diagonal covariance."""
        logarithms = np.log(np.diagonal(covariance) / self.variances)[self.moves] / 2 * self._scale
        return logarithms[: self.size]

    def tangent(self, x: Array) -> Array:
        """Return the change of the covariance along these coordinates, to first order from the origin."""
        return np.diag(self.variances * 2 * self._growth(x))

    def observed_information(self, observed: Array) -> Array:
        """Tell the squares of the shares of what is observed."""
        shares = (self.variances / np.diagonal(observed)) ** 2
        return np.full(self.size, shares.mean()) if self.common else shares[self.moves]

    def _growth(self, x: Array) -> Array:
        growth = np.zeros(len(self.variances))
        growth[self.moves] = x / self._scale
        return growth

    def slope(self, covariance: Array) -> Array:
        """dL = sum_d H_dd V_dd dln(sigma_d)."""
        n_features = len(self.variances)
        i, j = lower_indices(n_features)
        each = np.zeros((n_features, packed_size(n_features)))
        each[np.arange(n_features), np.flatnonzero(i == j)] = np.diagonal(covariance) / self._scale
        if self.common:
            return np.asarray(each.sum(axis=0, keepdims=True)[: self.size])
        return each[self.moves]


def rank_above_floor(covariance: Array, floor: Array) -> int:
    """Count the eigen-directions of a covariance that lie above the floor (D,)."""
    return int((np.linalg.eigvalsh(covariance / np.outer(floor, floor)) > 1 + ON_FLOOR).sum())


def is_definite(covariance: Array) -> bool:
    """Tell whether a covariance has a Cholesky factor."""
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return False
    return True


def _held(growth: Array) -> Array:
    return np.clip(growth, -MOST_GROWTH, MOST_GROWTH)


@lru_cache(maxsize=256)
def _entries(n_rows: int, n_columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each entry of a lower trapezoidal matrix, row by row."""
    i, j = np.tril_indices(n_rows, 0, n_columns)
    return i, j
