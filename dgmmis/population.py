"""What rows are drawn from: a mixture, and densities behind it that have no parameters but an amplitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.densities import component_log_densities, log_densities
from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.samples import Samples

__all__ = ["Population"]


@dataclass(frozen=True)
class Population:
    """p(x) = (1 - sum_j nu_j) sum_k a_k N(m_k, V_k) + sum_j nu_j b_j(x).

    The mixture sums to 1 by itself; the amplitude of component k in the whole, (1 - sum nu) a_k, is what
    `amplitudes` gives.

    Attributes
    ----------
    mixture : Mixture
    backgrounds : tuple of BackgroundLike
        J densities with their amplitudes nu_j.
    """

    mixture: Mixture
    backgrounds: tuple[BackgroundLike, ...] = ()

    @property
    def n_components(self) -> int:
        """K."""
        return self.mixture.n_components

    @property
    def n_features(self) -> int:
        """D."""
        return self.mixture.n_features

    @property
    def background_amplitudes(self) -> Array:
        """nu_j (J,)."""
        return np.array([background.amplitude for background in self.backgrounds], dtype=np.float64)

    @property
    def amplitudes(self) -> Array:
        """Amplitudes (K,) of the components in the whole; with the backgrounds' they sum to 1."""
        if not self.backgrounds:
            return self.mixture.amplitudes
        return np.asarray((1 - self.background_amplitudes.sum()) * self.mixture.amplitudes)

    def with_parameters(
        self, amplitudes: Array, background_amplitudes: Array, means: Array, covariances: Array
    ) -> Population:
        """Return the population with these parameters, amplitudes being those in the whole."""
        total = float(amplitudes.sum())
        shares = amplitudes / total if self.backgrounds and total > 0 else amplitudes
        backgrounds = tuple(
            background.with_amplitude(float(amplitude))
            for background, amplitude in zip(self.backgrounds, background_amplitudes, strict=True)
        )
        return Population(Mixture(shares, means, covariances), backgrounds)

    def background_terms(self, samples: Samples) -> Array:
        """ln nu_j b_j(x_i) of each row, (N, J)."""
        return self.weighted(background_densities(self.backgrounds, samples))

    def weighted(self, densities: Array) -> Array:
        """ln nu_j b_j from ln b_j, (N, J)."""
        with np.errstate(divide="ignore"):
            return np.asarray(densities + np.log(self.background_amplitudes))

    def component_log_densities(self, samples: Samples) -> Array:
        """ln a_k N(x_i | m_k, T_ik) of each row and component, then ln nu_j b_j(x_i): (N, K + J)."""
        mixture = self.mixture
        terms = component_log_densities(self.amplitudes, mixture.means, mixture.covariances, samples)
        return np.concatenate((terms, self.background_terms(samples)), axis=1)

    def log_density(self, samples: Samples) -> Array:
        """ln p(x_i) of each row's observed features, (N,)."""
        return log_densities(self.component_log_densities(samples))


def background_densities(backgrounds: tuple[BackgroundLike, ...], samples: Samples) -> Array:
    """ln b_j(x_i), (N, J): they depend on no parameter, so a fit computes them once."""
    densities = np.empty((samples.n_rows, len(backgrounds)))
    for j, background in enumerate(backgrounds):
        densities[:, j] = background.log_density(samples)
    return densities
