"""How fast this machine sums rows, and reads them: measured, not guessed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from dgmmis.background import BackgroundLike
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.samples import Samples

__all__ = ["CALIBRATION_ROWS", "Calibration", "calibrate", "typical_population"]

CALIBRATION_ROWS = 20_000
WANTED_TERMS = 4e6
"""Rows times components that are summed in one repetition, as far as the rows suffice."""
REPETITIONS = 5
LEAST_ROWS = 2_000
READ_CHUNKS = 2


@dataclass(frozen=True)
class Calibration:
    """Measured on one thread of this machine.

    Attributes
    ----------
    rows : int
        Rows of the pilot that were summed.
    seconds_per_row : float
        Of summing, the densities of backgrounds not included: they are computed once.
    first_read_per_row, read_per_row : float
        Of reading, checking, decoding and grouping [s]: for the first time in a process, and later.
    """

    rows: int
    seconds_per_row: float
    first_read_per_row: float
    read_per_row: float


class ReadableChunks(Protocol):
    """Chunks and a random sample of the same rows."""

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""

    def read_samples(self, chunk: int) -> Samples:
        """One chunk."""

    def read_pilot(self, n_rows: int) -> Rows:
        """At most `n_rows` rows, drawn at random."""


def calibrate(chunks: ReadableChunks, population: Population) -> Calibration:
    """Time a few thousand rows of the pilot under `population`, and the reading of one or two chunks.

    Parameters
    ----------
    chunks : ReadableChunks
    population : Population
        Of as many components as will be fitted; the kernels skip no component of any row, so that any
        values serve.
    """
    wanted = int(min(CALIBRATION_ROWS, max(LEAST_ROWS, WANTED_TERMS / population.n_components)))
    samples = prepare(population, chunks.read_pilot(wanted).samples(checked=True))
    summarize_samples(population, samples)  # compiles, or loads what was compiled
    seconds = median(_timed(lambda: summarize_samples(population, samples)) for _ in range(REPETITIONS))
    first, later = _reading(chunks)
    return Calibration(samples.n_rows, seconds / samples.n_rows, first, later)


def typical_population(rows: Rows, n_components: int, backgrounds: tuple[BackgroundLike, ...]) -> Population:
    """Make a population of the right size to measure with: its components lie on rows and are as wide as all."""
    values = rows.values
    observed = ~np.isnan(values)
    counts = np.maximum(observed.sum(axis=0), 1)
    center = np.where(observed, values, 0).sum(axis=0) / counts
    spread = (np.where(observed, values - center, 0) ** 2).sum(axis=0) / counts
    chosen = np.arange(n_components) % len(values)
    means = np.where(observed, values, center)[chosen]
    covariances = np.tile(np.diag(np.where(spread > 0, spread, 1.0)), (n_components, 1, 1))
    amplitudes = np.full(n_components, 1 / n_components)
    return Population(Mixture(amplitudes, means, covariances), backgrounds)


def _reading(chunks: ReadableChunks) -> tuple[float, float]:
    """Seconds per row of reading chunks for the first time, and again."""
    first: list[float] = []
    later: list[float] = []
    for chunk in range(min(READ_CHUNKS, chunks.n_chunks)):
        for times in (first, later):
            began = time.perf_counter()
            n_rows = chunks.read_samples(chunk).n_rows
            times.append((time.perf_counter() - began) / n_rows)
    return median(first), median(later)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
