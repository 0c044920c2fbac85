"""Proposals to leave a local optimum: split one component, merge two others (Ueda et al. 2000).

Both moves keep zeroth, first and second moments of what they replace.  The proposals are guesses: whoever asks for
them fits each and keeps one only if the objective grew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.constraints import Constraints
from dgmmis.densities import log_densities
from dgmmis.errors import CollapsedComponent, InvalidData
from dgmmis.expectation import summarize_samples
from dgmmis.maximization import maximize
from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.row_hash import hash_integers
from dgmmis.rows import Rows

__all__ = ["halves", "merged", "proposals", "split_gain"]

MOST_ROWS = 20_000
"""Rows of the random sample on which the moves are ranked."""

UPDATES = 10
"""Of the two halves, before their gain is compared."""

HALF_MEAN = float(np.sqrt(2 / np.pi))
"""Mean of the upper half of a standard normal variate; its variance is 1 less the square of this."""


def proposals(
    population: Population, rows: Rows, movable: NDArray[np.bool_], most: int = 3
) -> Iterator[Population]:
    """Yield rearranged populations, the most promising first.

    Parameters
    ----------
    population : Population
        A fitted one.
    rows : Rows
    movable : (K,)
        Components that may be split or merged; there are no proposals with fewer than three.
    most : int
        Components that are split, each in one proposal; the pair merged is the one most alike among the others.
    """
    if movable.sum() < 3:
        return
    order = np.argsort(hash_integers(np.arange(len(rows))), kind="stable")[:MOST_ROWS]
    sample = rows.take(order)
    terms = population.component_log_densities(sample.samples(checked=True))
    shares = np.exp(terms - log_densities(terms)[:, None])[:, : population.n_components]
    alike = _likeness(shares, movable)
    gains = {
        k: split_gain(population.mixture, k, sample, shares[:, k]) for k in np.flatnonzero(movable).tolist()
    }
    for split in sorted(gains, key=gains.__getitem__, reverse=True)[:most]:
        others = alike.copy()
        others[split], others[:, split] = -1, -1
        kept, freed = np.unravel_index(int(np.argmax(others)), others.shape)
        yield replace(population, mixture=_rearranged(population.mixture, split, int(kept), int(freed)))


def split_gain(mixture: Mixture, component: int, sample: Rows, shares: Array) -> float:
    """Bound from below what splitting a component adds to the log-likelihood of a sample [nats].

    Two halves are fitted to the rows, each weighing the component's share of it.  By Jensen's inequality the
    weighted gain is a lower bound on that of the whole mixture; -inf if the halves collapse.
    """
    weighing = sample.samples(checked=True)
    weighing = replace(
        weighing,
        groups=tuple(replace(group, weights=group.weights * shares[group.rows]) for group in weighing.groups),
    )
    one = Population(Mixture(np.ones(1), mixture.means[[component]], mixture.covariances[[component]]))
    two = Population(halves(mixture.means[component], mixture.covariances[component]))
    free = Constraints.none(2, mixture.n_features)
    try:
        for _ in range(UPDATES):
            two = maximize(two, summarize_samples(two, weighing), free)
        after = summarize_samples(two, weighing).log_likelihood
    except (CollapsedComponent, InvalidData):
        return -np.inf
    return after - summarize_samples(one, weighing).log_likelihood


def halves(mean: Array, covariance: Array) -> Mixture:
    """Cut a Gaussian in two across its longest axis, each half a Gaussian of the half's own moments.

    Parameters
    ----------
    mean, covariance : (D,), (D, D)

    Returns
    -------
    Mixture
        Of two equal components, with the moments of the whole.
    """
    values, vectors = np.linalg.eigh(covariance)
    offset = HALF_MEAN * np.sqrt(max(values[-1], 0.0)) * vectors[:, -1]
    own = covariance - np.outer(offset, offset)
    own = (own + own.T) / 2
    return Mixture(np.array([0.5, 0.5]), np.stack((mean + offset, mean - offset)), np.stack((own, own)))


def merged(mixture: Mixture, pair: tuple[int, int]) -> tuple[float, Array, Array]:
    """Amplitude, mean (D,) and covariance (D, D) of two components taken as one."""
    which = list(pair)
    amplitudes = mixture.amplitudes[which]
    total = float(amplitudes.sum())
    parts = amplitudes / total if total > 0 else np.array([0.5, 0.5])
    mean = np.einsum("j,jd->d", parts, mixture.means[which])
    offsets = mixture.means[which] - mean
    within = np.einsum("j,jde->de", parts, mixture.covariances[which])
    return total, mean, within + np.einsum("j,jd,je->de", parts, offsets, offsets)


def _likeness(shares: Array, movable: NDArray[np.bool_]) -> Array:
    """Cosines of the components' responsibilities (K, K), above the diagonal; -1 where none may move."""
    products = np.einsum("nj,nk->jk", shares, shares)
    lengths = np.sqrt(np.maximum(np.diagonal(products), np.finfo(np.float64).tiny))
    cosines = products / np.outer(lengths, lengths)
    allowed = np.triu(np.outer(movable, movable), 1)
    return np.where(allowed, cosines, -1.0)


def _rearranged(mixture: Mixture, split: int, kept: int, freed: int) -> Mixture:
    """Merge `freed` into `kept` and give its place to one half of `split`."""
    amplitudes, means = mixture.amplitudes.copy(), mixture.means.copy()
    covariances = mixture.covariances.copy()
    amplitudes[kept], means[kept], covariances[kept] = merged(mixture, (kept, freed))
    two = halves(mixture.means[split], mixture.covariances[split])
    places = [split, freed]
    amplitudes[places] = mixture.amplitudes[split] / 2
    means[places], covariances[places] = two.means, two.covariances
    return Mixture(amplitudes, means, covariances)
