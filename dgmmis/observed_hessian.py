"""What the Hessian of the rows themselves says of a step: where it is flat or a saddle, and what is left to gain.

The outer products of the scores are positive whatever the likelihood looks like.  Its Hessian is not: on a plateau it
is far below them in some direction, at a saddle negative.  Both are compared by their generalised eigenvalues, the
curvatures in the units of the outer products: 1 where the products tell the truth, near 0 where a plateau is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dgmmis.block_matrix import BlockMatrix
from dgmmis.coordinates import Chart
from dgmmis.packed import Array
from dgmmis.positive_systems import factorize
from dgmmis.step_reach import longest_observed
from dgmmis.symmetric_spectrum import spectrum

__all__ = ["Hessian"]

UNKNOWN = 1e-3
"""Share of what rows of known component would tell that is added to the outer products where they are the unit."""

FLAT = 0.02
"""Curvature [of outer products] up to which a direction is flat, or leads away from a saddle."""

FARTHEST = 1.0
"""Standard errors [of outer products] that a step goes at least in a flat direction, or as far as it may."""

MOST_DOUBT = 0.03
"""Least curvature by which a predicted gain is divided."""


@dataclass(frozen=True)
class Hessian:
    """Minus the second derivatives of the objective, along straight lines of the parameters.

    Attributes
    ----------
    chart : Chart
    matrix : (p, p)
    directions : (p, p)
        In columns, independent in both matrices and of one standard error by the outer products.
    duals : (p, p)
        Outer products times the directions.
    curvatures : (p,)
        Of the directions, ascending.
    """

    chart: Chart
    matrix: Array
    directions: Array
    duals: Array
    curvatures: Array

    @classmethod
    def of(cls, chart: Chart, products: Array, curvature: Array) -> Hessian | None:
        """Compare outer products (p, p) with what they lack to be the Hessian; None if they are no information."""
        unit = products + np.diag(UNKNOWN * chart.observed_information)
        factor = factorize(unit)
        if factor is None:
            return None
        matrix = products - curvature
        whitened = factor.forward(factor.forward(matrix).T)
        if not np.isfinite(whitened).all():
            return None
        curvatures, vectors = spectrum((whitened + whitened.T) / 2)
        duals = np.einsum("pq,qr->pr", np.tril(factor.lower), vectors)
        return cls(chart, matrix, factor.backward(vectors), duals, curvatures)

    @property
    def positive(self) -> BlockMatrix:
        """The same matrix with the moduli of its curvatures, those of flat directions raised."""
        moduli = np.maximum(np.abs(self.curvatures), FLAT)
        matrix = np.einsum("pr,qr->pq", self.duals * moduli, self.duals)
        return BlockMatrix((np.arange(len(matrix)),), ((matrix + matrix.T) / 2,))

    def leading_away(self, gradient: Array) -> Array:
        """Change a gradient (p,) so that the step it asks of `positive` leads away from saddles and over plateaus."""
        flat = np.flatnonzero(self.curvatures < FLAT)
        slopes = np.einsum("pr,p->r", self.directions[:, flat], gradient)
        farthest = [min(FARTHEST, longest_observed(self.chart, self.directions[:, r])) for r in flat]
        wanted = np.array(farthest) * np.maximum(np.abs(self.curvatures[flat]), FLAT)
        more = np.where(slopes < 0, -1.0, 1.0) * np.maximum(wanted - np.abs(slopes), 0.0)
        return np.asarray(gradient + np.einsum("pr,r->p", self.duals[:, flat], more))

    def promised(self, gradient: Array, step: Array) -> float:
        """Gain of a step if the objective were quadratic [nats]."""
        return _along(gradient, step) - self._bent(step) / 2

    def gain(self, gradient: Array, step: Array) -> float:
        """Most that the objective, if it were quadratic, gains along a step of at most this length [nats]."""
        slope, bent = _along(gradient, step), self._bent(step)
        return slope**2 / (2 * bent) if bent > slope > 0 else slope - bent / 2

    @property
    def certainty(self) -> float:
        """Least curvature, at most 1: the flatter a direction, the less a quadratic form says of it."""
        return float(max(MOST_DOUBT, min(1.0, np.abs(self.curvatures).min(initial=1.0))))

    def _bent(self, step: Array) -> float:
        return float(np.einsum("p,pq,q->", step, self.matrix, step))


def _along(gradient: Array, step: Array) -> float:
    return float(np.einsum("p,p->", gradient, step))
