"""The covariances that constraints allow, of those that the rows ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent
from dgmmis.packed import Array

__all__ = [
    "ON_FLOOR",
    "constrain_covariances",
    "floor_eigenvalues",
    "is_near",
    "raise_to_floor",
    "require_definite",
]

ON_FLOOR = 1e-9
"""Rounding of an eigenvalue that was set to the floor, relative to it."""

CONSTANT = 1e-12
"""A variance that fell to this fraction in one step is rounding: the feature has no spread."""

CONCERNED = 0.1
"""Features with this weight, relative to the largest, in a direction without spread are named."""


def constrain_covariances(before: Array, wanted: Array, counts: Array, constraints: Constraints) -> Array:
    """Maximise the expected objective over the covariances that are allowed.

    Of covariance V with scatter A W that objective is -(A ln|V| + tr(A W V^-1)) / 2 plus the prior's
    logarithm, which adds rows and scatter of its own: W' = (A W + Psi) / (A + nu + D + 1).  It decreases
    from W' in every direction of the cone, so its maximum over diagonal matrices is the diagonal of W',
    over multiples of the identity the diagonal's mean; if components share a covariance, their scatters
    and rows add first.  With a floor F = diag(f^2), V = F^1/2 U F^1/2: among matrices U >= 1 with given
    eigenvalues those with the eigenvectors of F^-1/2 W' F^-1/2 are best (von Neumann's trace inequality),
    and each eigenvalue is best at its own value or, if that is below, at 1.

    Parameters
    ----------
    before : (K, D, D)
    wanted : (K, D, D)
        W: what the rows ask for.
    counts : (K,)
        A; 0 for a component that has no say.
    constraints : Constraints

    Returns
    -------
    (K, D, D)
        A component that is frozen or has no say keeps its covariance, unless it is tied to others.
    """
    free = ~constraints.frozen.covariances
    fed = free & (counts > 0)
    after = before.copy()
    if not fed.any():
        return after
    if constraints.covariance_type == "tied":
        rows = counts[fed].sum(keepdims=True)
        common = np.einsum("k,kde->de", counts[fed] / rows, wanted[fed])
        after[free] = _one_by_one(common[None], rows, constraints)
    else:
        after[fed] = _one_by_one(wanted[fed], counts[fed], constraints)
    return after


def _one_by_one(wanted: Array, counts: Array, constraints: Constraints) -> Array:
    n_features = wanted.shape[-1]
    prior = None if constraints.prior is None else constraints.prior.covariances
    if prior is not None:
        rows = counts[:, None, None]
        wanted = (rows * wanted + prior.matrix(n_features)) / (rows + prior.rows(n_features))
    wanted = of_type(wanted, constraints.covariance_type)
    return wanted if constraints.floor is None else raise_to_floor(wanted, constraints)


def of_type(matrices: Array, covariance_type: str) -> Array:
    """Bring symmetric matrices (K, D, D) to the type of a covariance: no other entries, or one variance for all."""
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    identity = np.eye(matrices.shape[-1])
    if covariance_type == "diagonal":
        return variances[:, :, None] * identity
    if covariance_type == "spherical":
        return np.asarray(variances.mean(axis=1)[:, None, None] * identity)
    return matrices


def raise_to_floor(covariances: Array, constraints: Constraints) -> Array:
    """Raise what lies below the floor; what does not keeps its bits."""
    floor = np.asarray(constraints.floor)
    if constraints.covariance_type == "spherical":
        floor = np.full(len(floor), floor.max())  # a multiple of the identity is above all or below one
    raised = covariances.copy()
    for k in np.flatnonzero(np.isfinite(covariances).all(axis=(1, 2))):
        if constraints.covariance_type in ("diagonal", "spherical"):
            np.fill_diagonal(raised[k], np.maximum(np.diagonal(covariances[k]), floor**2))
            continue
        eigenvalues, directions = np.linalg.eigh(covariances[k] / np.outer(floor, floor))
        if eigenvalues[0] < 1:
            clipped = np.einsum("di,i,ei->de", directions, np.maximum(eigenvalues, 1), directions)
            raised[k] = (clipped + clipped.T) / 2 * np.outer(floor, floor)
    return raised


def floor_eigenvalues(covariances: Array, floor: Array) -> Array:
    """Smallest eigenvalue (K,) of each covariance in units of the floor: 1 lies on it."""
    return np.asarray(np.linalg.eigvalsh(covariances / np.outer(floor, floor))[:, 0])


def require_definite(covariances: Array, before: Array, counts: Array, constraints: Constraints) -> None:
    """Refuse free covariances without a finite Cholesky factor in units of their own dispersions.

    Raises
    ------
    CollapsedComponent
        Naming the first such component and the features to blame.
    """
    if constraints.covariance_type == "tied":
        counts = np.full(len(counts), counts[~constraints.frozen.covariances].sum())
    checked = np.flatnonzero(constraints.distinct_covariances & (counts > 0))
    for k in checked[~_are_definite(covariances[checked])][:1]:
        features, collinear = _blame(covariances[k], before[k])
        raise CollapsedComponent(int(k), float(counts[k]), features, collinear)


def _are_definite(covariances: Array) -> NDArray[np.bool_]:
    """Tell which matrices (K, D, D) are finite and have only eigenvalues above 0 in units of their dispersions."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    definite = np.asarray((variances > 0).all(axis=1) & np.isfinite(covariances).all(axis=(1, 2)))
    scale = np.sqrt(variances[definite])
    correlations = covariances[definite] / (scale[:, :, None] * scale[:, None, :])
    definite[definite] = np.linalg.eigvalsh(correlations)[:, 0] > 0
    return definite


def _correlation(covariance: Array) -> Array:
    scale = np.sqrt(np.diagonal(covariance))
    return np.asarray(covariance / np.outer(scale, scale))


def _blame(covariance: Array, before: Array) -> tuple[tuple[int, ...], bool]:
    """Features without spread of their own, and whether only a combination of them has none."""
    if not np.isfinite(covariance).all():
        return (), False
    constant = np.flatnonzero(np.diagonal(covariance) <= CONSTANT * np.diagonal(before))
    if len(constant):
        return tuple(constant.tolist()), False
    weights = np.abs(np.linalg.eigh(_correlation(covariance))[1][:, 0])
    # a correlation matrix has no such direction along one feature: 1/D of the largest names another
    concerned = weights >= min(CONCERNED, 1 / len(weights)) * weights.max()
    return tuple(np.flatnonzero(concerned).tolist()), True


def is_near(raised: Array, covariances: Array) -> bool:
    """Tell whether raising to the floor changed no more than rounding."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    scale = np.sqrt(variances[:, :, None] * variances[:, None, :])
    return bool((np.abs(raised - covariances) <= ON_FLOOR * scale).all())
