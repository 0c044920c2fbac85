"""Moves that leave a local optimum: split one component, merge two others (Ueda et al. 2000).

Both keep zeroth, first and second moments of what they replace.  Which moves are worth a trial is read off one pass's
`Misfit`; a move is a guess, and whoever asks for it keeps it only if the objective grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgmmis.constraints import Constraints
from dgmmis.maximization import conform
from dgmmis.misfit import Misfit
from dgmmis.mixture import Mixture
from dgmmis.packed import Array
from dgmmis.population import Population

__all__ = ["LEAST_COMPONENTS", "Move", "halves", "merge_losses", "merged", "movable", "moves", "rearranged"]

LEAST_COMPONENTS = 3
"""A move takes one component to split and two others to merge."""

TRIED_RANKS = (
    *((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (3, 0), (0, 2), (4, 0)),
    *((2, 1), (3, 1), (5, 0), (4, 1), (6, 0), (5, 1), (7, 0), (7, 1)),
)
"""Ranks of the split and of the merger of each move, in the order of trial: criteria are weak, so several are tried."""

HALF_MEAN = float(np.sqrt(2 / np.pi))
"""Mean of the upper half of a standard normal variate; its variance is 1 less the square of this."""


@dataclass(frozen=True)
class Move:
    """One component to split, two others to merge.

    Attributes
    ----------
    split : int
    axis : int
        Along which of its directions it is split.
    kept, freed : int
        The pair that becomes one: `kept` holds both, `freed` is one of the halves from then on.
    """

    split: int
    axis: int
    kept: int
    freed: int

    def __str__(self) -> str:
        return f"component {self.split} split, {self.kept} and {self.freed} merged"


def movable(constraints: Constraints) -> NDArray[np.bool_]:
    """Components (K,) that may be split or merged: those none of whose parameters is frozen."""
    frozen = constraints.frozen
    return ~(frozen.amplitudes | frozen.means | frozen.covariances)


def moves(mixture: Mixture, misfit: Misfit, may_move: NDArray[np.bool_]) -> list[Move]:
    """Choose the moves to try, the most promising first; none with fewer than three movable components.

    Components are ranked by the largest z3^2 + z4^2 over their directions, pairs by `merge_losses`.

    Parameters
    ----------
    mixture : Mixture
    misfit : Misfit
        Of all rows under it.
    may_move : (K,)
    """
    if may_move.sum() < LEAST_COMPONENTS:
        return []
    scores = np.where(may_move, misfit.scores.max(axis=1), -np.inf)
    splits = np.argsort(-scores, kind="stable")[: int(may_move.sum())].tolist()
    losses = merge_losses(mixture, misfit.cosines)
    found = []
    for rank_of_split, rank_of_pair in TRIED_RANKS:
        if rank_of_split >= len(splits):
            continue
        split = splits[rank_of_split]
        others = may_move.copy()
        others[split] = False
        pairs = _cheapest(losses, others, rank_of_pair + 1)
        if len(pairs) > rank_of_pair:
            found.append(Move(split, int(misfit.scores[split].argmax()), *pairs[rank_of_pair]))
    return found


def merge_losses(mixture: Mixture, cosines: Array) -> Array:
    """Estimate what merging each pair costs (K, K) [nats per unit weight].

    Runnalls' (2007) bound on the divergence, (a ln|V| - a_j ln|V_j| - a_k ln|V_k|) / 2 with a, V of the merged pair,
    is what it costs if rows tell the two apart.  The cosine of their responsibilities is the part that rows do not.
    """
    amplitudes, means, covariances = mixture.amplitudes, mixture.means, mixture.covariances
    log_determinants = np.linalg.slogdet(covariances)[1]
    losses = np.full(cosines.shape, np.inf)
    for j in range(len(amplitudes)):
        rest = slice(j + 1, None)
        total = amplitudes[j] + amplitudes[rest]
        share = np.divide(amplitudes[j], total, out=np.full_like(total, 0.5), where=total > 0)
        apart = means[j] - means[rest]
        between = (share * (1 - share))[:, None, None] * apart[:, :, None] * apart[:, None, :]
        within = share[:, None, None] * covariances[j] + (1 - share)[:, None, None] * covariances[rest]
        whole = np.linalg.slogdet(within + between)[1]
        with np.errstate(invalid="ignore"):  # singular components are no candidates
            bound = (
                total * whole - amplitudes[j] * log_determinants[j] - (amplitudes * log_determinants)[rest]
            )
            losses[j, rest] = 0.5 * bound * (1 - cosines[j, rest])
    return np.where(np.isnan(losses), np.inf, losses)


def _cheapest(losses: Array, others: NDArray[np.bool_], most: int) -> list[tuple[int, int]]:
    """Name at most so many pairs of some components, the cheapest to merge first."""
    allowed = np.where(np.outer(others, others), losses, np.inf)
    order = np.argsort(allowed, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(int(place), losses.shape) for place in order]
    return [(int(j), int(k)) for j, k in pairs if np.isfinite(allowed[j, k])]


def rearranged(population: Population, directions: Array, move: Move, constraints: Constraints) -> Population:
    """Merge the pair of a move and split its component; backgrounds and all other components stay.

    Parameters
    ----------
    population : Population
    directions : (K, D, D)
        As of `Examiner`.
    move : Move
    constraints : Constraints
        The type and the floor that the new covariances are brought to.
    """
    mixture = population.mixture
    amplitudes, means, covariances = (array.copy() for array in vars(mixture).values())
    kept, freed, split = move.kept, move.freed, move.split
    amplitudes[kept], means[kept], covariances[kept] = merged(mixture, (kept, freed))
    places = [split, freed]
    amplitudes[places] = mixture.amplitudes[split] / 2
    means[places], covariances[places] = halves(
        mixture.means[split], mixture.covariances[split], directions[split, :, move.axis]
    )
    return conform(replace(population, mixture=Mixture(amplitudes, means, covariances)), constraints)


def halves(mean: Array, covariance: Array, direction: Array) -> tuple[Array, Array]:
    """Cut a Gaussian in two, each half a Gaussian with the half's own moments.

    Parameters
    ----------
    mean, covariance : (D,), (D, D)
    direction : (D,)
        An eigenvector times the root of its eigenvalue: the cut is across it.

    Returns
    -------
    means, covariances : (2, D), (2, D, D)
        Of two equal halves, which together have the moments of the whole.
    """
    offset = HALF_MEAN * direction
    own = covariance - np.outer(offset, offset)
    own = (own + own.T) / 2
    return np.stack((mean + offset, mean - offset)), np.stack((own, own))


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
