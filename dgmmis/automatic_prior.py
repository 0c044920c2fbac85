"""The prior of `prior="auto"`: none, but for small samples that a selection cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from dgmmis.packed import Array
from dgmmis.prior import Dirichlet, InverseWishart, Prior
from dgmmis.rows import Rows
from dgmmis.task import Task

__all__ = ["automatic_prior"]

ENOUGH_ROWS = 50
"""Rows per parameter from which the rows speak for themselves."""

PSEUDO_ROWS = 3.0
SHARE_OF_VARIANCE = 0.2
"""A covariance's prior counts like so many rows of a component with this share of the rows' variances."""

AMPLITUDE_ROWS = 20.0
SHARE_OF_ROWS = 0.25
"""An amplitude's prior counts like so many rows, but at most this share of the rows that a component has."""

SAMPLE = 5_000


class Sampled(Protocol):
    """Rows of which a random sample can be had."""

    @property
    def n_rows(self) -> int:
        """N."""

    @property
    def projection(self) -> Array | None:
        """How rows see the mixture's features."""

    def read_pilot(self, n_rows: int) -> Rows:
        """At most `n_rows` rows, drawn at random."""


def automatic_prior(task: Task, rows: Sampled) -> Task:
    """Give the task a weak prior, if a selection left few rows per parameter; otherwise return it as it is.

    What a selection hides is known from the shape of what it left.  With few rows a component that lies partly
    outside can grow there without limit, in amplitude most of all.  The prior holds it back like a few rows
    would; its strength was chosen on simulated scenes (docs/mathematics.md).  Projected rows get none: their
    values do not tell the variances of the mixture's features.
    """
    n_features = rows.read_pilot(1).latent_features
    parameters = task.constraints.n_parameters(task.n_components, n_features, task.backgrounds)
    if task.selecting is None or rows.projection is not None or rows.n_rows >= ENOUGH_ROWS * parameters:
        return task
    variances = np.nanvar(rows.read_pilot(SAMPLE).values, axis=0)
    held = min(AMPLITUDE_ROWS, SHARE_OF_ROWS * rows.n_rows / task.n_components)
    scale = tuple((PSEUDO_ROWS * SHARE_OF_VARIANCE * variances).tolist())
    prior = Prior(InverseWishart(scale, pseudo_rows=PSEUDO_ROWS), Dirichlet(1 + held))
    return replace(task, constraints=replace(task.constraints, prior=prior))
