"""Where projected rows lie in the mixture's features, well enough to start a fit."""

from __future__ import annotations

import numpy as np

from dgmmis.constraints import Constraints
from dgmmis.errors import CollapsedComponent, InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.maximization import maximize
from dgmmis.mixture import Mixture
from dgmmis.numeric_input import LARGEST
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.posterior import infer
from dgmmis.rows import Rows
from dgmmis.samples import PatternGroup, Samples

__all__ = ["latent_values"]

UPDATES = 20
"""Steps of expectation maximization: the broad Gaussian only has to be about right."""


def latent_values(rows: Rows) -> Array:
    """Estimate each row's noise-free values in the mixture's features.

    One broad Gaussian is fitted to all rows: it starts at the least-squares location, with variances that
    explain the residuals feature by feature, and takes 20 exact updates.  Each row's posterior mean under it
    is returned.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    (N, D)
        Finite; rows without weight or without any observed feature too.

    Raises
    ------
    InvalidData
        If no row leads to some feature of the mixture, or the rows need noise that they do not state.
    """
    samples, n_features = rows.samples(checked=True), rows.latent_features
    population = Population(_broad(samples, n_features))
    constraints = Constraints.none(1, n_features)
    for _ in range(UPDATES):
        try:
            population = maximize(population, summarize_samples(population, samples), constraints)
        except CollapsedComponent:  # the rows lie in a plane: the Gaussian before that is as good as any
            break
    return infer(population.mixture, samples, 1).means


def _broad(samples: Samples, n_features: int) -> Mixture:
    """Make a Gaussian of the location that fits all rows best, wide enough to explain the rest in any feature."""
    squares, location = _locate(samples, n_features)
    residual, fourth = np.zeros(n_features), np.zeros(n_features)
    for group in samples.groups:
        R = _matrices(group, n_features)
        offset = group.values - np.einsum("nia,a->ni", R, location)
        residual += np.einsum("n,nia,ni->a", group.weights, R**2, offset**2)
        fourth += np.einsum("n,nia->a", group.weights, R**4)
    variances = residual / fourth
    tiny = variances <= np.finfo(np.float64).eps * location**2  # rows that all agree have no width
    variances = np.where(tiny, np.maximum(location**2, 1 / squares), variances)
    return Mixture(np.ones(1), location[None], np.diag(variances)[None])


def _locate(samples: Samples, n_features: int) -> tuple[Array, Array]:
    """Sum of R^2 for each feature (D,), and the location t that solves sum R^T R t = sum R^T x (D,)."""
    normal, right = np.zeros((n_features, n_features)), np.zeros(n_features)
    for group in samples.groups:
        R = _matrices(group, n_features)
        normal += np.einsum("n,nia,nic->ac", group.weights, R, R)
        right += np.einsum("n,nia,ni->a", group.weights, R, group.values)
    squares = np.diagonal(normal).copy()
    empty = np.flatnonzero(squares < 1 / LARGEST)
    if len(empty):
        column = int(empty[0])
        raise InvalidData(
            f"feature {column} of the mixture appears in no row: column {column} of the projection is 0, or as good "
            "as that, wherever a value was observed. Leave it out.",
            array="projection",
            column=column,
        )
    scale = np.sqrt(squares)
    solution = np.linalg.lstsq(normal / np.outer(scale, scale), right / scale, rcond=None)[0]
    return squares, solution / scale


def _matrices(group: PatternGroup, n_features: int) -> Array:
    """Projections (n, d, D) of a group's rows; those that pick the observed features if there are none."""
    R = np.eye(n_features)[group.observed] if group.projection is None else group.projection
    return np.broadcast_to(R, (len(group.rows), *R.shape[-2:]))
