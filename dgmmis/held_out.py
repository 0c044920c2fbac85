"""How well populations predict rows that they were not fitted to: noise, gaps, background and selection included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.densities import component_log_densities, log_densities
from dgmmis.expectation import prepare
from dgmmis.imputation import impute_leaf, leaves
from dgmmis.imputation_points import draw_points
from dgmmis.observation import REPLICATES, Observation, Reference
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.row_classes import RowClasses
from dgmmis.row_parts import taken
from dgmmis.rows import Rows
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut, column_values, is_certain
from dgmmis.selecting import Selecting
from dgmmis.tilted_expectation import tilted_scores

__all__ = ["ALL_SEEN", "Chances", "Predicted", "Seeing", "completeness", "held_out_log_density", "predict"]

BLOCK = 256
"""Points per component, noise class and replicate: the completeness is known to about 1e-4."""

SLAB_NUMBERS = 2**21
"""Numbers in the largest working array: rows are taken in slabs of this many."""


@dataclass(frozen=True)
class Seeing:
    """How rows came to be seen.

    Attributes
    ----------
    cut : Cut or None
        None: nothing was selected.
    classes : RowClasses or None
        How rows are put into classes that share one chance of being observed.
    """

    cut: Cut | None = None
    classes: RowClasses | None = None


ALL_SEEN = Seeing()


@dataclass(frozen=True)
class Chances:
    """Chances of being observed under one population.

    Attributes
    ----------
    values : (B,)
        Z of each class of rows.
    errors : (B,)
        Monte-Carlo standard errors.
    """

    values: Array
    errors: Array


@dataclass(frozen=True)
class Predicted:
    """What a population says of N rows.

    Attributes
    ----------
    log_density : (N,)
        ln p(x_i), under a selection ln p(x_i, kept) - ln Z_i [nats]; 0 where nothing was observed.
    entropy : (N,)
        -sum_k q_ik ln q_ik over components and backgrounds [nats]: how undecided the row's origin is.
    classes : (N,)
        Of the selection.
    """

    log_density: Array
    entropy: Array
    classes: NDArray[np.intp]


def predict(
    population: Population, samples: Samples, seeing: Seeing = ALL_SEEN, chances: Chances | None = None
) -> Predicted:
    """Score single rows.

    Parameters
    ----------
    population : Population
    samples : Samples
        As `prepare` returned them.
    seeing : Seeing
    chances : Chances, optional
        Of the selection's classes; without, ln Z is left out.

    Raises
    ------
    SelectionError
        If a row cannot have been observed.
    """
    whole = Predicted(np.zeros(samples.n_rows), np.zeros(samples.n_rows), np.zeros(samples.n_rows, np.intp))
    step = max(1, SLAB_NUMBERS // (population.n_components + len(population.backgrounds)))
    for start in range(0, samples.n_rows, step):
        rows = slice(start, start + step)
        slab = samples
        if step < samples.n_rows:
            chosen = np.zeros(samples.n_rows, bool)
            chosen[rows] = True
            slab = taken(samples, chosen)
        _score_slab(population, slab, seeing, whole, rows)
    if chances is not None:
        seen = np.concatenate([np.zeros(0, np.intp), *(group.rows for group in samples.groups)])
        whole.log_density[seen] -= np.log(chances.values[whole.classes[seen]])
    return whole


def _score_slab(
    population: Population, samples: Samples, seeing: Seeing, whole: Predicted, rows: slice
) -> None:
    """Write what is found of some rows into the whole."""
    log_density, entropy, classes = whole.log_density[rows], whole.entropy[rows], whole.classes[rows]
    mixture, n_backgrounds = population.mixture, len(population.backgrounds)
    terms = component_log_densities(population.amplitudes, mixture.means, mixture.covariances, samples)
    for group in samples.groups:
        cut = seeing.cut
        if cut is None or is_certain(group, cut):
            mine = terms[group.rows]
            if n_backgrounds:
                mine = np.concatenate((mine, population.weighted(group.densities)), axis=1)
            log_density[group.rows] = log_densities(mine)
            q = np.exp(mine - log_density[group.rows][:, None])
            if cut is not None:
                others = None if samples.covariates is None else samples.covariates[group.rows]
                values = column_values(group, samples.n_features)
                log_density[group.rows] += np.log(cut.selection.evaluate_observed(values, others))
        else:
            slabs = list(tilted_scores(population, samples, group, cut))
            log_density[group.rows] = np.concatenate([slab.log_density for slab in slabs])
            q = np.concatenate([slab.responsibilities for slab in slabs])
        entropy[group.rows] = -np.sum(q * np.log(np.where(q > 0, q, 1.0)), axis=1)
        if cut is not None and seeing.classes is not None:
            classes[group.rows] = seeing.classes.assign(samples, group, cut)


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
        return predict(population, prepare(population, rows.samples(checked=True))).log_density
    cut = selecting.cut
    samples = rows.samples(checked=True, keep_noise=cut.noise_columns)
    surveyor = selecting.surveyor(samples)
    survey = surveyor.survey(samples)
    chances = completeness(population, selecting.observation(survey, surveyor, population))
    seeing = Seeing(cut, surveyor.classes)
    return predict(population, prepare(population, samples, cut), seeing, chances).log_density


def completeness(population: Population, observation: Observation, block: int = BLOCK) -> Chances:
    """Evaluate the chance Z (B,) that a row of each noise class is observed, by Sobol points.

    Parameters
    ----------
    population : Population
    observation : Observation
    block : int
        Points per component, class and replicate; a power of 2.
    """
    reference = Reference(population, block)
    unobserved = np.zeros((REPLICATES, observation.classes.n_classes))
    for leaf in leaves(observation, reference):
        points = draw_points(observation, reference, *leaf)
        unobserved[leaf[0]] += impute_leaf(population, observation, points).unobserved
    errors = unobserved.std(axis=0, ddof=1) / np.sqrt(REPLICATES)
    return Chances(1 - unobserved.sum(axis=0) / REPLICATES, errors)
