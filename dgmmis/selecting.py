"""From what a user says of a selection to the imputation of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.constraints import Constraints
from dgmmis.imputation_points import noise_at
from dgmmis.imputed_passes import Imputation, Impute
from dgmmis.noise_classes import NoiseClasses
from dgmmis.observation import Observation
from dgmmis.packed import Array, pack, packed_size
from dgmmis.population import Population
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut, column_values
from dgmmis.selection import BoundSelection
from dgmmis.survey import Survey, Surveyor, surveyor_of

__all__ = ["Selecting"]

INFORMATION_ROWS = 5_000
"""Rows of the random sample whose scores give the information."""


@dataclass(frozen=True)
class Selecting:
    """A selection and how it was applied.

    Attributes
    ----------
    selection : BoundSelection
    before_noise : bool
        It acts on the noise-free values.
    noise_model : None, (D, D), or callable (N, D) -> (N, D, D)
        Noise of the parent population, instead of each row's own.
    projection : None or (f, D)
        Shared by all rows.
    seed : int
        Of the imputed points.
    oversampling : float, optional
        As in `Observation`.
    """

    selection: BoundSelection
    before_noise: bool = False
    noise_model: Array | Callable[[Array], Array] | None = None
    projection: Array | None = None
    seed: int = 0
    oversampling: float | None = None

    @property
    def cut(self) -> Cut:
        """What single rows need of it."""
        model = None if callable(self.noise_model) else self.noise_model
        return Cut(self.selection, self.before_noise, model, self.seed)

    @property
    def columns(self) -> NDArray[np.intp]:
        """Columns that unobserved rows are imputed in: the selection's, or all that a noise model is asked about."""
        if callable(self.noise_model):
            return np.arange(len(self.selection.names.features), dtype=np.intp)
        return self.selection.columns

    def require_fixed(self, pilot: Samples) -> None:
        """Refuse a selection whose answers about the same rows change; raises `SelectionError`."""
        for group in pilot.groups:
            if np.isin(self.selection.columns, group.observed).all():
                others = None if pilot.covariates is None else pilot.covariates[group.rows]
                self.selection.require_deterministic(column_values(group, pilot.n_features), others)
                return

    def surveyor(self, pilot: Samples) -> Surveyor:
        """Make what looks at all rows once, its noise classes defined on a random sample."""
        return surveyor_of(pilot, self.cut, one_noise=self.noise_model is not None)

    def observation(self, survey: Survey, surveyor: Surveyor, population: Population) -> Observation:
        """Complete the observation model by what the survey found.

        Parameters
        ----------
        survey : Survey
            Of all rows.
        surveyor : Surveyor
            That made it.
        population : Population
            Where the fit starts: a noise model that depends on position is asked for its means.
        """
        columns = self.columns
        classes = survey.classes(None if surveyor.classes is None else surveyor.classes.covariates)
        if self.before_noise:
            classes = replace(classes, noise=np.zeros((classes.n_classes, packed_size(len(columns)))))
        elif callable(self.noise_model):
            typical = noise_at(self.noise_model, self._seen_means(population)).mean(axis=0)
            classes = self._one_class(typical, classes)
        elif self.noise_model is not None:
            classes = self._one_class(self.noise_model, classes)
        projection = None if self.projection is None else self.projection[columns]
        by_position = self.noise_model if callable(self.noise_model) else None
        return Observation(
            self.selection,
            columns,
            classes,
            self.before_noise,
            projection,
            by_position,
            self.seed,
            self.oversampling,
        )

    def _seen_means(self, population: Population) -> Array:
        """Means (K, d) of the components as the rows see them."""
        means = population.mixture.means
        return means if self.projection is None else np.einsum("fd,kd->kf", self.projection, means)

    def _one_class(self, noise: Array, classes: NoiseClasses) -> NoiseClasses:
        block = noise[np.ix_(self.columns, self.columns)]
        return replace(classes, noise=np.repeat(pack(block)[None], classes.n_classes, axis=0))

    def imputation(
        self,
        survey: Survey,
        surveyor: Surveyor,
        observation: Observation,
        impute: Impute,
        sample: Samples,
        constraints: Constraints,
    ) -> Imputation:
        """Put together what the passes need."""
        return Imputation(
            observation, impute, survey.log_selection, sample, constraints, self.cut, surveyor.classes
        )
