"""Probability integral transforms: where each row lies in the distribution that the model gives for just that row.

If the model holds these are uniform between 0 and 1, whatever noise each row has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik, kolmogorov, ndtr

from dgmmis.background import Background
from dgmmis.checking.simulated import Simulated
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.rows import Rows

__all__ = ["Calibration", "calibrate_density", "calibrate_feature", "exact_transform"]

PAIRS_AT_ONCE = 2**22
"""Rows times components whose distributions are evaluated at once (32 MiB)."""
MOST_PAIRS = 4e7
"""Rows times components times catalogues whose density is evaluated."""
N_BINS = 20
"""Bars of a histogram: one for each rank that a row can have among 19 replicates."""


@dataclass(frozen=True)
class Calibration:
    """The transforms of one feature, or of the density of whole rows.

    Attributes
    ----------
    name : str
        Of the feature; "density" for whole rows.
    transforms : (n,)
        Of the rows that have the feature.
    weights : (n,)
    method : {"exact", "ranks"}
        From the distribution function itself; or from the rank of each row among its own simulated replicates,
        spread evenly between neighbouring ranks.  Both are uniform if the model holds.
    """

    name: str
    transforms: Array
    weights: Array
    method: Literal["exact", "ranks"]

    @property
    def effective_rows(self) -> float:
        """Rows of equal weight that would tell as much: (sum s)^2 / sum s^2."""
        total = float(self.weights.sum())
        return total**2 / float((self.weights**2).sum()) if total > 0 else 0.0

    @cached_property
    def distance(self) -> float:
        """Largest difference between the share of rows below some level and that level (Kolmogorov-Smirnov)."""
        if not self.effective_rows:
            return float("nan")
        order = np.argsort(self.transforms, kind="stable")
        levels = self.transforms[order]
        after = np.cumsum(self.weights[order]) / self.weights.sum()
        before = np.concatenate([[0.0], after[:-1]])
        return float(max((after - levels).max(), (levels - before).max()))

    @property
    def p_value(self) -> float:
        """Chance of a larger `distance` if the model holds and its parameters were not fitted to these rows.

        Fitted parameters make distances smaller than that: the chance given is too large rather than too small.  Of
        weighted rows it is approximate.
        """
        root = np.sqrt(self.effective_rows)
        return float(kolmogorov((root + 0.12 + 0.11 / root) * self.distance)) if root else float("nan")

    def inside(self, level: float) -> tuple[float, float]:
        """Share of rows inside the central interval of that level, and its standard error if the model holds."""
        if not self.effective_rows:
            return float("nan"), float("nan")
        within = np.abs(2 * self.transforms - 1) <= level
        share = float(self.weights[within].sum() / self.weights.sum())
        return share, float(np.sqrt(level * (1 - level) / self.effective_rows))

    def heights(self, n_bins: int = N_BINS) -> Array:
        """Weight in equal bins of the transforms, as a multiple of what is expected there, (B,)."""
        place = np.minimum((self.transforms * n_bins).astype(np.intp), n_bins - 1)
        found = np.bincount(place, self.weights, minlength=n_bins)
        return np.asarray(n_bins * found / max(float(self.weights.sum()), np.finfo(float).tiny))

    def band(self, n_bins: int = N_BINS, level: float = 0.95) -> tuple[float, float]:
        """Give the limits that all `heights` keep with that chance, if the model holds.

        Each bar's number is binomial; all of them keep the limits if none breaks them (Bonferroni).
        """
        n = max(round(self.effective_rows), 1)
        beyond = (1 - level) / (2 * n_bins)
        low = np.floor(np.nan_to_num(bdtrik(beyond, n, 1 / n_bins)))
        high = np.ceil(bdtrik(1 - beyond, n, 1 / n_bins))
        return float(n_bins * low / n), float(n_bins * high / n)


def exact_transform(model: Model, rows: Rows, feature: int) -> Array | None:
    """Evaluate the distribution function of one feature at every row, seen through its own noise, (N,).

    Returns
    -------
    (N,) or None
        NaN where the feature is missing.  None if a background has no distribution function here, or the model has
        a selection.
    """
    if model.selection is not None or not all(isinstance(one, Background) for one in model.backgrounds):
        return None
    out = np.full(len(rows), np.nan)
    present = np.flatnonzero(~np.isnan(rows.values[:, feature]))
    step = max(1, PAIRS_AT_ONCE // model.mixture.n_components)
    for start in range(0, len(present), step):
        some = present[start : start + step]
        noise = _variances(rows.noise, feature, some)
        out[some] = _distribution(model.population, feature, rows.values[some, feature], noise)
    return out


def _distribution(population: Population, feature: int, values: Array, noise: Array) -> Array:
    """P(x <= value) (n,) of one feature, with noise variances (n,)."""
    mixture = population.mixture
    spread = np.sqrt(mixture.covariances[:, feature, feature] + noise[:, None])
    offset = values[:, None] - mixture.means[:, feature]
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # without any extent it is a step, half of it at the value
        steps = np.where(spread > 0, offset / spread, np.where(offset == 0, 0.0, np.sign(offset) * np.inf))
    below = ndtr(steps) @ population.amplitudes
    for background in population.backgrounds:
        assert isinstance(background, Background)
        low, high = (float(side[feature]) for side in background.footprint)
        below = below + background.amplitude * _uniform_distribution(values, np.sqrt(noise), low, high)
    return np.clip(below, 0, 1)


def _uniform_distribution(values: Array, noise: Array, low: float, high: float) -> Array:
    """P(x <= value) of a uniform value with Gaussian noise: the ramp of the box, rounded by the noise."""
    return np.clip((_ramp(values - low, noise) - _ramp(values - high, noise)) / (high - low), 0, 1)


def _ramp(offset: Array, noise: Array) -> Array:
    """E max(0, offset + e) of e ~ N(0, noise^2)."""
    scale = np.where(noise > 0, noise, 1)
    z = offset / scale
    rounded = offset * ndtr(z) + scale * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.where(noise > 0, rounded, np.maximum(offset, 0))


def _variances(noise: Noise, feature: int, which: NDArray[np.intp]) -> Array:
    if noise.array is None:
        return np.zeros(len(which))
    if noise.kind == "shared":
        return np.full(len(which), noise.array[feature, feature])
    column = feature if noise.kind == "diagonal" else feature * (feature + 1) // 2 + feature
    return np.asarray(noise.array[which, column])


def calibrate_feature(model: Model, rows: Rows, simulated: Simulated, feature: int) -> Calibration:
    """Transform one feature, exactly if that can be done."""
    present = ~np.isnan(rows.values[:, feature])
    weights = (np.ones(len(rows)) if rows.weights is None else rows.weights)[present]
    exact = exact_transform(model, rows, feature)
    if exact is not None:
        return Calibration(model.features[feature], exact[present], weights, "exact")
    ranks = _ranks(
        rows.values[present, feature], simulated.values[:, present, feature], simulated.seed, feature
    )
    return Calibration(model.features[feature], ranks, weights, "ranks")


def calibrate_density(model: Model, rows: Rows, simulated: Simulated) -> Calibration:
    """Rank each row's density, of all features that it has, among those of its replicates.

    It is sensitive to what no single feature shows: correlations, and rows in places that the model leaves empty,
    which have low ranks.  Of many rows and components as many rows are taken, evenly, as can be afforded.
    """
    seen = np.flatnonzero(~np.isnan(rows.values).all(axis=1))
    most = int(MOST_PAIRS / (simulated.n_replicates * model.mixture.n_components))
    if len(seen) > most:
        seen = seen[np.linspace(0, len(seen) - 1, max(most, 100)).round().astype(np.intp)]
    some = rows.take(seen)
    if not len(seen):
        return Calibration("density", np.empty(0), np.empty(0), "ranks")
    found = model.log_density(some.values, some.noise)
    drawn = np.array([model.log_density(values[seen], some.noise) for values in simulated.values])
    weights = np.ones(len(some)) if some.weights is None else some.weights
    ranks = _ranks(found, drawn, simulated.seed, model.mixture.n_features)
    return Calibration("density", ranks, weights, "ranks")


def _ranks(found: Array, drawn: Array, seed: int, stream: int) -> Array:
    """Rank n values among M replicates (M, n) of each, as shares in [0, 1]; ties are broken at random."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(len(drawn) + 1, stream)))
    below = (drawn < found).sum(axis=0)
    ties = (drawn == found).sum(axis=0)
    return np.asarray((below + rng.random(len(found)) * (ties + 1)) / (len(drawn) + 1))
