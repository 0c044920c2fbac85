"""A population whose features have names and units: what it says of rows, and rows drawn from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.background import BackgroundLike, as_backgrounds
from dgmmis.densities import log_densities, require_finite
from dgmmis.errors import FeatureMismatch
from dgmmis.feature_names import named_features
from dgmmis.mixture import Mixture
from dgmmis.noise import NoiseLike
from dgmmis.observing import NoiseAt, ObservedPopulation, draw
from dgmmis.packed import Array, unpack
from dgmmis.population import Population
from dgmmis.posterior import infer
from dgmmis.selection import Selection, as_selection

__all__ = ["NamedPopulation"]


@dataclass(frozen=True)
class NamedPopulation:
    """A mixture, the names of its features and their units, backgrounds, and the selection of the data.

    Densities are those of the population, before any selection.

    Attributes
    ----------
    mixture : Mixture
    features : tuple of str
        D names; default x0, x1, ...
    units : tuple of str
        D units; "" where unknown.
    backgrounds : tuple of BackgroundLike
        With their amplitudes; one may be given without a tuple.
    selection : Selection, optional
        That the data were chosen by; a function is made one.
    selection_note : str
        Why a model that was read from a file has no selection, if it had one.

    Raises
    ------
    FeatureMismatch
        If the numbers of names or units are not D, or a name is repeated.
    InvalidSetting
        If a background is none.
    """

    mixture: Mixture
    features: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    backgrounds: tuple[BackgroundLike, ...] = ()
    selection: Selection | None = None
    selection_note: str = ""

    def __post_init__(self) -> None:
        features, units = named_features(self.features, self.units, self.mixture.n_features)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "backgrounds", as_backgrounds(self.backgrounds, self.mixture.n_features))
        if self.selection is not None:
            object.__setattr__(self, "selection", as_selection(self.selection))

    @property
    def population(self) -> Population:
        """Mixture and backgrounds."""
        return Population(self.mixture, self.backgrounds)

    @property
    def background(self) -> BackgroundLike | None:
        """The background, or the first of several."""
        return self.backgrounds[0] if self.backgrounds else None

    def require_features(self, features: Sequence[str]) -> None:
        """Raise `FeatureMismatch` unless data with these features are what the model describes."""
        if tuple(features) != self.features:
            raise FeatureMismatch(
                f"the data have features {', '.join(features)}; the model was fitted to "
                f"{', '.join(self.features)}. Ingest the data with --features {','.join(self.features)}."
            )

    def log_density(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln p(x_i) (N,) [nats] of each row's observed features, backgrounds included; see `Mixture`."""
        return self.population.log_density(self.mixture.samples(values, noise))

    def component_log_densities(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """ln a_k N(x_i | m_k, V_k + S_i), then ln nu_j b_j(x_i) of each background: (N, K + J)."""
        return self.population.component_log_densities(self.mixture.samples(values, noise))

    def responsibilities(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """Pr(component k | x_i), (N, K); a row sums to 1 less its `background_probability`."""
        return self._shares(values, noise)[:, : self.mixture.n_components]

    def background_probability(self, values: ArrayLike, noise: NoiseLike = None) -> Array:
        """Pr(any background | x_i), (N,); 0 without one."""
        return np.asarray(self._shares(values, noise)[:, self.mixture.n_components :].sum(axis=1))

    def _shares(self, values: ArrayLike, noise: NoiseLike) -> Array:
        samples = self.mixture.samples(values, noise)
        terms = self.population.component_log_densities(samples)
        log_density = log_densities(terms)
        for group in samples.groups:
            require_finite(log_density[group.rows], group)
        return np.asarray(np.exp(terms - log_density[:, None]))

    def posterior(self, values: ArrayLike, noise: NoiseLike = None) -> tuple[Array, Array]:
        """Infer the complete, noise-free row behind each row.

        If there are backgrounds, this is the posterior under the condition that the mixture made the row;
        `background_probability` says how likely that is.

        Returns
        -------
        means : (N, D)
        covariances : (N, D, D)
        """
        found = infer(self.mixture, self.mixture.samples(values, noise), 1)
        return found.means, unpack(found.covariances)

    def observed(
        self,
        selection: Selection | Callable[[Array], Array] | None = None,
        *,
        invert: bool = False,
        before_noise: bool = False,
    ) -> ObservedPopulation:
        """Say how rows of this model are observed, for `dgmmis.observing`; parameters as in `draw`."""
        if selection is None:
            return ObservedPopulation(self.population, None, invert, before_noise)
        bound = as_selection(selection).bind(self.features)
        return ObservedPopulation(self.population, bound.evaluate, invert, before_noise)

    @overload
    def draw(
        self,
        n_rows: int,
        rng: np.random.Generator,
        *,
        noise: NoiseLike | NoiseAt = None,
        selection: Selection | Callable[[Array], Array] | None = None,
        invert: bool = False,
        before_noise: bool = False,
        max_trials: int | None = None,
        return_labels: Literal[False] = False,
    ) -> Array: ...

    @overload
    def draw(
        self,
        n_rows: int,
        rng: np.random.Generator,
        *,
        noise: NoiseLike | NoiseAt = None,
        selection: Selection | Callable[[Array], Array] | None = None,
        invert: bool = False,
        before_noise: bool = False,
        max_trials: int | None = None,
        return_labels: Literal[True],
    ) -> tuple[Array, NDArray[np.intp]]: ...

    def draw(
        self,
        n_rows: int,
        rng: np.random.Generator,
        *,
        noise: NoiseLike | NoiseAt = None,
        selection: Selection | Callable[[Array], Array] | None = None,
        invert: bool = False,
        before_noise: bool = False,
        max_trials: int | None = None,
        return_labels: bool = False,
    ) -> Array | tuple[Array, NDArray[np.intp]]:
        """Draw rows (N, D), backgrounds included; with noise and a selection, rows as they are observed.

        Parameters
        ----------
        n_rows : int
            N, of rows that are kept.
        rng : numpy.random.Generator
        noise : None, Noise, (D, D), (N, D) variances, (N, D, D) or callable, optional
            Of the kept rows; a callable gives it at noise-free positions, (n, D) -> (n, D, D) or (D, D).
        selection : Selection or callable, optional
            Such as this model's `selection`, which is not applied by itself.
        invert : bool
            Draw rows that the selection drops.
        before_noise : bool
            The selection looks at the noise-free values.
        max_trials : int, optional
            Rows drawn at most; default 10^7 and 1000 for each of `n_rows`.
        return_labels : bool
            Return also which component made each row, (N,); K + j for background j.

        Raises
        ------
        SelectionError
            If so few rows are kept that `max_trials` are not enough.
        """
        observed = self.observed(selection, invert=invert, before_noise=before_noise)
        drawn = draw(observed, n_rows, rng, noise=noise, max_trials=max_trials)
        return (drawn.values, drawn.labels) if return_labels else drawn.values
