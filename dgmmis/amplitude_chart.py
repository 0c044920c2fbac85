"""A chart of amplitudes that share what is left by the others: whitened logarithms without their common part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.packed import Array
from dgmmis.water_filling import share_within_limits

__all__ = ["AmplitudeChart"]

MOST_GROWTH = 5.0
"""Of an amplitude's logarithm: what rows next to nothing ask for may be any number."""

LEAST_SHARE = 1e-200
"""Of the largest amplitude: with less, nothing would be left to share by once the others are at their limits."""


@dataclass(frozen=True)
class AmplitudeChart:
    """Logarithms of n amplitudes times the square roots of their rows, seen in the n - 1 directions that change shares.

    The information of n rows whose component is known about y = sqrt(c) ln a is the identity but along
    u = sqrt(c / sum c), the direction in which all amplitudes grow alike.  Coordinates are what the Householder
    reflection that takes the last axis to u leaves of y on the other axes.

    Attributes
    ----------
    origin : (n,)
        Amplitudes in the whole.
    rows : (n,)
        c > 0.
    lowest, highest : (n,)
        Limits.
    """

    origin: Array
    rows: Array
    lowest: Array
    highest: Array

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return max(0, len(self.origin) - 1)

    def amplitudes(self, x: Array) -> tuple[Array, bool]:
        """Amplitudes at coordinates (n - 1,), brought within their limits; and whether they lay there by themselves."""
        if not self.size:
            return self.origin, True
        logarithms = self._reflected(np.append(x, 0.0)) / np.sqrt(self.rows)
        grown = np.minimum(logarithms, MOST_GROWTH)
        relative = self.origin * np.exp(grown - grown.max())
        counted = np.maximum(relative, LEAST_SHARE * relative.max())
        total = float(self.origin.sum())
        wanted = total * (counted / counted.sum())
        as_said = (grown == logarithms) & (counted == relative)
        inside = bool((as_said & (wanted > self.lowest) & (wanted < self.highest)).all())
        if inside:
            return wanted, True
        return share_within_limits(total, wanted, self.lowest, self.highest), False

    def coordinates(self, amplitudes: Array) -> Array:
        """Coordinates of amplitudes > 0 with the origin's sum."""
        if not self.size:
            return np.zeros(0)
        tiny = np.finfo(np.float64).tiny
        logarithms = np.log(np.maximum(amplitudes, tiny)) - np.log(np.maximum(self.origin, tiny))
        return self._reflected(logarithms * np.sqrt(self.rows))[:-1]

    def tangent(self, x: Array) -> Array:
        """Return the changes (n,) of the amplitudes along coordinates (n - 1,), to first order from the origin."""
        if not self.size:
            return np.zeros_like(self.origin)
        growth = self._reflected(np.append(x, 0.0)) / np.sqrt(self.rows)
        common = np.einsum("n,n->", self.origin, growth) / self.origin.sum()
        return np.asarray(self.origin * (growth - common))

    def scores(self, counts: Array, amplitudes: Array) -> Array:
        """Gradient (..., n - 1) from the counts A (..., n) that rows give each at these amplitudes."""
        if not self.size:
            return np.zeros((*counts.shape[:-1], 0))
        shares = amplitudes / amplitudes.sum()
        by_logarithm = counts - counts.sum(axis=-1, keepdims=True) * shares
        return self._reflected(by_logarithm / np.sqrt(self.rows))[..., :-1]

    def _reflected(self, vectors: Array) -> Array:
        normal = self._normal
        along = np.einsum("...n,n->...", vectors, normal)
        return np.asarray(vectors - 2 * along[..., None] * normal)

    @property
    def _normal(self) -> Array:
        """Unit normal of the mirror between the last axis and u."""
        normal = np.sqrt(self.rows / self.rows.sum())
        normal[-1] -= 1.0
        length = float(np.sqrt(np.einsum("n,n->", normal, normal)))
        return np.asarray(normal / length if length > 0 else normal)
