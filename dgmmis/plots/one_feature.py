"""One feature of a population: its density without noise, with it, and behind a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from dgmmis.background import BackgroundLike
from dgmmis.density_background import DensityBackground
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.plots.marginals import NoiseClasses, convolved_density, density
from dgmmis.plots.observed_rows import Side
from dgmmis.samples import Samples

__all__ = ["OneFeature"]


@dataclass(frozen=True)
class OneFeature:
    """The density of one feature under a population.

    Attributes
    ----------
    amplitudes, means, variances : (K,)
        Of the components; the amplitudes are those in the whole.
    backgrounds : tuple of BackgroundLike
        Of this feature alone, with their amplitudes.
    """

    amplitudes: Array
    means: Array
    variances: Array
    backgrounds: tuple[BackgroundLike, ...] = ()

    @classmethod
    def of(cls, model: Model, feature: int, least_dispersion: float) -> OneFeature:
        """Take one feature of a model; a component without extent would be an infinite peak."""
        mixture = model.mixture
        variances = np.maximum(mixture.covariances[:, feature, feature], least_dispersion**2)
        backgrounds = tuple(_marginal(one, feature, mixture.n_features) for one in model.backgrounds)
        return cls(model.population.amplitudes, mixture.means[:, feature], variances, backgrounds)

    def density(self, points: Array) -> Array:
        """Density of noise-free values at `points` (G,)."""
        return density(points, self.amplitudes, self.means, self.variances) + self.behind(points)

    def behind(self, points: Array) -> Array:
        """Give the backgrounds' part of `density`."""
        return self._backgrounds(points, Noise.none())

    def convolved(self, points: Array, noise: NoiseClasses) -> Array:
        """Density of noisy values at `points` (G,), averaged over the rows' noise."""
        total = convolved_density(points, self.amplitudes, self.means, self.variances, noise)
        if self.backgrounds:
            values, variances = np.tile(points, len(noise.shares)), np.repeat(noise.variances, len(points))
            behind = self._backgrounds(values, Noise.diagonal(variances[:, None]))
            total += np.einsum("c,cg->g", noise.shares, behind.reshape(len(noise.shares), -1))
        return total

    def cut(self, points: Array, noise: NoiseClasses, side: Side) -> Array:
        """Density of noisy values that were kept between two sides, where there is no background.

        Each row's density is that given its own noise, so it integrates to 1 between the sides.
        """
        total = np.zeros(len(points))
        inside = (points >= side[0]) & (points <= side[1])
        for variance, share in zip(noise.variances, noise.shares, strict=True):
            widths = np.sqrt(self.variances + variance)
            low, high = ((face - self.means) / widths for face in side)
            kept = float(np.sum(self.amplitudes * (ndtr(high) - ndtr(low))))
            own = density(points[inside], self.amplitudes, self.means, self.variances + variance)
            total[inside] += share * own / max(kept, np.finfo(float).tiny)
        return total

    def _backgrounds(self, values: Array, noise: Noise) -> Array:
        total = np.zeros(len(values))
        samples = Samples.from_arrays(values[:, None], noise)
        for background in self.backgrounds:
            total += background.amplitude * np.exp(background.log_density(samples))
        return total


def _marginal(background: BackgroundLike, feature: int, n_features: int) -> BackgroundLike:
    if isinstance(background, DensityBackground) and background.n_features is None:
        background = replace(background, n_features=n_features)
    return background.marginal([feature])
