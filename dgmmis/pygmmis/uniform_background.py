"""pyGMMis' background object."""

from __future__ import annotations

from typing import Any

import numpy as np

from dgmmis import background as exact
from dgmmis.packed import Array
from dgmmis.pygmmis.random_streams import as_generator

__all__ = ["Background"]


class Background:
    """A uniform density in a box; `fit` writes its amplitude into `amp`.

    Parameters
    ----------
    footprint : (low (D,), high (D,))
        Opposite corners of the box.
    amp : float
        Share of the rows that it makes.  Expectation maximization cannot raise it from 0.

    Attributes
    ----------
    amp : float
    amp_min, amp_max : float
        Limits that a fit keeps to.
    adjust_amp : bool
        Whether a fit may change `amp`.
    footprint : (low, high)
    """

    def __init__(self, footprint: Any, amp: float = 0) -> None:
        self.footprint = footprint
        self.amp = amp
        self.amp_min = 0.0
        self.amp_max = 1.0
        self.adjust_amp = True

    @property
    def p(self) -> float:
        """Density inside the box: 1 / volume."""
        return 1 / self._at(0.0).volume

    def draw(self, size: int = 1, rng: Any = np.random) -> Array:
        """Draw rows (size, D)."""
        return self._at(0.0).draw(size, as_generator(rng))

    def fixed(self) -> exact.Background:
        """Return the density with its present amplitude."""
        return self._at(self.amp)

    def adjustable(self) -> exact.Background:
        """Return what a fit starts from: an adjustable amplitude is brought within its limits.

        Raises
        ------
        InvalidSetting
            If the footprint is no box, or the limits leave no amplitude from 0 to 1.
        """
        if not self.adjust_amp:
            return self.fixed()
        return exact.Background(
            self.footprint,
            amplitude=min(max(self.amp, self.amp_min), self.amp_max),
            amplitude_min=self.amp_min,
            amplitude_max=self.amp_max,
        )

    def _at(self, amplitude: float) -> exact.Background:
        return exact.Background(self.footprint, amplitude=amplitude, fixed=True)
