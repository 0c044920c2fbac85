"""How well a population predicts rows that it was not fitted to, selection included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgmmis.expectation import prepare
from dgmmis.imputation import impute_leaf, leaves
from dgmmis.imputation_points import draw_points
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.rows import Rows
from dgmmis.samples import PatternGroup, Samples
from dgmmis.selected_rows import Cut, column_values, is_certain
from dgmmis.selecting import Selecting
from dgmmis.survey import Surveyor
from dgmmis.tilted_expectation import tilted_scores

__all__ = ["completeness", "held_out_log_density"]

BLOCK = 256
"""Points per component, noise class and replicate: the completeness is known to about 1e-4."""


def held_out_log_density(population: Population, rows: Rows, selecting: Selecting | None) -> Array:
    """Evaluate ln p(x_i), under a selection ln p(x_i, kept) - ln Z(S_i), of each row (N,) [nats].

    Parameters
    ----------
    population : Population
        Backgrounds included.
    rows : Rows
    selecting : Selecting or None

    Raises
    ------
    SelectionError
        If a row cannot have been observed.
    """
    if selecting is None:
        return population.log_density(rows.samples(checked=True))
    cut = selecting.cut
    samples = rows.samples(checked=True, keep_noise=cut.noise_columns)
    surveyor = selecting.surveyor(samples)
    survey = surveyor.survey(samples)
    chances = completeness(population, selecting.observation(survey, surveyor, population))
    scores, prepared = population.log_density(samples), prepare(population, samples, cut)
    for group in prepared.groups:
        kept = _log_kept(scores, population, prepared, group, cut)
        scores[group.rows] = kept - np.log(chances[_classes(samples, group, surveyor)])
    return scores


def completeness(population: Population, observation: Observation) -> Array:
    """Evaluate the chance Z (B,) that a row of each noise class is observed, by Sobol points."""
    reference = Reference(population, BLOCK)
    unobserved = np.zeros(observation.classes.n_classes)
    for leaf in leaves(observation, reference):
        points = draw_points(observation, reference, *leaf)
        unobserved += impute_leaf(population, observation, points).unobserved
    return 1 - unobserved / REPLICATES


def _log_kept(
    scores: Array, population: Population, samples: Samples, group: PatternGroup, cut: Cut
) -> Array:
    """ln of the density of a group's rows times their chance of being kept, (n,)."""
    if is_certain(group, cut):
        chance = cut.selection.evaluate_observed(column_values(group, samples.n_features))
        return np.asarray(scores[group.rows] + np.log(chance))
    slabs = tilted_scores(population, samples, group, cut)
    return np.concatenate([slab.log_density for slab in slabs])


def _classes(samples: Samples, group: PatternGroup, surveyor: Surveyor) -> NDArray[np.intp]:
    """Class of each row, (n,) or (1,)."""
    if surveyor.classes is None:
        return np.zeros(1, dtype=np.intp)
    return surveyor.classes.assign(samples, group, surveyor.cut)
