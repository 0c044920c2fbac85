"""Ways in which a catalogue of two components is observed, each with what a careless fit of it would leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

import dgmmis
from dgmmis.population import Population
from dgmmis.selection import Box

__all__ = ["MODES", "Catalogue", "Mode"]

TRUTH = dgmmis.Mixture(
    np.array([0.4, 0.6]),
    np.array([[-2.0, 0.5], [2.0, -0.5]]),
    np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.7, -0.2], [-0.2, 1.2]]]),
)
BEHIND = dgmmis.Background(((-7.0, -7.0), (7.0, 7.0)), amplitude=0.15)
WINDOW = Box([-2.8, -1.5], [6.0, 6.0])
"""Cuts the first component on the left and both from below; three quarters of the rows lie in it."""

WIDE_WINDOW = Box([-3.2, -2.0], [6.0, 6.0])
"""Leaves enough of a component for all else that can happen to it: halves of these catalogues have one maximum."""

Settings = dict[str, object]


@dataclass(frozen=True)
class Catalogue:
    """Rows and what a fit is told of them.

    Attributes
    ----------
    values : (N, 2)
        NaN means missing.
    of_rows : dict
        Settings with an entry per row.
    of_all : dict
        The other settings.
    """

    values: np.ndarray
    of_rows: dict[str, np.ndarray] = field(default_factory=dict)
    of_all: Settings = field(default_factory=dict)

    def halves(self) -> tuple[Catalogue, Catalogue]:
        """Cut between the rows; they are in no order."""
        first, second = (
            Catalogue(
                self.values[rows], {name: array[rows] for name, array in self.of_rows.items()}, self.of_all
            )
            for rows in (slice(None, len(self.values) // 2), slice(len(self.values) // 2, None))
        )
        return first, second

    def fit(self, seed: int) -> np.ndarray:
        """Climb from the truth to the maximum of the likelihood; return the parameters there.

        The seed moves the imputed points, whose error would otherwise be the same in all catalogues.
        """
        result = self._climb(seed, 1000)
        assert result.converged, result.reason
        return parameters(result.population)

    def fit_in_vain(self, seed: int) -> np.ndarray:
        """Do so where the likelihood is a wrong one, which may have no maximum: stop after a hundred passes."""
        return parameters(self._climb(seed, 100).population)

    def _climb(self, seed: int, max_passes: int) -> dgmmis.FitResult:
        return dgmmis.fit(
            self.values,
            n_components=2,
            initial=TRUTH,
            prior=None,
            tolerance=0.05,
            max_passes=max_passes,
            seed=seed,
            **self.of_rows,
            **self.of_all,
        )


@dataclass(frozen=True)
class Mode:
    """One way of observing.

    Attributes
    ----------
    draw : callable
        Draws a catalogue.
    careless : dict
        By what is ignored: the same rows as one sees them who does not know of it.
    backgrounds : tuple of Background
        Behind the components.
    """

    draw: Callable[[np.random.Generator], Catalogue]
    careless: dict[str, Callable[[Catalogue], Catalogue]]
    backgrounds: tuple[dgmmis.Background, ...] = ()

    @property
    def truth(self) -> np.ndarray:
        """Parameters that the rows were drawn from."""
        return parameters(Population(TRUTH, self.backgrounds))


def parameters(population: Population) -> np.ndarray:
    """All free parameters in one row: amplitudes but the last, means, covariances, the background's amplitude."""
    mixture = population.mixture
    lower = np.tril_indices(mixture.n_features)
    return np.concatenate(
        [
            mixture.amplitudes[:-1],
            mixture.means.ravel(),
            mixture.covariances[:, lower[0], lower[1]].ravel(),
            population.background_amplitudes,
        ]
    )


def _noisy(rng: np.random.Generator, n_rows: int) -> Catalogue:
    """Every row has its own noise covariance, about as wide as the components."""
    factors = rng.normal(size=(n_rows, 2, 2)) * rng.uniform(0.2, 1.0, (n_rows, 1, 1))
    noise = np.einsum("nij,nkj->nik", factors, factors) + 0.01 * np.eye(2)
    values = TRUTH.draw(n_rows, rng)
    values += np.einsum("nij,nj->ni", np.linalg.cholesky(noise), rng.normal(size=values.shape))
    return Catalogue(values, {"noise": noise})


