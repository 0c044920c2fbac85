"""The problems on which passes are counted: rows, their noise, and one start for every method.

=======  =========================================================  ===  ====  ======
problem  rows                                                       D    K     rows
=======  =========================================================  ===  ====  ======
P0       without noise, components far apart                        2    8     10,000
P1       without noise, four dispersions apart                      2    8     10,000
P2       without noise, components that overlap                     3    16    10,000
P3       without noise, drawn from 64 components                    2    16    10,000
P4       each with its own noise covariance                         3    8     5,000
P5       each with its own noise covariance, overlapping            5    8     5,000
P6       each with its own noise covariance, from 64 components     2    16    5,000
=======  =========================================================  ===  ====  ======

The start is that of k-means on a tenth of the rows, and two updates on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drawing import Array, draw_noise, draw_rows, noise_covariances, random_factors

from dgmmis.chunk import ArrayChunks
from dgmmis.constraints import Constraints
from dgmmis.local_pass import LocalPasses
from dgmmis.maximization import maximize
from dgmmis.population import Population
from dgmmis.seeding import seeded_mixture

__all__ = ["PROBLEMS", "Counted", "make_problem"]

START_SHARE = 10
START_UPDATES = 2


@dataclass(frozen=True)
class Recipe:
    """How a problem is drawn.

    Attributes
    ----------
    title : str
        For a person.
    n_features, n_components, rows : int
        What is fitted, and to how many rows.
    drawn_from : int
        Components of the truth.
    spread : float
        Dispersion of the truth's means in each direction.
    dispersions : (float, float)
        Least and greatest length of its components' axes.
    apart : float
        Least distance of two of its means.
    errors : (float, float) or None
        Least and greatest error of a row; None for no noise.
    """

    title: str
    n_features: int
    n_components: int
    rows: int
    drawn_from: int
    spread: float
    dispersions: tuple[float, float]
    apart: float = 0.0
    errors: tuple[float, float] | None = None


PROBLEMS = {
    "P0": Recipe("well separated", 2, 8, 10_000, 8, 12.0, (0.6, 1.4), 10.0),
    "P1": Recipe("4 dispersions apart", 2, 8, 10_000, 8, 4.0, (0.6, 1.4)),
    "P2": Recipe("overlapping", 3, 16, 10_000, 16, 2.0, (0.6, 1.4)),
    "P3": Recipe("16 fitted to 64", 2, 16, 10_000, 64, 4.0, (0.3, 1.5)),
    "P4": Recipe("noisy rows", 3, 8, 5_000, 8, 2.5, (0.6, 1.4), 0.0, (0.5, 1.5)),
    "P5": Recipe("noisy, overlapping", 5, 8, 5_000, 8, 2.0, (0.6, 1.4), 0.0, (0.5, 1.5)),
    "P6": Recipe("noisy, 16 fitted to 64", 2, 16, 5_000, 64, 4.0, (0.3, 1.5), 0.0, (0.3, 1.0)),
}


@dataclass(frozen=True)
class Counted:
    """A problem on which passes are counted.

    Attributes
    ----------
    name, title : str
    values : (N, D)
    noise : (N, D, D) or None
    start : Population
    """

    name: str
    title: str
    values: Array
    noise: Array | None
    start: Population

    @property
    def constraints(self) -> Constraints:
        """Every parameter is free."""
        return Constraints.none(self.start.n_components, self.start.n_features)

    def passes(self) -> LocalPasses:
        """Make the passes over its rows, in one thread."""
        return LocalPasses(ArrayChunks.from_arrays(self.values, self.noise), threads=1)


def make_problem(name: str, seed: int = 1, rows: int | None = None) -> Counted:
    """Draw a problem; the same name, seed and number of rows give the same one."""
    recipe = PROBLEMS[name]
    rng = np.random.default_rng([int(name[1:]), seed])
    k, d = recipe.drawn_from, recipe.n_features
    amplitudes = rng.dirichlet(np.full(k, 5.0))
    means = _means(rng, recipe)
    factors = random_factors(rng, k, d, recipe.dispersions)
    values = draw_rows(rng, rows or recipe.rows, amplitudes, means, factors)
    noise = None
    if recipe.errors is not None:
        noise = noise_covariances(rng, len(values), recipe.n_features, recipe.errors)
        values = values + draw_noise(rng, noise)
    some = values[: max(len(values) // START_SHARE, recipe.n_components)]
    first = Population(seeded_mixture(some, recipe.n_components, rng))
    problem = Counted(name, recipe.title, values, noise, first)
    return Counted(name, recipe.title, values, noise, _updated(problem, START_UPDATES))


def _means(rng: np.random.Generator, recipe: Recipe) -> Array:
    """Draw means one by one, again where one lies too near to another."""
    kept: list[Array] = []
    while len(kept) < recipe.drawn_from:
        trial = rng.normal(0, recipe.spread, recipe.n_features)
        if all(np.linalg.norm(trial - other) >= recipe.apart for other in kept):
            kept.append(trial)
    return np.stack(kept)


def _updated(problem: Counted, updates: int) -> Population:
    population, passes = problem.start, problem.passes()
    for _ in range(updates):
        population = maximize(population, passes.summarize(population), problem.constraints)
    return population
