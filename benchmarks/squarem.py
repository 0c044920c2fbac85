"""SQUAREM, the squared extrapolation of Varadhan & Roland (2008, Scand. J. Stat. 35, 335), on our passes.

Scheme S3 in whitened coordinates, with a growing limit of the step and a monotone objective, as the authors' R package
has it (`squarem1` with `objfn.inc = 0`).  Every scan of the rows counts, that of a rejected step too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from drawing import Array

from dgmmis import Mixture
from dgmmis.population import Population

__all__ = ["Frame", "Scanned", "squarem"]

GROWTH = 4.0
"""Factor by which the limit of the step grows and shrinks."""


@dataclass(frozen=True)
class Scanned:
    """One pass: the log-likelihood of a population [total nats], and its image under expectation maximization."""

    population: Population
    log_likelihood: float
    image: Population


@dataclass(frozen=True)
class Frame:
    """Coordinates about a population, whitened by it: a component's by its root amplitude and covariance.

    With V0 = L0 L0^T and R = L0^-1 chol(V): sqrt(a0) ln a, sqrt(a0) L0^-1 (m - m0), sqrt(2 a0) ln R_dd, sqrt(a0) R_dc.
    """

    roots: Array
    means: Array
    factors: Array

    @classmethod
    def about(cls, population: Population) -> Frame:
        """Whiten by this population."""
        mixture = population.mixture
        return cls(np.sqrt(mixture.amplitudes), mixture.means, np.linalg.cholesky(mixture.covariances))

    def coordinates(self, population: Population) -> Array:
        """Coordinates (K, 1 + D + D (D + 1) / 2) of a population."""
        mixture, roots = population.mixture, self.roots[:, None]
        shifts = np.linalg.solve(self.factors, (mixture.means - self.means)[:, :, None])[:, :, 0]
        relative = np.linalg.solve(self.factors, np.linalg.cholesky(mixture.covariances))
        diagonal, below = np.diagonal(relative, axis1=1, axis2=2), self._below()
        return np.concatenate(
            (
                roots * np.log(np.maximum(mixture.amplitudes, np.finfo(float).tiny))[:, None],
                roots * shifts,
                np.sqrt(2) * roots * np.log(diagonal),
                roots * relative[:, below[0], below[1]],
            ),
            axis=1,
        )

    def population(self, coordinates: Array) -> Population:
        """Return the population with these coordinates."""
        d, scaled = self.means.shape[1], coordinates / self.roots[:, None]
        logs = scaled[:, 0] - scaled[:, 0].max()
        amplitudes = np.exp(logs) / np.exp(logs).sum()
        relative = np.zeros_like(self.factors)
        places, below = np.arange(d), self._below()
        relative[:, places, places] = np.exp(scaled[:, 1 + d : 1 + 2 * d] / np.sqrt(2))
        relative[:, below[0], below[1]] = scaled[:, 1 + 2 * d :]
        factors = self.factors @ relative
        means = self.means + (self.factors @ scaled[:, 1 : 1 + d, None])[:, :, 0]
        return Population(Mixture(amplitudes, means, factors @ factors.swapaxes(1, 2)))

    def _below(self) -> tuple[Array, Array]:
        return np.tril_indices(self.means.shape[1], -1)


def squarem(start: Population, scan: Callable[[Population], Scanned]) -> Iterator[Scanned]:
    """Yield one pass after the other, for ever.

    A cycle takes three: at p, at F(p), and at the extrapolation, whose image is where the next cycle begins.  If the
    extrapolation is worse than p, or is none, the next cycle begins at F(F(p)).
    """
    limit, here = 1.0, start
    while True:
        first = scan(here)
        yield first
        second = scan(first.image)
        yield second
        frame = Frame.about(first.population)
        at = frame.coordinates(first.population)
        change = frame.coordinates(second.population) - at
        bend = frame.coordinates(second.image) - at - 2 * change
        size = float(np.sqrt((change**2).sum() / max((bend**2).sum(), np.finfo(float).tiny)))
        step = min(max(size, 1.0), limit)
        here, accepted = second.image, step == 1
        if step > 1:
            third = _try(frame, at + 2 * step * change + step**2 * bend, scan)
            if third is not None:
                yield third
                accepted = third.log_likelihood >= first.log_likelihood
                here = third.image if accepted else here
        if step == limit:
            limit = limit * GROWTH if accepted else max(limit / GROWTH, 1.0)


def _try(frame: Frame, coordinates: Array, scan: Callable[[Population], Scanned]) -> Scanned | None:
    """Scan an extrapolation; None if it is no mixture, which costs no pass."""
    try:
        with np.errstate(over="ignore"):
            trial = frame.population(coordinates)
        return scan(trial)
    except (ValueError, np.linalg.LinAlgError):
        return None
