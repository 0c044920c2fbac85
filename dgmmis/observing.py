"""Drawing rows as a survey would see them: with noise, through a selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgmmis.drawn_rows import Drawn, joined
from dgmmis.errors import InvalidData, InvalidSetting, SelectionError
from dgmmis.faults import find_faults, refuse_faults
from dgmmis.gaussian_draws import covariance_roots, draw_noise
from dgmmis.noise import Noise, NoiseLike
from dgmmis.numeric_input import as_numbers
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.samples import default_names

__all__ = ["NoiseAt", "ObservedPopulation", "draw", "draw_complete"]

NoiseAt = Callable[[Array], ArrayLike | Noise]
"""Noise of rows by their noise-free position: (n, D) -> (n, D, D), (D, D) or Noise."""

Omega = Callable[[Array], Array]
"""Chance of being kept by position: (n, D) -> (n,) in [0, 1]."""

ROWS_AT_ONCE = 65_536
NUMBERS_AT_ONCE = 2**22
"""Rows of one batch, fewer if their covariances would be more than this many numbers (32 MiB)."""

TRIALS = 10_000_000
TRIALS_PER_ROW = 1_000
"""Rows that are drawn before giving up: TRIALS, and TRIALS_PER_ROW for each one that is wanted."""


@dataclass(frozen=True)
class ObservedPopulation:
    """How rows of a population are measured and which are kept.

    Attributes
    ----------
    population : Population
    selection : callable (n, D) -> (n,), optional
        Chance that a row is kept; all are by default.
    invert : bool
        Keep the rows that the selection drops.
    before_noise : bool
        The selection looks at the noise-free values.

    Raises
    ------
    InvalidSetting
        If there is nothing to invert.
    """

    population: Population
    selection: Omega | None = None
    invert: bool = False
    before_noise: bool = False

    def __post_init__(self) -> None:
        if self.invert and self.selection is None:
            raise InvalidSetting("invert asks for the rows that a selection drops; give the selection.")

    @property
    def batch_rows(self) -> int:
        """Most rows that are drawn at once."""
        return max(256, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // self.population.n_features**2))

    def observe(self, n_rows: int, noise: Noise | NoiseAt, rng: np.random.Generator) -> Drawn:
        """Draw rows and measure them; none is dropped."""
        values, labels = _draw_noise_free(self.population, n_rows, rng)
        row_noise = noise if isinstance(noise, Noise) else _noise_at(noise, values)
        errors = draw_noise(row_noise, n_rows, values.shape[1], rng)
        return Drawn(values + errors, values, row_noise, labels, n_rows)

    def keeps(self, drawn: Drawn, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Decide which rows are kept, (n,)."""
        if self.selection is None:
            return np.ones(len(drawn.values), dtype=np.bool_)
        chance = self.selection(drawn.noise_free if self.before_noise else drawn.values)
        return np.asarray((rng.random(len(chance)) < chance) != self.invert)


def draw(
    observed: ObservedPopulation,
    n_rows: int,
    rng: np.random.Generator,
    *,
    noise: NoiseLike | NoiseAt = None,
    max_trials: int | None = None,
) -> Drawn:
    """Draw `n_rows` rows that are kept.

    Parameters
    ----------
    observed : ObservedPopulation
    n_rows : int
    rng : numpy.random.Generator
        The same state gives the same rows.
    noise : None, Noise, (D, D), (N, D) variances, (N, D, D) or callable, optional
        Noise of N = `n_rows` rows is that of the *kept* rows: row i is drawn until one with noise i is
        kept.  A callable gives the noise at noise-free positions, (n, D) -> (n, D, D) or (D, D).
    max_trials : int, optional
        Rows drawn at most; default 10^7 and 1000 for each of `n_rows`.

    Raises
    ------
    SelectionError
        If so few rows are kept that `max_trials` are not enough.
    InvalidData
        If the noise is none.
    """
    n_rows = _whole_number(n_rows)
    if n_rows == 0:
        return observed.observe(0, Noise.none(), rng)
    limit = TRIALS + TRIALS_PER_ROW * n_rows if max_trials is None else max_trials
    known = _known_noise(observed, n_rows, noise)
    if isinstance(known, Noise) and known.kind in ("diagonal", "full"):
        return _draw_each(observed, n_rows, known, rng, limit)
    return _draw_any(observed, n_rows, known, rng, limit)


def draw_complete(
    observed: ObservedPopulation,
    n_complete: int,
    rng: np.random.Generator,
    *,
    noise: NoiseLike | NoiseAt = None,
) -> tuple[Drawn, Drawn]:
    """Draw `n_complete` rows of the population and part them.

    Parameters
    ----------
    observed : ObservedPopulation
    n_complete : int
    rng : numpy.random.Generator
    noise : None, Noise, (D, D), (N, D) variances, (N, D, D) or callable, optional
        Of the N = `n_complete` rows.

    Returns
    -------
    kept, dropped : Drawn
        How many are kept is left to chance.
    """
    n_complete = _whole_number(n_complete)
    if n_complete == 0:
        nothing = observed.observe(0, Noise.none(), rng)
        return nothing, nothing
    known = _known_noise(observed, n_complete, noise)
    kept, dropped = [], []
    for start in range(0, n_complete, observed.batch_rows):
        rows = slice(start, min(n_complete, start + observed.batch_rows))
        of_these = known.take(rows) if isinstance(known, Noise) else known
        trial = observed.observe(rows.stop - rows.start, of_these, rng)
        is_kept = observed.keeps(trial, rng)
        kept.append(trial.take(np.flatnonzero(is_kept), 0))
        dropped.append(trial.take(np.flatnonzero(~is_kept), 0))
    return joined(kept, n_complete), joined(dropped, n_complete)


