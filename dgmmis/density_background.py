"""A background of any density that a user can write down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dgmmis.background import Background, BackgroundLike
from dgmmis.background_settings import (
    Footprint,
    as_footprint,
    check_amplitudes,
    describe_amplitude,
    require_features,
    within_limits,
)
from dgmmis.errors import InvalidData, InvalidSetting
from dgmmis.importable import importable_name, trusted_or_stand_in
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.samples import Samples
from dgmmis.trust import NOBODY, Trust
from dgmmis.user_density import Density, MarginalDensity, MarginalSampler, Sampler, ask_density, written_out

__all__ = ["DensityBackground", "background_from_description"]

ROWS_AT_ONCE = 16_384
"""Rows that a density is asked about in one call: their covariances are written out."""


@dataclass(frozen=True, eq=False)
class DensityBackground:
    """A user's density.

    Parameters
    ----------
    density : callable (values (n, D), covariances (n, D, D)) -> (n,)
        The density (not its logarithm) of rows as seen through their noise, whose covariances come second
        (zero without noise).  A feature that a row lacks is NaN in `values` and zero in `covariances`; the
        density is then that of the other features.  A row's answer must not depend on the rows beside it.
    amplitude, amplitude_min, amplitude_max, fixed
        As for `Background`.
    footprint : (low, high), optional
        A box that holds the density's mass; points are proposed there.
    sampler : callable (n, rng) -> (n, D), optional
        Draws rows without noise.
    n_features : int, optional
        D; the footprint's if there is one.

    Raises
    ------
    InvalidSetting
        If the amplitudes or the footprint are no good, or something to call cannot be called.
    """

    density: Density
    amplitude: float = 0.1
    amplitude_min: float = 0.0
    amplitude_max: float = 1.0
    fixed: bool = False
    footprint: Footprint | None = None
    sampler: Sampler | None = None
    n_features: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.density) or not (self.sampler is None or callable(self.sampler)):
            raise InvalidSetting(
                f"density is {self.density!r} and sampler is {self.sampler!r}; expected functions."
            )
        if self.footprint is not None:
            footprint = as_footprint(self.footprint)
            object.__setattr__(self, "footprint", footprint)
            if self.n_features not in (None, len(footprint[0])):
                raise InvalidSetting(
                    f"n_features is {self.n_features}; the footprint has {len(footprint[0])} features."
                )
            object.__setattr__(self, "n_features", len(footprint[0]))
        check_amplitudes(self)

    def log_density(self, samples: Samples) -> Array:
        """Evaluate ln b at rows.

        Parameters
        ----------
        samples : Samples
            N rows of D features.

        Returns
        -------
        (N,)
            Over each row's observed features; 0 where there are none; -inf where the density is 0.

        Raises
        ------
        InvalidData
            If the density raises, or answers with another shape than (n,), or with numbers that are not
            finite and at least 0; the row, its values and the answer are named.
        """
        require_features(self.n_features, samples.n_features, "the background's density")
        value = np.zeros(samples.n_rows)
        for group in samples.groups:
            for first in range(0, len(group.rows), ROWS_AT_ONCE):
                part = slice(first, first + ROWS_AT_ONCE)
                values, covariances = written_out(group, part, samples.n_features, samples.noise_kind)
                density = ask_density(self.density, values, covariances, group.rows[part])
                with np.errstate(divide="ignore"):
                    value[group.rows[part]] = np.log(density)
        return value

    def log_density_error(self, samples: Samples) -> Array:
        """Give the standard error (N,) of `log_density`: 0, the density's answers are taken as exact."""
        return np.zeros(samples.n_rows)

    def draw(self, n_rows: int, rng: np.random.Generator) -> Array:
        """Draw rows without noise (n_rows, D) by the user's `sampler`.

        Raises
        ------
        InvalidSetting
            If there is none.
        InvalidData
            If it does not draw finite rows (n_rows, D).
        """
        if self.sampler is None:
            raise InvalidSetting(
                "rows cannot be drawn from a density alone: DensityBackground(..., sampler=function of (n, rng))."
            )
        drawn = as_numbers(self.sampler(n_rows, rng), "the background's sampler")
        n_features = self.n_features if self.n_features is not None else drawn.shape[-1]
        if drawn.shape != (n_rows, n_features) or not np.isfinite(drawn).all():
            raise InvalidData(
                f"the background's sampler drew an array of shape {drawn.shape}; expected finite rows "
                f"({n_rows}, {n_features}).",
                array="background",
            )
        return drawn

    def from_unit(self, unit: Array) -> Array:
        """Map points (n, D) of the unit cube to the footprint.

        Raises
        ------
        InvalidSetting
            If there is none.
        """
        return self._box().from_unit(unit)

    def importance(self, values: Array) -> Array:
        """b(t) over the density of points (n, D) made by `from_unit`, (n,): b(t) times the box's volume."""
        n, d = values.shape
        return np.asarray(
            ask_density(self.density, values, np.zeros((n, d, d)), np.arange(n)) * self._box().volume
        )

    def _box(self) -> Background:
        if self.footprint is None:
            raise InvalidSetting(
                "points cannot be proposed without a box: DensityBackground(..., footprint=(low, high))."
            )
        return Background(self.footprint)

    def with_amplitude(self, amplitude: float) -> DensityBackground:
        """Return the same density with another amplitude, which must lie within the limits."""
        return replace(self, amplitude=within_limits(amplitude, self.amplitude_min, self.amplitude_max))

    def marginal(self, columns: Sequence[int]) -> DensityBackground:
        """Return the density of some of the features: the others are missing whenever it is asked.

        Raises
        ------
        InvalidSetting
            If the number of features is not known.
        """
        if self.n_features is None:
            raise InvalidSetting(
                "the density's features are not known: give DensityBackground(..., n_features=D)."
            )
        kept = tuple(int(column) for column in columns)
        box = None if self.footprint is None else Background(self.footprint).marginal(kept).footprint
        return replace(
            self,
            density=MarginalDensity(self.density, self.n_features, kept),
            sampler=None if self.sampler is None else MarginalSampler(self.sampler, kept),
            footprint=box,
            n_features=len(kept),
        )

    def describe(self) -> dict[str, Any]:
        """Say what it is in terms that JSON can hold, exactly; functions by their importable names.

        Raises
        ------
        InvalidSetting
            If a function cannot be imported by name, as a lambda, or this is a marginal.
        """
        return {
            "kind": "density",
            "density": importable_name(self.density, "the background's density"),
            "sampler": self.sampler and importable_name(self.sampler, "the background's sampler"),
            "footprint": self.footprint and [corner.tolist() for corner in self.footprint],
            "n_features": self.n_features,
        } | describe_amplitude(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any], trust: Trust = NOBODY) -> DensityBackground:
        """Build what `describe` described; a function that is not trusted is not imported, and cannot be asked.

        Raises
        ------
        InvalidData
            If it describes no density background.
        InvalidSetting
            If a function cannot be imported here.
        """
        settings = dict(description)
        if settings.pop("kind", None) != "density":
            raise InvalidData(f"{dict(description)} describes no density background.", array="background")
        for name in ("density", "sampler"):
            if settings.get(name) is not None:
                settings[name] = trusted_or_stand_in(settings[name], f"the background's {name}", trust)
        try:
            return cls(**settings)
        except TypeError as error:
            raise InvalidData(
                f"{dict(description)} describes no density background: {error}.", array="background"
            ) from error


def background_from_description(description: Mapping[str, Any], trust: Trust = NOBODY) -> BackgroundLike:
    """Build the background that `describe` described, of whichever kind; functions as `trust` has it.

    Raises
    ------
    InvalidData
        If it describes none.
    """
    kind = description.get("kind")
    if kind == "density":
        return DensityBackground.from_description(description, trust)
    if kind == "uniform":
        return Background.from_description(description)
    raise InvalidData(
        f"{dict(description)} describes no background; its kind must be one of uniform, density.",
        array="background",
    )
