"""Densities behind the mixture that have no parameters: p(x) = sum_k a_k N(x | ...) + a_bg b(x).

Without noise b is uniform in a box, the footprint.  Seen through a row's noise it is

    b(x) = Pr(the row's noise puts it inside the footprint) / volume,

over the features the row has.  It does not depend on the parameters: a fit evaluates it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from dgmmis.background_settings import (
    Footprint,
    as_footprint,
    check_amplitudes,
    describe_amplitude,
    require_features,
    within_limits,
)
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.noise import NoiseKind
from dgmmis.normal_intervals import Intervals
from dgmmis.packed import Array, unpack
from dgmmis.rectangle_probability import independent_log_probability, rectangle_log_probability
from dgmmis.samples import PatternGroup, Samples

__all__ = ["Background", "BackgroundLike", "as_backgrounds", "uniform_proposal"]


@runtime_checkable
class BackgroundLike(Protocol):
    """What a fit asks of a background."""

    @property
    def amplitude(self) -> float:
        """Share of the rows that it makes, in [0, 1]."""

    @property
    def amplitude_min(self) -> float:
        """Smallest amplitude that a fit may give it."""

    @property
    def amplitude_max(self) -> float:
        """Largest amplitude that a fit may give it."""

    @property
    def fixed(self) -> bool:
        """Whether the amplitude stays."""

    @property
    def n_features(self) -> int | None:
        """D; None if it takes rows of any number of features."""

    @property
    def footprint(self) -> Footprint | None:
        """Opposite corners (low, high) of the box that `from_unit` fills."""

    def log_density(self, samples: Samples) -> Array:
        """ln b(x_i) (N,) of each row's observed features, seen through its noise; 0 where there are none."""

    def log_density_error(self, samples: Samples) -> Array:
        """Give the standard error (N,) of `log_density`, 0 where it is exact."""

    def draw(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw rows without noise, (n_rows, D)."""

    def from_unit(self, unit: Array) -> Array:
        """Map points (n, D) of the unit cube to points without noise that cover the density."""

    def importance(self, values: Array) -> Array:
        """b(t) over the density of points made by `from_unit`, (n,); 1 where these follow b."""

    def with_amplitude(self, amplitude: float) -> BackgroundLike:
        """Return the same density with another amplitude."""

    def marginal(self, columns: Sequence[int]) -> BackgroundLike:
        """Return the density of some of the features."""

    def describe(self) -> dict[str, Any]:
        """Say what it is in terms that JSON can hold, exactly."""


@dataclass(frozen=True, eq=False)
class Background:
    """A uniform density in a box.

    Parameters
    ----------
    footprint : (low, high)
        Opposite corners, (D,) each, in the features' units; low < high.
    amplitude : float
        Share of the rows that the background makes, or where a fit starts.
    amplitude_min, amplitude_max : float
        Limits of what a fit may make of it.
    fixed : bool
        Keep the amplitude.

    Raises
    ------
    InvalidSetting
        If a corner is not finite, low is not below high, or
        0 <= amplitude_min <= amplitude <= amplitude_max <= 1 does not hold.

    Examples
    --------
    >>> Background(footprint=([0, 0], [10, 20]), amplitude=0.3).volume
    200.0
    """

    footprint: Footprint
    amplitude: float = 0.1
    amplitude_min: float = 0.0
    amplitude_max: float = 1.0
    fixed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "footprint", as_footprint(self.footprint))
        check_amplitudes(self)

    @property
    def n_features(self) -> int:
        """D."""
        return len(self.footprint[0])

    @property
    def volume(self) -> float:
        """Volume of the box, in the product of the features' units."""
        low, high = self.footprint
        return float(np.prod(high - low))

    def log_density(self, samples: Samples) -> Array:
        """Evaluate ln b at rows.

        Parameters
        ----------
        samples : Samples
            N rows of D features.

        Returns
        -------
        (N,)
            Over each row's observed features; 0 where there are none.  A row without noise has -inf
            outside the box, whose faces belong to it.  A row with noise has a finite value, however far
            outside it lies.

        Raises
        ------
        FeatureMismatch
            If the rows have another number of features.
        """
        return self._evaluate(samples)[0]

    def log_density_error(self, samples: Samples) -> Array:
        """Give the standard error of `log_density`, (N,).

        It is 0 but for rows whose noise correlates three or more features and reaches the faces of all of
        them; these are integrated by quasi-Monte Carlo, until it is 1e-4 or no more points are allowed.
        """
        return self._evaluate(samples)[1]

    def _evaluate(self, samples: Samples) -> tuple[Array, Array]:
        require_features(self.n_features, samples.n_features, "the background's footprint")
        value, error = np.zeros(samples.n_rows), np.zeros(samples.n_rows)
        low, high = self.footprint
        for group in samples.groups:
            corners = low[group.observed], high[group.observed]
            inside, error[group.rows] = _log_inside(corners, group, samples.noise_kind)
            value[group.rows] = inside - np.log(corners[1] - corners[0]).sum()
        return value, error

    def draw(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw rows without noise, (n_rows, D)."""
        return self.from_unit(rng.random((n_rows, self.n_features)))

    def from_unit(self, unit: Array) -> Array:
        """Map points (n, D) of the unit cube to the box."""
        low, high = self.footprint
        return np.asarray(low + (high - low) * unit)

    def importance(self, values: Array) -> Array:
        """b(t) over the density of points (n, D) made by `from_unit`: 1, as these follow b."""
        return np.ones(len(values))

    def with_amplitude(self, amplitude: float) -> Background:
        """Return the same box with another amplitude, which must lie within the limits."""
        return replace(self, amplitude=within_limits(amplitude, self.amplitude_min, self.amplitude_max))

    def marginal(self, columns: Sequence[int]) -> Background:
        """Return the density of some of the features: the box's sides along them."""
        kept = np.asarray(columns, dtype=np.intp)
        low, high = self.footprint
        return replace(self, footprint=(low[kept], high[kept]))

    def describe(self) -> dict[str, Any]:
        """Say what it is in terms that JSON can hold, exactly."""
        low, high = self.footprint
        return {"kind": "uniform", "low": low.tolist(), "high": high.tolist()} | describe_amplitude(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Background:
        """Build what `describe` described.

        Raises
        ------
        InvalidData
            If it describes no uniform background.
        """
        settings = dict(description)
        if settings.pop("kind", None) != "uniform":
            raise InvalidData(f"{dict(description)} describes no uniform background.", array="background")
        try:
            return cls(footprint=(settings.pop("low"), settings.pop("high")), **settings)
        except (KeyError, TypeError) as error:
            raise InvalidData(
                f"{dict(description)} describes no uniform background: {error!r}.", array="background"
            ) from error


def _log_inside(corners: Footprint, group: PatternGroup, kind: NoiseKind) -> tuple[Array, Array]:
    """ln Pr(noise puts the row inside) (n,) and its error (n,)."""
    low, high = corners
    n, d = group.values.shape
    sides = np.broadcast_to(high - low, (n, d))
    box = Intervals(low - group.values, high - group.values, sides)
    if group.noise is None:
        return independent_log_probability(box, np.zeros((n, d))), np.zeros(n)
    if kind == "diagonal":
        return independent_log_probability(box, group.noise), np.zeros(n)
    return rectangle_log_probability(box, np.broadcast_to(unpack(group.noise), (n, d, d)))


def uniform_proposal(background: BackgroundLike) -> Background:
    """Return the uniform density that `from_unit` of a background draws from.

    Raises
    ------
    InvalidSetting
        If the background has no footprint.
    """
    if isinstance(background, Background):
        return background
    if background.footprint is None:
        raise InvalidSetting(
            "under a selection, rows of the background are imputed too: give it a footprint that holds them."
        )
    return Background(background.footprint)


def as_backgrounds(background: object, n_features: int) -> tuple[BackgroundLike, ...]:
    """Read a caller's `background`: none, one or several.

    Parameters
    ----------
    background : None, BackgroundLike or sequence of BackgroundLike
    n_features : int
        D of the data.

    Raises
    ------
    FeatureMismatch
        If one has another number of features.
    InvalidSetting
        If something is no background, or their amplitudes leave nothing to the mixture (as amplitude_min
        never exceeds amplitude, no limits can do so then).
    """
    if background is None:
        return ()
    given = tuple(background) if isinstance(background, Sequence) else (background,)
    for j, one in enumerate(given):
        if not isinstance(one, BackgroundLike):
            raise InvalidSetting(
                f"background {j} is {one!r}; expected Background, DensityBackground or an object like them."
            )
        require_features(one.n_features, n_features, f"background {j}")
    backgrounds = cast("tuple[BackgroundLike, ...]", given)
    total = sum(one.amplitude for one in backgrounds)
    if not total < 1:
        raise InvalidSetting(
            f"the backgrounds' amplitudes sum to {total!r}; they must leave something to the mixture. Lower one."
        )
    return backgrounds