def _draw_any(
    observed: ObservedPopulation, n_rows: int, noise: Noise | NoiseAt, rng: np.random.Generator, limit: int
) -> Drawn:
    """Draw until `n_rows` are kept, whichever they are."""
    parts: list[Drawn] = []
    kept = tried = 0
    while kept < n_rows:
        wanted = n_rows - kept
        if observed.selection is not None:
            wanted = ceil(1.1 * wanted * (tried + 1) / (kept + 1)) + 10
        batch = min(wanted, observed.batch_rows, limit - tried)
        if batch <= 0:
            raise _too_few(kept, n_rows, tried)
        trial = observed.observe(batch, noise, rng)
        good = np.flatnonzero(observed.keeps(trial, rng))
        tried += batch
        parts.append(trial.take(good[: n_rows - kept], 0))
        kept += len(parts[-1].values)
    return joined(parts, tried)


def _draw_each(
    observed: ObservedPopulation, n_rows: int, noise: Noise, rng: np.random.Generator, limit: int
) -> Drawn:
    """Draw for each row's own noise until one is kept."""
    d = observed.population.n_features
    values, noise_free, labels = np.empty((n_rows, d)), np.empty((n_rows, d)), np.empty(n_rows, np.intp)
    pending, tried, hope = np.arange(n_rows), 0, 1.0
    while len(pending):
        ahead = pending[: observed.batch_rows]
        repeats = max(1, min(observed.batch_rows // len(ahead), ceil(1 / hope)))
        rows = np.repeat(ahead, repeats)[: limit - tried]
        if not len(rows):
            raise _too_few(n_rows - len(pending), n_rows, tried)
        trial = observed.observe(len(rows), noise.take(rows), rng)
        good = np.flatnonzero(observed.keeps(trial, rng))
        filled, first = np.unique(rows[good], return_index=True)
        chosen = good[first]
        values[filled], noise_free[filled] = trial.values[chosen], trial.noise_free[chosen]
        labels[filled] = trial.labels[chosen]
        pending = np.setdiff1d(pending, filled, assume_unique=True)
        tried += len(rows)
        hope = (len(good) + 1) / (len(rows) + 1)
    return Drawn(values, noise_free, noise, labels, tried)


def _whole_number(n_rows: int) -> int:
    if isinstance(n_rows, bool) or not isinstance(n_rows, int | np.integer) or n_rows < 0:
        raise InvalidSetting(f"the number of rows is {n_rows!r}; expected an integer, 0 or more.")
    return int(n_rows)


def _known_noise(observed: ObservedPopulation, n_rows: int, noise: NoiseLike | NoiseAt) -> Noise | NoiseAt:
    if callable(noise):
        return noise
    shape = (n_rows, observed.population.n_features)
    return _checked(Noise.of(noise, *shape), np.zeros(shape))


def _too_few(kept: int, wanted: int, tried: int) -> SelectionError:
    share = kept / tried if tried else 0.0
    return SelectionError(
        f"of {tried:,} rows drawn, {kept:,} of the {wanted:,} wanted were kept (a share of {share:.2g}): the "
        "selection keeps too few rows of this model. Check the selection's features and units and `invert`, "
        "ask for fewer rows, or raise max_trials.",
        array="selection",
        value=share,
    )


def _draw_noise_free(
    population: Population, n_rows: int, rng: np.random.Generator
) -> tuple[Array, NDArray[np.intp]]:
    """Rows (n, D) and which component or background made each."""
    mixture = population.mixture
    amplitudes = np.concatenate((population.amplitudes, population.background_amplitudes))
    labels = rng.choice(len(amplitudes), size=n_rows, p=amplitudes / amplitudes.sum())
    values = rng.standard_normal((n_rows, population.n_features))
    of_mixture = np.flatnonzero(labels < mixture.n_components)
    k = labels[of_mixture]
    roots = covariance_roots(mixture.covariances)
    values[of_mixture] = mixture.means[k] + np.einsum("nde,ne->nd", roots[k], values[of_mixture])
    for j, background in enumerate(population.backgrounds):
        rows = np.flatnonzero(labels == mixture.n_components + j)
        values[rows] = background.draw(len(rows), rng)
    return values, labels


def _noise_at(noise: NoiseAt, values: Array) -> Noise:
    """Ask a callable for the noise at noise-free positions."""
    n, d = values.shape
    given = noise(values.copy())
    if isinstance(given, Noise):
        given.require_rows(n, d)
        return _checked(given, values)
    array = as_numbers(given, "noise")
    if array.shape in ((d, d), (1, d, d)):
        return Noise.shared(array.reshape(d, d))
    if array.shape != (n, d, d):
        raise InvalidData(
            f"the callable noise answered {n} rows with shape {array.shape}; expected ({n}, {d}, {d}) or "
            f"({d}, {d}): covariances.",
            array="noise",
        )
    return _checked(Noise.full(array), values)


def _checked(noise: Noise, values: Array) -> Noise:
    refuse_faults(find_faults(values, noise), default_names(values.shape[1]))
    return noise
