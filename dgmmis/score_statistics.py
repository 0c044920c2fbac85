"""Sufficient statistics of rows under one mixture, in score form."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dgmmis.packed import Array, packed_size

__all__ = ["Statistics"]


@dataclass(frozen=True)
class Statistics:
    """What a pass over rows leaves behind; the statistics of a whole are the sum of its parts'.

    With q the responsibility, s the row weight, r = x - R m, T = R V R^T + S, u = R^T T^-1 r and
    G = R^T T^-1 R (DESIGN: the score form of Bovy, Hogg & Roweis 2011, arXiv:0905.2979, eqs. 16-19):

    Attributes
    ----------
    rows : int
        Rows with at least one observed feature.
    weight : float
        Sum of their weights.
    log_likelihood : float
        Sum of s ln p(x) [nats].
    zeroth : (K,)
        A_k = sum s q.
    first : (K, D)
        h_k = sum s q u, the gradient by the mean.
    second : (K, P)
        H_k = sum s q (u u^T - G), packed; twice the gradient by the covariance.
    background : (J,)
        B_j = sum s q of the J background densities.
    log_likelihood_error : float
        Monte-Carlo error of the log-likelihood [nats], where a selection was integrated by points.  Rows share
        their points, so it is the sum of theirs: an upper bound.
    pairs : int
        Rows times components whose density was computed; the others were known not to matter.
    left_out : float
        Bound on what these others would change in the log-likelihood [nats].
    """

    rows: int
    weight: float
    log_likelihood: float
    zeroth: Array
    first: Array
    second: Array
    background: Array = field(default_factory=lambda: np.zeros(0))
    log_likelihood_error: float = 0.0
    pairs: int = 0
    left_out: float = 0.0

    @classmethod
    def zero(cls, n_components: int, n_features: int, n_backgrounds: int = 0) -> Statistics:
        """Statistics of no rows."""
        return cls(
            0,
            0.0,
            0.0,
            np.zeros(n_components),
            np.zeros((n_components, n_features)),
            np.zeros((n_components, packed_size(n_features))),
            np.zeros(n_backgrounds),
        )

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.rows + other.rows,
            self.weight + other.weight,
            self.log_likelihood + other.log_likelihood,
            self.zeroth + other.zeroth,
            self.first + other.first,
            self.second + other.second,
            self.background + other.background,
            self.log_likelihood_error + other.log_likelihood_error,
            self.pairs + other.pairs,
            self.left_out + other.left_out,
        )

    def scaled(self, factor: float) -> Statistics:
        """Return the statistics of rows that weigh `factor` times as much."""
        return Statistics(
            self.rows,
            factor * self.weight,
            factor * self.log_likelihood,
            factor * self.zeroth,
            factor * self.first,
            factor * self.second,
            factor * self.background,
            factor * self.log_likelihood_error,
            self.pairs,
            factor * self.left_out,
        )

    @property
    def scale(self) -> float:
        """Size of the sum behind the log-likelihood: weight times features, about one nat each."""
        return float(self.weight * self.first.shape[1])

    @property
    def mean_log_likelihood(self) -> float:
        """ln p(x) averaged over rows by weight [nats per unit weight]."""
        return self.log_likelihood / self.weight