def _missing(rng: np.random.Generator, n_rows: int) -> Catalogue:
    values = TRUTH.draw(n_rows, rng)
    values[rng.random(values.shape) < 0.3] = np.nan
    return Catalogue(values)


def _projected(rng: np.random.Generator, n_rows: int) -> Catalogue:
    """Each row sees the plane turned by up to half a radian, stretched, and with noise."""
    angle, stretch = rng.uniform(-0.5, 0.5, n_rows), rng.uniform(0.7, 1.3, (n_rows, 1, 1))
    turn = np.stack((np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)), axis=1)
    projection = stretch * turn.reshape(-1, 2, 2)
    variances = rng.uniform(0.02, 0.3, (n_rows, 2))
    values = np.einsum("nij,nj->ni", projection, TRUTH.draw(n_rows, rng))
    values += np.sqrt(variances) * rng.normal(size=values.shape)
    return Catalogue(values, {"projection": projection, "noise": variances})


def _selected(rng: np.random.Generator, n_rows: int) -> Catalogue:
    values = TRUTH.draw(n_rows, rng)
    return Catalogue(values[WINDOW.answer(values)], of_all={"selection": WINDOW})


def _contaminated(rng: np.random.Generator, n_rows: int) -> Catalogue:
    return Catalogue(_mixed(rng, n_rows), of_all={"background": BEHIND})


def _everything(rng: np.random.Generator, n_rows: int) -> Catalogue:
    """Noise in two sizes, a background, a window that saw the noisy values, and a tenth of the values lost after."""
    values = _mixed(rng, n_rows)
    variances = rng.choice([0.05, 0.3], size=(n_rows, 1)) * np.ones(2)
    values += np.sqrt(variances) * rng.normal(size=values.shape)
    kept = WIDE_WINDOW.answer(values)
    values, variances = values[kept], variances[kept]
    values[rng.random(values.shape) < 0.1] = np.nan
    return Catalogue(values, {"noise": variances}, {"selection": WIDE_WINDOW, "background": BEHIND})


def _mixed(rng: np.random.Generator, n_rows: int) -> np.ndarray:
    values = TRUTH.draw(n_rows, rng)
    behind = rng.random(n_rows) < BEHIND.amplitude
    values[behind] = BEHIND.draw(int(behind.sum()), rng)
    return values


def _without(catalogue: Catalogue, *names: str) -> Catalogue:
    return Catalogue(
        catalogue.values,
        {name: array for name, array in catalogue.of_rows.items() if name not in names},
        {name: value for name, value in catalogue.of_all.items() if name not in names},
    )


def _filled(catalogue: Catalogue) -> Catalogue:
    """Put the mean of the others where a value is missing, as is often done."""
    values = catalogue.values
    return Catalogue(
        np.where(np.isnan(values), np.nanmean(values, axis=0), values), catalogue.of_rows, catalogue.of_all
    )


def _ignoring(*names: str) -> dict[str, Callable[[Catalogue], Catalogue]]:
    return {name: lambda rows, name=name: _without(rows, name) for name in names}


MODES = {
    "noise": Mode(partial(_noisy, n_rows=1000), _ignoring("noise")),
    "missing": Mode(partial(_missing, n_rows=1000), {"gaps": _filled}),
    "projection": Mode(partial(_projected, n_rows=1000), _ignoring("projection")),
    "selection": Mode(partial(_selected, n_rows=1800), _ignoring("selection")),
    "background": Mode(partial(_contaminated, n_rows=1000), _ignoring("background"), (BEHIND,)),
    "all together": Mode(
        partial(_everything, n_rows=2500),
        {"gaps": _filled, **_ignoring("noise", "selection", "background")},
        (BEHIND,),
    ),
}
"""About a thousand rows each are observed; the projection cannot be had with a background."""
