"""How the rows depart from Gaussians: what one pass tells of components to split, and of pairs to merge.

A component that fits its rows leaves all expected Hermite polynomials of its scores at 0.  The first two orders are
the gradient and vanish at any optimum; the third and fourth are the first that tell a wrong component from a right
one.  Along an eigenvector v of V_k, scaled by the root of its eigenvalue, with u and G of `Statistics` and
P = v' G v,

    h3 = u_v^3 - 3 u_v P,      h4 = u_v^4 - 6 u_v^2 P + 3 P^2,

whatever noise a row has, and whatever it lacks: these are the second-order terms of the logarithm of the likelihood
in the distance of two halves (h4), and its first in their difference (h3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dgmmis.densities import component_log_densities, responsibilities
from dgmmis.packed import Array, unpack
from dgmmis.population import Population
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, is_certain, noise_covariances
from dgmmis.tilted_expectation import tilted_scores

__all__ = ["Examiner", "Misfit"]

SHARE = 1e-6
"""A component with less than this responsibility for a row is left out of it."""

MOST_ROWS = 4096
LEAST_ROWS = 64
SLAB_NUMBERS = 2**20
"""Numbers in the largest working array: rows are taken in slabs of this many, but of `LEAST_ROWS` at least."""


@dataclass(frozen=True)
class Misfit:
    """Sums over rows under one population; those of a whole are the sum of its parts'.

    Attributes
    ----------
    overlap : (K, K)
        J_jk = sum s q_j q_k.
    third, fourth : (K, D)
        sum s q h3 and sum s q h4 along each direction.
    third_squares, fourth_squares : (K, D)
        sum s (q h3)^2 and sum s (q h4)^2: the variances of these sums over the rows.
    """

    overlap: Array
    third: Array
    third_squares: Array
    fourth: Array
    fourth_squares: Array

    @classmethod
    def zero(cls, n_components: int, n_features: int) -> Misfit:
        """Make the sums over no rows."""
        return cls(
            np.zeros((n_components, n_components)), *(np.zeros((n_components, n_features)) for _ in range(4))
        )

    def __add__(self, other: Misfit) -> Misfit:
        return Misfit(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def completed(self, unobserved: Misfit) -> Misfit:
        """Add what is expected of rows that were not observed: it shifts the sums and does not scatter."""
        return replace(self, third=self.third + unobserved.third, fourth=self.fourth + unobserved.fourth)

    @property
    def scores(self) -> Array:
        """z3^2 + z4^2 (K, D), each z a sum in units of its scatter: about 2 where a Gaussian fits."""
        tiny = np.finfo(np.float64).tiny
        third = self.third**2 / np.maximum(self.third_squares, tiny)
        return np.asarray(third + self.fourth**2 / np.maximum(self.fourth_squares, tiny))

    @property
    def cosines(self) -> Array:
        """J_jk / sqrt(J_jj J_kk) (K, K); 1 for a component without rows, which any other can take in."""
        lengths = np.sqrt(np.diagonal(self.overlap))
        products = np.outer(lengths, lengths)
        return np.asarray(np.divide(self.overlap, products, out=np.ones_like(products), where=products > 0))


@dataclass(frozen=True)
class Examiner:
    """Examines rows one chunk at a time.

    Attributes
    ----------
    population : Population
    directions : (K, D, D)
        In column j, the eigenvector j of V_k times the root of its eigenvalue.  They travel with the work: other
        machines may turn the eigenvectors of equal eigenvalues.
    """

    population: Population
    directions: Array

    @classmethod
    def of(cls, population: Population) -> Examiner:
        """Make what examines rows under a population."""
        values, vectors = np.linalg.eigh(population.mixture.covariances)
        return cls(population, vectors * np.sqrt(np.maximum(values, 0))[:, None, :])

    def examine(self, samples: Samples, *, cut: Cut | None = None, first_row: int = 0) -> Misfit:
        """Examine one chunk, prepared as for `summarize_samples`, which raises the same errors.

        Rows that leave a selection uncertain are examined as if what the selection tells of them were Gaussian:
        good enough for a ranking.
        """
        total = Misfit.zero(self.population.n_components, self.population.n_features)
        for group in samples.groups:
            if cut is not None and not is_certain(group, cut):
                self._add_tilted(total, samples, group, cut, first_row)
            else:
                self._add_group(total, samples, group, first_row)
        return total

    def _add_group(self, total: Misfit, samples: Samples, group: PatternGroup, first_row: int) -> None:
        for slab in _slabs(samples, group, self.population):
            (rows,) = slab.groups
            mixture, amplitudes = self.population.mixture, self.population.amplitudes
            own = component_log_densities(
                amplitudes, mixture.means, mixture.covariances, slab, first_row=first_row
            )
            terms = np.concatenate((own, self.population.weighted(rows.densities)), axis=1)
            shares = responsibilities(terms)[:, : self.population.n_components]
            weights = rows.weights
            shares[shares < SHARE] = 0
            _add_overlap(total.overlap, shares, weights)
            by_component = np.ascontiguousarray(shares.T)
            for k in np.flatnonzero(by_component.any(axis=1)).tolist():
                which = np.flatnonzero(by_component[k])
                u, spread = self._scores(k, rows, which)
                _add_orders(total, k, weights[which], by_component[k, which], u, spread)

    def _scores(self, k: int, group: PatternGroup, which: NDArray[np.intp]) -> tuple[Array, Array]:
        """u_v (D, n) and P_vv (D, n or 1) of some rows of a group."""
        seen = self.population.mixture.means[k], self.directions[k]
        if group.projection is None:
            mean, directions = (array[group.observed, ..., None] for array in seen)
        elif group.has_own_projections:
            own = group.projection[which]
            mean, directions = np.einsum("nde,e->dn", own, seen[0]), np.einsum("nde,ev->dvn", own, seen[1])
        else:
            mean, directions = (np.einsum("de,e...->d...", group.projection, one)[..., None] for one in seen)
        noise = noise_covariances(_of_rows(group.noise, which), len(group.observed), slice(None))
        total = np.einsum("den,fen->dfn", directions, directions) + noise.transpose(1, 2, 0)
        lower = _cholesky(np.ascontiguousarray(total))
        white = _forward(lower, directions)
        residuals = _forward(lower, (group.values[which].T - mean)[:, None])
        return np.sum(white * residuals, axis=0), np.sum(white**2, axis=0)

    def _add_tilted(
        self, total: Misfit, samples: Samples, group: PatternGroup, cut: Cut, first_row: int
    ) -> None:
        n_components = self.population.n_components
        for scores in tilted_scores(self.population, samples, group, cut, first_row=first_row):
            shares = scores.responsibilities[:, :n_components].copy()
            weights = group.weights[scores.rows]
            shares[shares < SHARE] = 0
            _add_overlap(total.overlap, shares, weights)
            for k in np.flatnonzero(shares.any(axis=0)).tolist():
                which = np.flatnonzero(shares[:, k])
                q, directions = shares[which, k], self.directions[k][scores.features]
                u = np.einsum("nj,jv->vn", scores.first[which, k], directions) / q
                second = unpack(scores.second[which, k])
                curvature = np.einsum("jv,nji,iv->vn", directions, second, directions) / q
                _add_orders(total, k, weights[which], q, u, u**2 - curvature)


def _slabs(samples: Samples, group: PatternGroup, population: Population) -> Iterator[Samples]:
    """Cut a group into samples of few rows."""
    n_sources = population.n_components + len(population.backgrounds)
    widest = max(n_sources, len(group.observed) * population.n_features)
    step = min(MOST_ROWS, max(LEAST_ROWS, SLAB_NUMBERS // widest))
    for start in range(0, len(group.rows), step):
        which = slice(start, min(start + step, len(group.rows)))
        n_rows = which.stop - start
        part = replace(
            group,
            rows=np.arange(n_rows),
            values=group.values[which],
            noise=_of_rows(group.noise, which),
            weights=group.weights[which],
            densities=group.densities[which],
            projection=group.projection[which]
            if group.has_own_projections and group.projection is not None
            else group.projection,
            joint_noise=None,
            bounds=None,
        )
        yield Samples(n_rows, samples.n_features, samples.latent_features, samples.noise_kind, (part,))


def _of_rows(noise: Array | None, which: NDArray[np.intp] | slice) -> Array | None:
    return noise if noise is None or noise.ndim == 1 else noise[which]


def _cholesky(total: Array) -> Array:
    """Lower triangles L of matrices L L^T (d, d, n), rows last: a loop over matrices would take longer."""
    lower = np.zeros_like(total)
    for j in range(len(total)):
        column = total[j:, j] - np.sum(lower[j:, :j] * lower[j, :j], axis=1)
        lower[j:, j] = column / np.sqrt(column[0])
    return lower


def _forward(lower: Array, right: Array) -> Array:
    """L^-1 right (d, m, n) of lower triangles (d, d, n or 1) and (d, m, n or 1)."""
    out = np.empty((*right.shape[:2], max(lower.shape[-1], right.shape[-1])))
    for i in range(len(right)):
        known = np.sum(lower[i, :i, None] * out[:i], axis=0)
        out[i] = (right[i] - known) / lower[i, i]
    return out


def _add_overlap(overlap: Array, shares: Array, weights: Array) -> None:
    sparse = csr_array(shares)
    products = (csr_array(weights[:, None] * shares).T @ sparse).tocoo()
    overlap[products.row, products.col] += products.data


def _add_orders(total: Misfit, k: int, weights: Array, q: Array, u: Array, spread: Array) -> None:
    """Add what rows (n,) say of component k, with u and P (D, n)."""
    square = u * u
    third = q * (u * (square - 3 * spread))
    fourth = q * (square * (square - 6 * spread) + 3 * spread**2)
    total.third[k] += np.sum(weights * third, axis=1)
    total.third_squares[k] += np.sum(weights * third**2, axis=1)
    total.fourth[k] += np.sum(weights * fourth, axis=1)
    total.fourth_squares[k] += np.sum(weights * fourth**2, axis=1)
