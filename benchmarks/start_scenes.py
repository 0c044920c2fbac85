"""The scenes on which ways to start a fit are compared; each seed draws another truth and other rows.

=========  ================================================  ===  ====  ======
scene      rows                                              D    K     rows
=========  ================================================  ===  ====  ======
overlap    without noise, components that overlap            3    16    10,000
separated  without noise, most components apart              2    16    10,000
noisy      each with its own noise covariance                2    8     5,000
=========  ================================================  ===  ====  ======
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drawing import Array, draw_noise, draw_rows, noise_covariances, random_factors

from dgmmis import Mixture
from dgmmis.chunk import ArrayChunks
from dgmmis.local_pass import LocalPasses

__all__ = ["SCENES", "StartScene", "make_start_scene"]


@dataclass(frozen=True)
class Recipe:
    """How a scene is drawn: means with dispersion `spread`, axes between `dispersions`, errors between `errors`."""

    number: int
    title: str
    n_features: int
    n_components: int
    rows: int
    spread: float
    dispersions: tuple[float, float] = (0.6, 1.4)
    errors: tuple[float, float] | None = None


SCENES = {
    "overlap": Recipe(0, "overlapping, D = 3, K = 16", 3, 16, 10_000, 2.5),
    "separated": Recipe(1, "separated, D = 2, K = 16", 2, 16, 10_000, 8.0),
    "noisy": Recipe(2, "noisy rows, D = 2, K = 8", 2, 8, 5_000, 4.0, errors=(0.5, 1.5)),
}


@dataclass(frozen=True)
class StartScene:
    """Rows, their noise, and the mixture they were drawn from."""

    values: Array
    noise: Array | None
    truth: Mixture

    def chunks(self) -> ArrayChunks:
        """Return the rows as fits take them."""
        return ArrayChunks.from_arrays(self.values, self.noise)

    def passes(self) -> LocalPasses:
        """Make the passes over all rows, in one thread."""
        return LocalPasses(self.chunks(), threads=1)

    def part(self, which: Array) -> StartScene:
        """Return some of the rows."""
        return StartScene(self.values[which], None if self.noise is None else self.noise[which], self.truth)


def make_start_scene(name: str, seed: int, rows: int | None = None) -> StartScene:
    """Draw a scene; the same name, seed and number of rows give the same one."""
    recipe = SCENES[name]
    k, d = recipe.n_components, recipe.n_features
    rng = np.random.default_rng([recipe.number, seed])
    amplitudes = rng.dirichlet(np.full(k, 5.0))
    means = rng.normal(0, recipe.spread, (k, d))
    factors = random_factors(rng, k, d, recipe.dispersions)
    values = draw_rows(rng, rows or recipe.rows, amplitudes, means, factors)
    noise = None
    if recipe.errors is not None:
        noise = noise_covariances(rng, len(values), d, recipe.errors)
        values = values + draw_noise(rng, noise)
    return StartScene(values, noise, Mixture(amplitudes, means, factors @ factors.swapaxes(1, 2)))
